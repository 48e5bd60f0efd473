//! Watches a route file and applies what it says.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use fundbond_service_runtime::exit::chain;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    decide::RouteTable,
    gateway::Gateway,
    route_file::{self, RouteFileError},
};

/// The file is read once nothing touched it for this long: a writer that truncates and then writes is seen
/// once, not half way.
const QUIET: Duration = Duration::from_millis(10);

/// A file that never comes to rest is read anyway after this many quiet times were waited for (250 ms).
const MOST_WAITS: usize = 25;

/// Watches can get lost (descriptors run out, a file system reports nothing): the file is compared this
/// often whatever they say. One read of a cached file.
const POLL: Duration = Duration::from_secs(5);

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
pub(crate) struct FileSource {
    path: PathBuf,
    /// The text read last, applied or not: an edit is a text that differs.
    seen: Option<String>,
}

impl FileSource {
    /// Reads and validates `path` for the first time.
    pub(crate) async fn open(path: PathBuf) -> Result<(Self, RouteTable), LoadError> {
        let text = read(&path).await?;
        let table = check(&path, &text)?;
        Ok((Self { path, seen: Some(text) }, table))
    }

    /// Applies edits until it is dropped.
    pub(crate) async fn watch(mut self, gateway: Arc<Gateway>) {
        // One pending event is as good as many: the file is read whole.
        let (told, mut events) = mpsc::channel::<()>(1);
        let _watcher = watcher(&self.path, told)
            .inspect_err(|error| {
                tracing::warn!(path = %self.path.display(), error = chain(error), pollSeconds = POLL.as_secs(), "the route file is only polled");
            })
            .ok();
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(()) = events.recv() => {}
                // The first tick comes at once and sees an edit made before the watch began.
                _ = poll.tick() => if !self.differs().await { continue },
            }
            come_to_rest(&mut events).await;
            self.reload(&gateway).await;
        }
    }

    /// Whether the file says something else than it last did.
    async fn differs(&self) -> bool {
        read(&self.path).await.ok() != self.seen
    }

    async fn reload(&mut self, gateway: &Gateway) {
        let text = read(&self.path).await;
        match text {
            Ok(text) if self.seen.as_ref() == Some(&text) => {}
            Ok(text) => {
                match check(&self.path, &text) {
                    Ok(table) => gateway.apply(table).await,
                    Err(error) => gateway.reload_failed(&error),
                }
                self.seen = Some(text);
            }
            // A file that stays away fails once. When it comes back, that is an edit.
            Err(error) if self.seen.is_some() => {
                gateway.reload_failed(&error);
                self.seen = None;
            }
            Err(_) => {}
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

async fn read(path: &Path) -> Result<String, LoadError> {
    let text = tokio::fs::read_to_string(path).await;
    text.map_err(|source| LoadError::Read { path: path.to_owned(), source })
}

fn check(path: &Path, text: &str) -> Result<RouteTable, LoadError> {
    route_file::parse(text).map_err(|source| LoadError::Invalid { path: path.to_owned(), source })
}

/// Waits until no event came for a while.
async fn come_to_rest(events: &mut mpsc::Receiver<()>) {
    for _ in 0..MOST_WAITS {
        if timeout(QUIET, events.recv()).await.is_err() {
            return;
        }
    }
}
