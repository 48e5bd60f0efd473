//! Writes facts down as they happen, in memory and in a file.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use tokio::time::Instant;

use crate::fact::{Fact, What};

/// What has happened so far.
#[derive(Debug)]
pub struct History {
    begun: OnceLock<Instant>,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    facts: Vec<Fact>,
    file: BufWriter<File>,
    /// The first line that could not be written.
    broken: Option<io::Error>,
}

impl History {
    /// An empty one.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub fn new(path: &Path) -> io::Result<Self> {
        let file = BufWriter::new(File::create_new(path)?);
        let written = Mutex::new(Written { facts: Vec::new(), file, broken: None });
        Ok(Self { begun: OnceLock::new(), written })
    }

    /// When the run began: when this was asked first.
    pub fn begun(&self) -> Instant {
        *self.begun.get_or_init(Instant::now)
    }

    /// Writes down what happens now.
    pub fn say(&self, what: What) {
        let mut written = self.written();
        // Under the lock, so that times rise.
        let fact = Fact { at: self.begun().elapsed(), what };
        let line = serde_json::to_writer(&mut written.file, &fact).map_err(io::Error::from);
        if let Err(error) = line.and_then(|()| written.file.write_all(b"\n")) {
            written.broken.get_or_insert(error);
        }
        written.facts.push(fact);
    }

    /// How much is written.
    pub fn len(&self) -> usize {
        self.written().facts.len()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything from this place on.
    pub fn since(&self, place: usize) -> Vec<Fact> {
        self.written().facts[place..].to_vec()
    }

    /// Everything.
    ///
    /// # Errors
    /// Where the file could not be written.
    pub fn end(&self) -> io::Result<Vec<Fact>> {
        let mut written = self.written();
        if let Some(error) = written.broken.take() {
            return Err(error);
        }
        written.file.flush()?;
        Ok(std::mem::take(&mut written.facts))
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        // A panic elsewhere: what is written is whole.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
