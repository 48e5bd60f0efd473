//! Files and folders of manifests.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use super::{File, ManifestError};
use crate::{args::manifest::Manifests, error::Error};

/// What `kubectl apply` takes of a folder.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// Reads everything that the command line names, folders by the names of their files.
///
/// # Errors
/// Something cannot be read, or a folder has no manifest.
pub fn read(manifests: &Manifests) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    for path in manifests.paths() {
        if path.is_dir() {
            let before = files.len();
            folder(path, manifests.recursive, &mut files)?;
            if files.len() == before {
                let folder = path.display().to_string();
                return Err(ManifestError::NoFile { folder, recursive: manifests.recursive }.into());
            }
        } else {
            files.push(one(path)?);
        }
    }
    Ok(files)
}

/// Reads one file; `-` is standard input.
///
/// # Errors
/// It cannot be read.
pub fn one(path: &Path) -> Result<File, Error> {
    let (name, text) = if path == Path::new("-") {
        let mut text = String::new();
        ("standard input".to_owned(), io::stdin().lock().read_to_string(&mut text).map(|_| text))
    } else {
        (path.display().to_string(), fs::read_to_string(path))
    };
    match text {
        Ok(text) => Ok(File { name, text }),
        Err(source) => Err(Error::Read { file: name, source }),
    }
}

fn folder(path: &Path, recursive: bool, files: &mut Vec<File>) -> Result<(), Error> {
    let unreadable = |source| Error::Read { file: path.display().to_string(), source };
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?.path());
    }
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            if recursive {
                folder(&entry, recursive, files)?;
            }
        } else if entry
            .extension()
            .is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known))
        {
            files.push(one(&entry)?);
        }
    }
    Ok(())
}
