//! `cargo xtask compose test`: what the system of containers promises, shown on a second one that is removed again.

use crate::docker::{Docker, daemon};
use crate::{images, process, say};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A name of its own: a system that somebody uses stays as it is.
const PROJECT: &str = "fundbond-test";
/// Who every process in a container is.
const USER: &str = "65532";
/// A task long enough (8 s) to lose a pod in the middle, and when that happens.
const STEPS: usize = 40;
const STEP_MS: u32 = 200;
const KILL_AFTER: usize = 8;
/// Pods take turns, so the first try puts stream and task on two of them; other requests may come between.
const TRIES: usize = 10;
/// A replica follows within milliseconds.
const REPLICA_LIMIT: Duration = Duration::from_secs(20);
/// What Docker itself puts into a container's root.
const DOCKERS_OWN: [&str; 6] =
    [".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"];

/// Builds, starts, shows, removes; a daemon that was not there before is ended too.
pub(super) fn run() -> Result<()> {
    let start = Instant::now();
    let found_running = daemon::answers()?;
    let shown = build_and_show();
    if !found_running {
        daemon::stop()?;
    }
    shown?;
    say::line(&format!("compose test: passed in {:.0} s", start.elapsed().as_secs_f64()));
    Ok(())
}

fn build_and_show() -> Result<()> {
    let docker = Docker::ready_for_compose()?;
    let built = images::build(&docker, images::Others::RedisAndNginx)?;
    let mut system =
        System { docker, workspace: process::workspace()?, programs: built.programs, server: String::new() };
    say::section("compose test");
    system.remove().context("what an interrupted test left cannot be removed")?;
    let shown = system.show();
    if shown.is_err() {
        say::section("compose test: the last words of the containers");
        process::run(system.compose().args(["logs", "--tail", "20"]))?;
    }
    let removed = system.remove();
    shown?;
    removed?;
    passed("`down` left no container, network or volume");
    Ok(())
}

/// A system under test.
struct System {
    docker: Docker,
    workspace: PathBuf,
    /// Where `fundctl` is.
    programs: PathBuf,
    /// Address of its gateway.
    server: String,
}

impl System {
    fn show(&mut self) -> Result<()> {
        let start = Instant::now();
        self.up()?;
        passed(&format!("every container is healthy, {:.1} s after `up`", start.elapsed().as_secs_f64()));
        self.server = self.address("gateway", 8000)?;
        self.containers_have_nothing_to_lose()?;
        self.both_clusters_value_the_fund()?;
        self.a_stream_outlives_its_pod()?;
        self.up().context("the killed pod does not come back")?;
        passed("`up` brought the killed pod back");
        self.redis_and_its_replica_hold_the_same()?;
        let finished = self.finished_tasks()?;
        self.everything_drains_in_time()?;
        self.up()?;
        ensure!(self.finished_tasks()? == finished, "tasks that had ended are gone after a restart");
        passed("after another `up`, every finished task is still known");
        Ok(())
    }

    fn compose(&self) -> Command {
        let mut command = self.docker.compose(&self.workspace);
        command.args(["--project-name", PROJECT, "--profile", "nginx"]);
        // Any free port: 8000 may be somebody's.
        command.envs([("FUNDBOND_PORT", "0"), ("FUNDBOND_NGINX_PORT", "0")]);
        command
    }

    fn up(&self) -> Result<()> {
        process::output(self.compose().args(["up", "--no-build", "--wait"])).map(drop)
    }

    fn address(&self, service: &str, port: u16) -> Result<String> {
        let address = process::output(self.compose().args(["port", service, &port.to_string()]))?;
        Ok(format!("http://{}", address.trim()))
    }

    /// Every container: (service, what Docker says of it).
    fn containers(&self) -> Result<Vec<(String, Value)>> {
        let ids = process::output(self.compose().args(["ps", "--all", "--quiet"]))?;
        ids.lines()
            .map(|id| {
                let container = self.docker.inspect("container", id)?;
                let service = container["Config"]["Labels"]["com.docker.compose.service"].as_str();
                Ok((service.context("a container belongs to a service")?.to_owned(), container))
            })
            .collect()
    }

