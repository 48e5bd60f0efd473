//! What a gateway knew last, on disk: for a start while the API server is away.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::book::Saved;

/// Of the shape below. Another is not read: what is there is asked for anyway.
const VERSION: u32 = 1;

/// Of a thread, as Linux counts.
#[cfg(target_os = "linux")]
const LOWEST_PRIORITY: i32 = 19;

/// The file.
const FILE: &str = "routes.json";

#[derive(Serialize, Deserialize)]
struct Snapshot<T> {
    version: u32,
    book: T,
}

/// What every version of the shape has.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    /// The disk.
    #[error("{}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its text.
    #[error("{} is no snapshot of this version", path.display())]
    Shape {
        /// Where.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Its thread.
    #[error("no thread to write it")]
    NoThread(#[source] io::Error),
    /// A panic, which has told itself.
    #[error("broke off by an internal error")]
    BrokeOff,
}

/// Reads the snapshot of a folder; none where there is none yet, or one of another version.
pub(super) async fn read(folder: &Path) -> Result<Option<Saved>, SnapshotError> {
    let path = folder.join(FILE);
    let text = match tokio::fs::read(&path).await {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SnapshotError::Io { path, source }),
    };
    let head: Result<Head, _> = serde_json::from_slice(&text);
    if head.is_ok_and(|head| head.version != VERSION) {
        return Ok(None);
    }
    match serde_json::from_slice::<Snapshot<Saved>>(&text) {
        Ok(snapshot) => Ok(Some(snapshot.book)),
        Err(source) => Err(SnapshotError::Shape { path, source }),
    }
}

/// Writes it: all of it or nothing. Of thousands of routes that takes some time: on a thread that has a processor when
/// nobody else wants it, so that neither traffic nor the next change waits.
pub(super) async fn write(folder: PathBuf, book: Saved) -> Result<(), SnapshotError> {
    let (done, result) = oneshot::channel();
    thread::Builder::new()
        .name("snapshot".to_owned())
        .spawn(move || {
            give_way();
            // Nobody waits any more where the gateway ends.
            let _ = done.send(write_now(&folder, &book));
        })
        .map_err(SnapshotError::NoThread)?;
    result.await.unwrap_or(Err(SnapshotError::BrokeOff))
}

/// Lets all other threads of the machine go first; elsewhere than on Linux the whole process would.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        use fundbond_service_runtime::exit::chain;

        if let Err(error) = rustix::process::setpriority_process(None, LOWEST_PRIORITY) {
            tracing::debug!(
                error = chain(&error),
                "the snapshot is written at the priority of everything else"
            );
        }
    }
}

fn write_now(folder: &Path, book: &Saved) -> Result<(), SnapshotError> {
    let (path, new) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
    let text = serde_json::to_vec(&Snapshot { version: VERSION, book }).expect("a book is JSON");
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| SnapshotError::Io { path, source }
    };
    fs::create_dir_all(folder).map_err(io(folder))?;
    fs::write(&new, text).map_err(io(&new))?;
    fs::rename(&new, &path).map_err(io(&path))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn who_writes_gives_way_and_nobody_else_does() {
        let before = getpriority_process(None).unwrap();
        let writing = thread::spawn(|| {
            give_way();
            getpriority_process(None).unwrap()
        });
        assert_eq!(writing.join().unwrap(), LOWEST_PRIORITY);
        assert_eq!(getpriority_process(None).unwrap(), before);
    }
}
