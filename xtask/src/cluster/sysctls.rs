//! Settings of the host's kernel that kubelets change for the whole machine, and nobody changes back.

use crate::{cache, say};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a kubelet wants otherwise (`protectKernelDefaults` off, as kind has it), by its place under /proc/sys.
const CHANGED: [&str; 3] = ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"];

/// Writes down what they are. What was written down before stands: a cluster may be up, or half of one.
pub(super) fn remember() -> Result<()> {
    remember_in(&file()?, Path::new("/proc/sys"))
}

/// Puts back what was written down.
pub(super) fn put_back() -> Result<()> {
    put_back_from(&file()?, Path::new("/proc/sys"))
}

fn file() -> Result<PathBuf> {
    Ok(cache::root()?.join("cluster").join("sysctls.json"))
}

fn remember_in(file: &Path, settings: &Path) -> Result<()> {
    if file.exists() || !settings.join(CHANGED[0]).exists() {
        // No such settings: Docker runs in a machine of its own, which is not ours to mend.
        return Ok(());
    }
    let mut values = BTreeMap::new();
    for name in CHANGED {
        values.insert(name, read(&settings.join(name))?);
    }
    let folder = file.parent().context("a file of the cache has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    // Under another name first: a half-written file would be what is put back.
    let new = file.with_extension("new");
    fs::write(&new, serde_json::to_vec(&values)?)
        .with_context(|| format!("cannot write {}", new.display()))?;
    fs::rename(&new, file).with_context(|| format!("cannot write {}", file.display()))
}

fn put_back_from(file: &Path, settings: &Path) -> Result<()> {
    if !file.exists() {
        return Ok(());
    }
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let values: BTreeMap<String, String> =
        serde_json::from_slice(&text).with_context(|| format!("{} is damaged", file.display()))?;
    let mut left = Vec::new();
    for (name, before) in values {
        let path = settings.join(&name);
        let (now, dotted) = (read(&path)?, name.replace('/', "."));
        if now == before {
            continue;
        }
        match fs::write(&path, &before) {
            Ok(()) => say::line(&format!("{dotted} is {before} again (it was {now})")),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                left.push(format!("{dotted}={before}"));
            }
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot set {} back from {now} to {before}", path.display()));
            }
        }
    }
    if !left.is_empty() {
        // Docker is enough to bring a cluster up. What is noted stays, for a `down` by root.
        say::line(&format!(
            "only root may put back what kubelets changed on this machine: sudo sysctl -w {}",
            left.join(" ")
        ));
        return Ok(());
    }
    fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))
}

fn read(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_the_first_cluster_is_put_back() {
        let place = tempfile::tempdir().unwrap();
        let (file, settings) = (place.path().join("cluster/sysctls.json"), place.path().join("sys"));
        for name in CHANGED {
            fs::create_dir_all(settings.join(name).parent().unwrap()).unwrap();
            fs::write(settings.join(name), "0\n").unwrap();
        }
        remember_in(&file, &settings).unwrap();
        fs::write(settings.join("kernel/panic"), "10\n").unwrap();
        // An `up` after one that was interrupted.
        remember_in(&file, &settings).unwrap();
        put_back_from(&file, &settings).unwrap();
        assert_eq!(read(&settings.join("kernel/panic")).unwrap(), "0");
        assert!(!file.exists());
        // Nothing to put back is no error.
        put_back_from(&file, &settings).unwrap();
    }
}