    fn containers_have_nothing_to_lose(&self) -> Result<()> {
        let containers = self.containers()?;
        let mut open = Vec::new();
        for (service, container) in &containers {
            let host = &container["HostConfig"];
            ensure!(host["ReadonlyRootfs"] == true, "{service} can write to its root file system");
            ensure!(host["CapDrop"][0] == "ALL" && host["CapAdd"].is_null(), "{service} has capabilities");
            ensure!(host["SecurityOpt"][0] == "no-new-privileges:true", "{service} can gain privileges");
            ensure!(host["RestartPolicy"]["Name"] == "unless-stopped", "{service} stays dead");
            if host["PortBindings"].as_object().is_some_and(|ports| !ports.is_empty()) {
                open.push(service.as_str());
            }
            self.processes_are_nobody(service, container)?;
        }
        open.sort_unstable();
        ensure!(open == ["gateway", "nginx"], "ports are published by {open:?}");
        for (service, container) in &containers {
            if let Some(program) = images::PROGRAMS.iter().find(|name| runs(container, name)) {
                let files = self.files(container)?;
                ensure!(files == [*program], "the image of {service} holds {files:?}");
            }
        }
        passed(&format!(
            "{} containers: user {USER}, read-only root, no capabilities, no new privileges; ports of {} only",
            containers.len(),
            open.join(" and ")
        ));
        passed("gateway, proxies and pods: one file in the image, the program");
        Ok(())
    }

    fn processes_are_nobody(&self, service: &str, container: &Value) -> Result<()> {
        let id = id(container)?;
        let table = process::output(self.docker.command().args(["top", id, "-eo", "pid,uid"]))?;
        let users: Vec<&str> =
            table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
        ensure!(!users.is_empty() && users.iter().all(|user| *user == USER), "{service} runs as {users:?}");
        Ok(())
    }

    /// The files of a container that its image brought.
    fn files(&self, container: &Value) -> Result<Vec<String>> {
        let archive = self.programs.join("export.tar");
        process::output(
            self.docker.command().arg("export").arg("--output").arg(&archive).arg(id(container)?),
        )?;
        let listed = process::output(Command::new("tar").arg("--list").arg("--file").arg(&archive))?;
        fs::remove_file(&archive).context("cannot remove the exported container")?;
        let files = listed.lines().filter(|path| !path.ends_with('/') && !DOCKERS_OWN.contains(path));
        Ok(files.map(str::to_owned).collect())
    }

    fn both_clusters_value_the_fund(&self) -> Result<()> {
        let nginx = self.address("nginx", 8080)?;
        let mut worth = Vec::new();
        for (server, cluster, way) in [
            (&self.server, "cluster1", "gateway"),
            (&self.server, "cluster2", "gateway"),
            (&nginx, "cluster1", "nginx and gateway"),
        ] {
            let start = Instant::now();
            let mut valued = self.fundctl(server, cluster);
            valued.args(["task", "start", "examples/fund.json", "--watch", "--timeout", "60s"]);
            let said = process::output(valued.current_dir(&self.workspace))?;
            let nav = said.lines().find_map(|line| line.trim().strip_prefix("NAV")).context("no NAV")?.trim();
            passed(&format!(
                "the fund by {way} and {cluster}: NAV {nav} in {:.2} s",
                start.elapsed().as_secs_f64()
            ));
            worth.push(nav.to_owned());
        }
        ensure!(worth.iter().all(|nav| *nav == worth[0]), "one fund, several values: {worth:?}");
        Ok(())
    }

    fn fundctl(&self, server: &str, cluster: &str) -> Command {
        let mut command = Command::new(self.programs.join("fundctl"));
        command.args(["--server", server, "--cluster", cluster]);
        command
    }

