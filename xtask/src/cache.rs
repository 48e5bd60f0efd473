//! Things a chore had to fetch or build, kept outside the checkout so that the next run, also of a fresh clone,
//! finds them: `$XDG_CACHE_HOME/fundbond`, else `~/.cache/fundbond`.
//!
//! An entry is complete exactly when its marker file exists: it is written last, and an entry without one (a run
//! that was interrupted) is built again from nothing. A lock beside the entry keeps two runs apart.

use crate::say;
use anyhow::{Context, Result, bail};
use std::fs::{self, File, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

const MARKER: &str = ".complete";

/// The directory of all entries.
pub fn root() -> Result<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match (absolute("XDG_CACHE_HOME"), absolute("HOME")) {
        (Some(cache), _) => Ok(cache.join("fundbond")),
        (None, Some(home)) => Ok(home.join(".cache").join("fundbond")),
        (None, None) => bail!("no place for a cache: set HOME or XDG_CACHE_HOME to an absolute path"),
    }
}

/// Whether the entry `name` under `root` is there and whole.
pub fn is_complete(root: &Path, name: &str) -> bool {
    root.join(name).join(MARKER).exists()
}

/// The entry `name` under `root`, built by `build` into the directory it is given if it is not there yet.
pub fn entry(root: &Path, name: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let directory = root.join(name);
    let _lock = lock(root, name)?;
    if is_complete(root, name) {
        return Ok(directory);
    }
    if directory.exists() {
        say::line(&format!("an earlier run left {} unfinished: starting it again", directory.display()));
        fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    build(&directory)?;
    fs::write(directory.join(MARKER), "").with_context(|| format!("cannot mark {}", directory.display()))?;
    Ok(directory)
}

/// Keeps others away from `name` under `root` until the file is closed.
pub fn lock(root: &Path, name: &str) -> Result<File> {
    let (lock, path) = lock_file(root, name)?;
    lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(lock)
}

/// The same, unless somebody else does so already.
pub fn try_lock(root: &Path, name: &str) -> Result<Option<File>> {
    let (lock, path) = lock_file(root, name)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

fn lock_file(root: &Path, name: &str) -> Result<(File, PathBuf)> {
    let path = root.join(format!("{name}.lock"));
    let parent = path.parent().context("a cache entry has a directory above it")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let lock = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok((lock, path))
}

/// A short name for whatever an entry depends on. Another compiler may hash differently: that costs one rebuild.
pub fn key(parts: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_built_once_and_found_afterwards() {
        let root = tempfile::tempdir().unwrap();
        let build = |directory: &Path| Ok(fs::write(directory.join("file"), "built")?);
        let first = entry(root.path(), "tools/thing", build).unwrap();
        let second = entry(root.path(), "tools/thing", |_| bail!("built twice")).unwrap();
        assert_eq!(first, second);
        assert_eq!(fs::read_to_string(second.join("file")).unwrap(), "built");
    }

    #[test]
    fn an_unfinished_entry_is_built_again_from_nothing() {
        let root = tempfile::tempdir().unwrap();
        let interrupted = |directory: &Path| {
            fs::write(directory.join("half"), "")?;
            bail!("interrupted")
        };
        assert!(entry(root.path(), "thing", interrupted).is_err());
        let finished = entry(root.path(), "thing", |_| Ok(())).unwrap();
        assert!(!finished.join("half").exists());
    }

    #[test]
    fn keys_tell_their_parts_apart() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
    }
}
