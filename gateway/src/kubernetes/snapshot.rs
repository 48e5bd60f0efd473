//! What a gateway knew last, on disk: for a start while the API server is away.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::book::Saved;

/// Of the shape below. Another is not read: what is there is asked for anyway.
const VERSION: u32 = 1;

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

/// Writes it: all of it or nothing. Of thousands of routes it takes some time, on a thread for that.
pub(super) fn write(folder: &Path, book: &Saved) -> Result<(), SnapshotError> {
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
