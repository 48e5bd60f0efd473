//! A text file that others write while a process reads it: an editor, a rename, a ConfigMap of Kubernetes.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval, timeout},
};

use crate::exit::chain;

/// The file is read once nothing touched it for this long: a writer that truncates and then writes is seen
/// once, not half way.
const QUIET: Duration = Duration::from_millis(10);

/// A file that never comes to rest is read anyway after this many quiet times were waited for (250 ms).
const MOST_WAITS: usize = 25;

/// Watches can get lost (descriptors run out, a file system reports nothing): the file is compared this
/// often whatever they say. One read of a cached file.
const POLL: Duration = Duration::from_secs(5);

/// A watched file.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    /// The text read last: an edit is a text that differs. None while the file is away.
    seen: Option<String>,
    events: mpsc::Receiver<()>,
    /// Ends the watch with it.
    _watcher: Option<RecommendedWatcher>,
    poll: Interval,
}

impl WatchedFile {
    /// Begins to watch, and reads for the first time.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn open(path: PathBuf) -> io::Result<(Self, String)> {
        // One pending event is as good as many: the file is read whole.
        let (told, events) = mpsc::channel(1);
        // Before the first look, so that no edit falls between the two.
        let watcher = watcher(&path, told)
            .inspect_err(|error| {
                tracing::warn!(path = %path.display(), error = chain(error), pollSeconds = POLL.as_secs(), "a file is only polled");
            })
            .ok();
        let text = tokio::fs::read_to_string(&path).await?;
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok((Self { path, seen: Some(text.clone()), events, _watcher: watcher, poll }, text))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its text, once that is another than it was.
    ///
    /// # Errors
    /// It cannot be read any more. That is said once: when it comes back, that is an edit.
    pub async fn changed(&mut self) -> io::Result<String> {
        loop {
            tokio::select! {
                Some(()) = self.events.recv() => {}
                _ = self.poll.tick() => if self.read().await.ok() == self.seen { continue },
            }
            self.come_to_rest().await;
            match self.read().await {
                Ok(text) if self.seen.as_ref() == Some(&text) => {}
                Ok(text) => {
                    self.seen = Some(text.clone());
                    return Ok(text);
                }
                Err(error) if self.seen.take().is_some() => return Err(error),
                Err(_) => {}
            }
        }
    }

    async fn read(&self) -> io::Result<String> {
        tokio::fs::read_to_string(&self.path).await
    }

    /// Waits until no event came for a while.
    async fn come_to_rest(&mut self) {
        for _ in 0..MOST_WAITS {
            if timeout(QUIET, self.events.recv()).await.is_err() {
                return;
            }
        }
    }
}

/// Tells `told` whenever something happens to the file at `path`.
fn watcher(path: &Path, told: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let name = path.file_name().map(OsString::from).unwrap_or_default();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // An error of the watch itself is a reason to look as well.
        if event.map_or(true, |event| concerns(&event, &name)) {
            // Full: a look is due anyway. Closed: nobody watches any more.
            let _ = told.try_send(());
        }
    })?;
    // The directory, not the file: editors and ConfigMaps replace the file by another of its name.
    let directory = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// Whether `event` may have changed the file `name`: it was touched itself, or is a link through a name that
/// begins with two dots, which is how a ConfigMap swaps all its files at once.
fn concerns(event: &notify::Event, name: &OsString) -> bool {
    use notify::event::{AccessKind, AccessMode, EventKind};
    let writes = match event.kind {
        // Our own reading is an event, too.
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    };
    writes
        && event
            .paths
            .iter()
            .filter_map(|path| path.file_name())
            .any(|touched| touched == name || touched.as_encoded_bytes().starts_with(b".."))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    /// By then an edit is seen: far more than the watch takes, and more than the poll.
    const SOON: Duration = Duration::from_secs(20);

    async fn next(file: &mut WatchedFile) -> io::Result<String> {
        timeout(SOON, file.changed()).await.expect("an edit is seen")
    }

    #[tokio::test]
    async fn every_edit_is_seen_and_no_other_touch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings");
        fs::write(&path, "one").unwrap();
        let (mut file, text) = WatchedFile::open(path.clone()).await.unwrap();
        assert_eq!((text.as_str(), file.path()), ("one", path.as_path()));
        fs::write(&path, "one").unwrap();
        fs::write(folder.path().join("new"), "two").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(next(&mut file).await.unwrap(), "two");
    }

    #[tokio::test]
    async fn a_file_that_goes_is_missed_once_and_its_return_is_an_edit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings");
        assert!(WatchedFile::open(path.clone()).await.is_err());
        fs::write(&path, "one").unwrap();
        let (mut file, _) = WatchedFile::open(path.clone()).await.unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(next(&mut file).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(folder.path().join("new"), "one").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(next(&mut file).await.unwrap(), "one", "as it was, and yet it was away");
    }

    /// As the kubelet does it: `settings` leads through `..data` to a folder with a name of the time.
    #[tokio::test]
    async fn the_swap_of_a_config_map_is_an_edit() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (version, text) in [("..1", "one"), ("..2", "two")] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("settings"), text).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/settings", at("settings")).unwrap();
        let (mut file, text) = WatchedFile::open(at("settings")).await.unwrap();
        assert_eq!(text, "one");
        symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_eq!(next(&mut file).await.unwrap(), "two");
    }
}
