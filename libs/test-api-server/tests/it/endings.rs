//! Nothing is left, however a test binary ends; and who cannot have a server is told why.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fundbond_test_api_server::{ASSETS, ApiServer, Options};

/// Killing takes moments; a busy machine needs its time.
const DEADLINE: Duration = Duration::from_secs(20);

/// Prefix of a line in which a binary tells where its server's directory is.
const DIRECTORY: &str = "directory=";

/// What the binaries below do, each as a process of its own.
const ENDING: &str = "FUNDBOND_TEST_ENDING";

/// This binary again, to run the one test that ends as told.
fn binary(ending: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "endings::the_other_side", "--ignored", "--nocapture"]).env(ENDING, ending);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
#[ignore = "the other side of the tests here, which start it"]
fn the_other_side() {
    let ending = std::env::var(ENDING).unwrap();
    let server = ApiServer::start(Options::default());
    let kubeconfig = server.admin().kubeconfig();
    println!("\n{DIRECTORY}{}", kubeconfig.parent().unwrap().display());
    match ending.as_str() {
        "drop" => drop(server),
        "panic" => panic!("as told"),
        "exit" => std::process::exit(3),
        // Until it is killed.
        _ => loop {
            std::thread::park();
        },
    }
}

/// The programs of that server that still run: they all have the directory in their arguments.
fn running(directory: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let arguments = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = arguments.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    lines.filter(|line| line.contains(directory)).collect()
}

fn directory(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find_map(|line| line.strip_prefix(DIRECTORY).map(ToOwned::to_owned));
    line.expect("the other side tells where it works")
}

fn ends(ending: &str, end: impl FnOnce(&mut Child)) {
    let mut child = binary(ending).spawn().unwrap();
    let directory = directory(&mut child);
    if ending == "wait" {
        // Otherwise it may be over already.
        assert_eq!(running(&directory).len(), 3, "a keeper and two programs");
    }
    end(&mut child);
    child.wait().unwrap();
    let began = Instant::now();
    loop {
        let (running, gone) = (running(&directory), format!("{directory}.gone"));
        let left: Vec<&str> =
            [&*directory, &*gone].into_iter().filter(|path| Path::new(path).exists()).collect();
        if running.is_empty() && left.is_empty() {
            return;
        }
        assert!(began.elapsed() < DEADLINE, "left running: {running:#?}; left behind: {left:?}");
        // sleep-ok: whether foreign processes still run is asked, not told
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_is_left_of_a_server_that_is_dropped() {
    ends("drop", |_| {});
}

#[test]
fn nothing_is_left_when_a_test_panics() {
    ends("panic", |_| {});
}

#[test]
fn nothing_is_left_when_the_binary_ends() {
    ends("exit", |_| {});
}

#[test]
fn nothing_is_left_when_the_binary_is_killed() {
    ends("wait", |child| child.kill().unwrap());
}

/// What somebody reads who has no server, with this in place of the programs' directory.
fn told(assets: Option<&Path>) -> String {
    let mut command = binary("drop");
    match assets {
        Some(assets) => command.env(ASSETS, assets),
        None => command.env_remove(ASSETS),
    };
    let output = command.output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn who_has_no_programs_is_told_how_to_get_them() {
    let told = told(None);
    assert!(told.contains(ASSETS) && told.contains("cargo xtask test"), "{told}");
}

#[test]
fn a_program_that_ends_is_told_at_once_with_its_last_words() {
    let assets = tempfile::tempdir().unwrap();
    for name in ["etcd", "kube-apiserver"] {
        let path = assets.path().join(name);
        std::fs::write(&path, "#!/bin/sh\necho I cannot; exit 7\n").unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, executable).unwrap();
    }
    let began = Instant::now();
    let told = told(Some(assets.path()));
    assert!(told.contains("exit status: 7") && told.contains("I cannot"), "{told}");
    assert!(began.elapsed() < DEADLINE);
}