    fn a_stream_outlives_its_pod(&self) -> Result<()> {
        for _ in 0..TRIES {
            if let Some(seen) = self.watch_and_kill()? {
                seen.whole()?;
                passed(&format!(
                    "stream on {}, task on {}: {} killed after step {KILL_AFTER} of {STEPS}, the stream went on at {}; \
                     each step and the end came once, in order",
                    seen.streams[0],
                    seen.task_pod,
                    seen.streams[0],
                    seen.streams[seen.streams.len() - 1],
                ));
                return Ok(());
            }
        }
        bail!("{TRIES} times in a row, stream and task came to the same pod");
    }

    /// Watches a task, and kills the pod of the stream in the middle of it; `None` where that one runs the task too.
    fn watch_and_kill(&self) -> Result<Option<Seen>> {
        let mut command = self.fundctl(&self.server, "cluster1");
        command.args(["task", "start", "-", "--watch", "--timeout", "60s"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("cannot start fundctl")?;
        let body = format!(r#"{{"kind": "steps", "count": {STEPS}, "delayMs": {STEP_MS}}}"#);
        child.stdin.take().context("fundctl has no input")?.write_all(body.as_bytes())?;
        let mut seen = Seen::default();
        let mut killed = false;
        for line in BufReader::new(child.stdout.take().context("fundctl has no output")?).lines() {
            seen.read(&line?);
            if killed || seen.steps.len() < KILL_AFTER {
                continue;
            }
            let holder = seen.streams.first().context("steps came before the stream was open")?;
            if *holder == seen.task_pod {
                child.kill().context("cannot end fundctl")?;
                child.wait()?;
                return Ok(None);
            }
            process::output(self.compose().args(["kill", holder]))?;
            killed = true;
        }
        let status = child.wait()?;
        ensure!(status.success(), "fundctl ended with {status}");
        Ok(Some(seen))
    }

    fn redis_and_its_replica_hold_the_same(&self) -> Result<()> {
        let ask = |service: &str, question: &[&str]| {
            let exec = ["exec", "-T", service, "redis-cli", "-e"];
            process::output(self.compose().args(exec).args(question))
        };
        let keys = ask("redis", &["--scan"])?;
        let mut kinds: Vec<&str> = keys.lines().filter_map(|key| key.split(':').next()).collect();
        let number = kinds.len();
        kinds.sort_unstable();
        kinds.dedup();
        ensure!(number > 0, "Redis holds nothing, and yet tasks ran");
        let start = Instant::now();
        // Keys come and go with pods and streams, so both are asked until they agree.
        while ask("redis", &["DBSIZE"])? != ask("redis-replica", &["DBSIZE"])? {
            ensure!(start.elapsed() < REPLICA_LIMIT, "the replica never has as many keys as the primary");
        }
        passed(&format!("Redis holds {number} keys ({}), its replica as many", kinds.join(", ")));
        Ok(())
    }

    fn finished_tasks(&self) -> Result<String> {
        // A new `up` may publish another port.
        let mut list = self.fundctl(&self.address("gateway", 8000)?, "cluster1");
        let tasks =
            process::output(list.args(["task", "list", "--status", "completed", "--output", "json"]))?;
        ensure!(tasks.contains("COMPLETED"), "no task is known to have ended: {tasks}");
        Ok(tasks)
    }

    fn everything_drains_in_time(&self) -> Result<()> {
        let start = Instant::now();
        process::output(self.compose().arg("stop"))?;
        let seconds = start.elapsed().as_secs_f64();
        let containers = self.containers()?;
        for (service, container) in &containers {
            let code = &container["State"]["ExitCode"];
            ensure!(*code == 0, "{service} ended with {code} when it was stopped");
        }
        passed(&format!("all {} stopped by themselves in {seconds:.1} s, exit code 0", containers.len()));
        Ok(())
    }

    fn remove(&self) -> Result<()> {
        process::output(self.compose().args(["down", "--volumes", "--remove-orphans"]))?;
        let label = format!("label=com.docker.compose.project={PROJECT}");
        for list in [&["ps", "--all"][..], &["network", "ls"], &["volume", "ls"]] {
            let mut command = self.docker.command();
            let left = process::output(command.args(list).args(["--quiet", "--filter", &label]))?;
            ensure!(left.trim().is_empty(), "`down` left something: docker {}: {left}", list.join(" "));
        }
        Ok(())
    }
}

fn passed(what: &str) {
    say::line(&format!("ok  {what}"));
}

fn id(container: &Value) -> Result<&str> {
    container["Id"].as_str().context("a container has an id")
}

fn runs(container: &Value, program: &str) -> bool {
    container["Path"].as_str().is_some_and(|path| path.trim_start_matches('/') == program)
}

/// What a watched task printed.
#[derive(Debug, Default)]
struct Seen {
    /// The pods that held the stream, one after the other.
    streams: Vec<String>,
    task_pod: String,
    /// The steps, as they came.
    steps: Vec<usize>,
    /// How often it completed.
    ends: usize,
}

impl Seen {
    /// One line of `fundctl`: the name of an event, then words, of which some are `key=value` and one `done/total`.
    fn read(&mut self, line: &str) {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let pod = words.clone().find_map(|word| word.strip_prefix("pod=")).map(host);
        let done = words.find_map(|word| word.split_once('/')?.0.parse().ok());
        match (name, pod, done) {
            ("CONNECTED", Some(pod), _) => self.streams.push(pod.to_owned()),
            ("SUBTASK_COMPLETED", Some(pod), Some(step)) => {
                pod.clone_into(&mut self.task_pod);
                self.steps.push(step);
            }
            ("COMPLETED", ..) => self.ends += 1,
            _ => {}
        }
    }

    fn whole(&self) -> Result<()> {
        let expected: Vec<usize> = (1..=STEPS).collect();
        ensure!(self.steps == expected, "the steps came as {:?}", self.steps);
        ensure!(self.ends == 1, "the task completed {} times", self.ends);
        ensure!(self.streams.len() > 1, "the stream never moved, though its pod was killed");
        Ok(())
    }
}

/// `pod1` of `pod-pod1-9090` or `pod-pod1-9090~nonce`.
fn host(pod: &str) -> &str {
    let name = pod.split('~').next().unwrap_or(pod);
    let name = name.strip_prefix("pod-").unwrap_or(name);
    name.rsplit_once('-').map_or(name, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_watched_task_tell_pods_steps_and_end() {
        let mut seen = Seen::default();
        for line in [
            "CONNECTED connection=a id=x.0 pod=pod-pod1-9090~6x2xuppk",
            "PROCESSING task=a pod=pod-pod2-9090 counting to 40",
            "SUBTASK_COMPLETED task=a 1/40 pod=pod-pod2-9090 step 1 of 40",
            "COMPLETED task=a 40/40 pod=pod-pod2-9090 done",
        ] {
            seen.read(line);
        }
        assert_eq!((seen.streams, seen.task_pod.as_str()), (vec!["pod1".to_owned()], "pod2"));
        assert_eq!((seen.steps, seen.ends), (vec![1], 1));
    }

    #[test]
    fn a_repeated_a_missing_and_an_unmoved_stream_are_not_whole() {
        let whole = |steps: Vec<usize>, ends, streams: &[&str]| {
            let streams = streams.iter().map(|pod| (*pod).to_owned()).collect();
            Seen { streams, task_pod: String::new(), steps, ends }.whole().is_ok()
        };
        let all = || (1..=STEPS).collect::<Vec<_>>();
        assert!(whole(all(), 1, &["pod1", "pod2"]));
        assert!(!whole(all()[1..].to_vec(), 1, &["pod1", "pod2"]));
        assert!(!whole([vec![1], all()].concat(), 1, &["pod1", "pod2"]));
        assert!(!whole(all(), 2, &["pod1", "pod2"]));
        assert!(!whole(all(), 1, &["pod1"]));
    }
}
