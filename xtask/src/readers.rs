//! The two independent SSE readers of `libs/protocol/tests/differential`, and schemathesis for `pod-service`: their
//! packages are installed into the cache, keyed by the files that pin them, and the tests learn where from variables.

use crate::{cache, process, say, tools};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the directory that contains `node_modules` with the packages of `package-lock.json`.
pub const NODE_MODULES: &str = "FUNDBOND_NODE_MODULES";
/// Names the Python of an environment with the packages of `requirements.txt`.
pub const PYTHON: &str = "FUNDBOND_PYTHON";

/// Names the Python of an environment with schemathesis, as `pod-service/tests/schemathesis` pins it.
pub const SCHEMATHESIS: &str = "FUNDBOND_SCHEMATHESIS";

/// Where the readers and their lock files are, from the workspace root.
const FOLDER: &str = "libs/protocol/tests/differential";
/// The only files npm needs to see.
const NODE_FILES: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];
/// Prints what is installed, in the form of a requirements file.
const LIST_INSTALLED: &str = "import importlib.metadata as m\nfor d in m.distributions(): print(d.metadata['Name'] + '==' + d.version)";

/// Prepares all of them and returns the variables the tests are run with.
pub fn prepare(workspace: &Path) -> Result<[(&'static str, PathBuf); 3]> {
    let folder = workspace.join(FOLDER);
    let schemathesis = workspace.join("pod-service/tests/schemathesis");
    Ok([
        (NODE_MODULES, node(&folder)?),
        (PYTHON, python(&folder, PYTHON, "python")?),
        (SCHEMATHESIS, python(&schemathesis, SCHEMATHESIS, "schemathesis")?),
    ])
}

fn node(folder: &Path) -> Result<PathBuf> {
    tools::node()?;
    let files = NODE_FILES.iter().map(|name| read(&folder.join(name))).collect::<Result<Vec<_>>>()?;
    let locked = locked_packages(&files[1]).context("package-lock.json of the differential tests")?;
    let check = |directory: &Path| has_node_packages(directory, &locked);
    if let Some(given) = tools::given(NODE_MODULES, check) {
        return Ok(given);
    }
    let parts: Vec<&str> = files.iter().map(String::as_str).collect();
    let name = format!("readers/node-{}", cache::key(&parts));
    let directory = cache::entry(&cache::root()?, &name, |directory| {
        for (file, text) in NODE_FILES.iter().zip(&files) {
            fs::write(directory.join(file), text).with_context(|| format!("cannot write {file}"))?;
        }
        let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        process::run(Command::new("npm").args(arguments).current_dir(directory))
    })?;
    check(&directory).with_context(|| damaged(&directory))?;
    say::line(&format!("{NODE_MODULES}={}", directory.display()));
    Ok(directory)
}

/// An environment with the packages of the folder's `requirements.txt`.
fn python(folder: &Path, variable: &str, entry: &str) -> Result<PathBuf> {
    let requirements_path = folder.join("requirements.txt");
    let requirements = read(&requirements_path)?;
    let pinned = pinned_packages(&requirements)?;
    let check = |interpreter: &Path| has_python_packages(interpreter, &pinned);
    if let Some(given) = tools::given(variable, check) {
        return Ok(given);
    }
    tools::python()?;
    // An environment belongs to one interpreter: another one gets another entry.
    let identity = "import sys; print(sys.version); print(sys.base_prefix)";
    let interpreter = process::output(Command::new("python3").args(["-c", identity]))?;
    let name = format!("readers/{entry}-{}", cache::key(&[&requirements, &interpreter]));
    let directory = cache::entry(&cache::root()?, &name, |directory| {
        process::run(Command::new("python3").args(["-m", "venv"]).arg(directory))?;
        let arguments =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"];
        process::run(Command::new(directory.join("bin/python")).args(arguments).arg(&requirements_path))
    })?;
    let interpreter = directory.join("bin").join("python");
    check(&interpreter).with_context(|| damaged(&directory))?;
    say::line(&format!("{variable}={}", interpreter.display()));
    Ok(interpreter)
}

fn damaged(directory: &Path) -> String {
    format!("{} is damaged: remove it and run this again", directory.display())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Path inside the folder -> version, of every package the lock file pins.
fn locked_packages(lock: &str) -> Result<BTreeMap<String, String>> {
    let lock: serde_json::Value = serde_json::from_str(lock)?;
    let packages = lock["packages"].as_object().context("no `packages`")?;
    let named = packages.iter().filter(|(path, _)| !path.is_empty());
    named
        .map(|(path, package)| {
            let version = package["version"].as_str().with_context(|| format!("{path} has no version"))?;
            Ok((path.clone(), version.to_owned()))
        })
        .collect()
}

fn has_node_packages(directory: &Path, locked: &BTreeMap<String, String>) -> Result<()> {
    for (path, version) in locked {
        let manifest: serde_json::Value =
            serde_json::from_str(&read(&directory.join(path).join("package.json"))?)?;
        if manifest["version"].as_str() != Some(version) {
            bail!("{path} is version {}, the lock file says {version}", manifest["version"]);
        }
    }
    Ok(())
}

/// Name -> version, of every line `name==version ...`; anything less exact is refused.
fn pinned_packages(requirements: &str) -> Result<BTreeMap<String, String>> {
    // A line that begins with `--hash` goes on from the one before.
    let is_package = |line: &&str| !line.is_empty() && !line.starts_with('#') && !line.starts_with("--hash=");
    let lines = requirements.lines().map(str::trim).filter(is_package);
    lines
        .map(|line| {
            let pin = line.split_whitespace().next().and_then(|word| word.split_once("=="));
            let (name, version) = pin.with_context(|| format!("`{line}` does not pin one version"))?;
            Ok((normal_name(name), version.to_owned()))
        })
        .collect()
}

fn has_python_packages(interpreter: &Path, pinned: &BTreeMap<String, String>) -> Result<()> {
    let listed = process::output(Command::new(interpreter).args(["-c", LIST_INSTALLED]))?;
    let installed = pinned_packages(&listed)?;
    for (name, version) in pinned {
        match installed.get(name) {
            Some(found) if found == version => {}
            Some(found) => bail!("{name} is version {found}, requirements.txt says {version}"),
            None => bail!("{name} is not installed"),
        }
    }
    Ok(())
}

/// Python packages are one and the same under `-`, `_` and any case.
fn normal_name(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_names_its_packages_and_not_the_project_itself() {
        let lock = r#"{"packages": {"": {"version": "0"}, "node_modules/a": {"version": "1.2.3"}}}"#;
        assert_eq!(
            locked_packages(lock).unwrap(),
            BTreeMap::from([("node_modules/a".into(), "1.2.3".into())])
        );
        assert!(locked_packages("{}").is_err());
    }

    #[test]
    fn a_node_directory_must_hold_the_locked_versions() {
        let directory = tempfile::tempdir().unwrap();
        let locked = BTreeMap::from([("node_modules/a".into(), "1.2.3".into())]);
        assert!(has_node_packages(directory.path(), &locked).is_err());
        let package = directory.path().join("node_modules/a");
        fs::create_dir_all(&package).unwrap();
        fs::write(package.join("package.json"), r#"{"version": "1.2.4"}"#).unwrap();
        assert!(has_node_packages(directory.path(), &locked).unwrap_err().to_string().contains("1.2.4"));
        fs::write(package.join("package.json"), r#"{"version": "1.2.3"}"#).unwrap();
        has_node_packages(directory.path(), &locked).unwrap();
    }

    #[test]
    fn requirements_must_pin_exact_versions() {
        let pinned =
            pinned_packages("# why\nhttpx_SSE==0.4.3 \\\n    --hash=sha256:00\n\nidna==3.20\n").unwrap();
        assert_eq!(
            pinned,
            BTreeMap::from([("httpx-sse".into(), "0.4.3".into()), ("idna".into(), "3.20".into())])
        );
        assert!(pinned_packages("httpx>=0.28").is_err());
    }

    #[test]
    fn a_python_without_the_packages_is_refused() {
        assert!(has_python_packages(Path::new("/no/such/python"), &BTreeMap::new()).is_err());
    }
}
