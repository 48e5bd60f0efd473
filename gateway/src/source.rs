//! Watches a route file and applies what it says.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use fundbond_service_runtime::watched_file::WatchedFile;

use crate::{
    decide::RouteTable,
    gateway::Gateway,
    route_file::{self, RouteFileError},
};

/// Why a route file was not applied.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot read the route file {}", path.display())]
    Read {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It cannot be applied.
    #[error("route file {} is not valid", path.display())]
    Invalid {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        source: RouteFileError,
    },
}

/// A watched route file.
#[derive(Debug)]
pub(crate) struct FileSource(WatchedFile);

impl FileSource {
    /// Reads and validates `path` for the first time.
    pub(crate) async fn open(path: PathBuf) -> Result<(Self, RouteTable), LoadError> {
        let opened = WatchedFile::open(path.clone()).await;
        let (file, text) = opened.map_err(|source| LoadError::Read { path, source })?;
        let table = check(file.path(), &text)?;
        Ok((Self(file), table))
    }

    /// Applies edits until it is dropped.
    pub(crate) async fn watch(mut self, gateway: Arc<Gateway>) {
        loop {
            let changed = self.0.changed().await;
            let path = self.0.path();
            let table = changed
                .map_err(|source| LoadError::Read { path: path.to_owned(), source })
                .and_then(|text| check(path, &text));
            match table {
                Ok(table) => gateway.apply(table).await,
                Err(error) => gateway.reload_failed(&error),
            }
        }
    }
}

fn check(path: &Path, text: &str) -> Result<RouteTable, LoadError> {
    route_file::parse(text).map_err(|source| LoadError::Invalid { path: path.to_owned(), source })
}
