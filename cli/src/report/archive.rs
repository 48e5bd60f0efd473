//! A zip that only its owner reads.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use zip::{CompressionMethod, ZipWriter, result::ZipError, write::SimpleFileOptions};

use super::Taken;

/// Why an archive could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is there already, or its folder is not.
    #[error("cannot make {file}")]
    Open {
        /// Which.
        file: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The disk does not take it.
    #[error("cannot write {file}")]
    Write {
        /// Which.
        file: String,
        /// Why not.
        #[source]
        source: ZipError,
    },
}

/// An archive that is being written. Until it is finished, the file goes with it.
pub struct Archive {
    path: PathBuf,
    zip: Option<ZipWriter<File>>,
    taken: Vec<Taken>,
}

impl Archive {
    /// A new file, which nobody else may read. One that is there already is left alone.
    ///
    /// # Errors
    /// See [`ArchiveError::Open`].
    pub fn create(path: &Path) -> Result<Self, ArchiveError> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options
            .open(path)
            .map_err(|source| ArchiveError::Open { file: path.display().to_string(), source })?;
        Ok(Self { path: path.to_owned(), zip: Some(ZipWriter::new(file)), taken: Vec::new() })
    }

    /// What is in it.
    pub fn taken(&self) -> &[Taken] {
        &self.taken
    }

    /// One more file.
    ///
    /// # Errors
    /// See [`ArchiveError::Write`].
    pub fn add(&mut self, file: &str, what: &str, text: &str) -> Result<(), ArchiveError> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .unix_permissions(0o600);
        let written = match &mut self.zip {
            Some(zip) => zip
                .start_file(file, options)
                .and_then(|()| zip.write_all(text.as_bytes()).map_err(ZipError::from)),
            None => Ok(()),
        };
        written.map_err(|source| self.failed(source))?;
        self.taken.push(Taken { file: file.to_owned(), what: what.to_owned(), bytes: text.len() });
        Ok(())
    }

    /// Writes what a reader looks for first, and keeps the file.
    ///
    /// # Errors
    /// See [`ArchiveError::Write`].
    pub fn finish(mut self) -> Result<PathBuf, ArchiveError> {
        if let Some(zip) = self.zip.take() {
            let finished = zip.finish().and_then(|file| file.sync_all().map_err(ZipError::from));
            if let Err(source) = finished {
                let error = self.failed(source);
                remove(&self.path);
                return Err(error);
            }
        }
        Ok(self.path.clone())
    }

    fn failed(&self, source: ZipError) -> ArchiveError {
        ArchiveError::Write { file: self.path.display().to_string(), source }
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        // Half a report looks like a whole one.
        if self.zip.take().is_some() {
            remove(&self.path);
        }
    }
}

fn remove(path: &Path) {
    // That it could not be written is told already.
    let _ = fs::remove_file(path);
}
