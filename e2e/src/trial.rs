//! One test: its name, its figures, and who may run beside it.

use std::{
    any::Any,
    fmt::Display,
    fs::OpenOptions,
    io::Write as _,
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures::FutureExt as _;
use kube::Client;
use serde::Serialize;
use tokio::{
    sync::RwLock,
    time::{Instant, sleep},
};

use crate::{Stage, release};

/// Held by whoever breaks what others stand on; shared by everybody else.
static HOUSE: RwLock<()> = RwLock::const_new(());

/// Between two looks at whether the house is empty.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A test that runs.
pub struct Trial {
    /// The cluster.
    pub stage: Stage,
    /// A client of its API server.
    pub client: Client,
    name: String,
    figures: Mutex<Vec<Figure>>,
}

#[derive(Clone, Debug, Serialize)]
struct Figure {
    what: String,
    value: String,
}

impl std::fmt::Debug for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trial").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A line of the results.
#[derive(Debug, Serialize)]
struct Line<'a> {
    name: &'a str,
    passed: bool,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    seconds: f64,
    figures: Vec<Figure>,
}

impl Trial {
    /// Runs a test beside others, with the release installed.
    ///
    /// # Errors
    /// Those of the test, and of writing its result down.
    pub async fn beside(test: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<()> {
        let _shared = HOUSE.read().await;
        Self::play(test).await
    }

    /// Runs a test alone, with the release installed: it breaks what the others stand on.
    ///
    /// # Errors
    /// Those of the test, and of writing its result down.
    pub async fn alone(test: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<()> {
        // Asked for rather than waited for: who waits in line keeps those behind it waiting, who could run beside others.
        let _alone = loop {
            match HOUSE.try_write() {
                Ok(alone) => break alone,
                Err(_) => sleep(LOOK_AGAIN).await,
            }
        };
        Self::play(test).await
    }

    async fn play(test: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<()> {
        let trial = Self::begin().await?;
        release::installed(&trial.stage).await?;
        trial.run(test).await
    }

    async fn begin() -> Result<Self> {
        let stage = Stage::find()?;
        let client = stage.client().await?;
        // The test harness calls the thread after the test.
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        Ok(Self { stage, client, name, figures: Mutex::default() })
    }

    async fn run(&self, test: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<()> {
        let begun = Instant::now();
        let outcome = AssertUnwindSafe(test(self)).catch_unwind().await;
        let why = match &outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{error:#}")),
            Err(panic) => Some(said(panic.as_ref())),
        };
        let figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let line = Line {
            name: &self.name,
            passed: why.is_none(),
            why,
            seconds: begun.elapsed().as_secs_f64(),
            figures,
        };
        self.write_down(&line).context("cannot write the result down")?;
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// A figure for the report.
    pub fn figure(&self, what: &str, value: impl Display) {
        let figure = Figure { what: what.to_owned(), value: value.to_string() };
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).push(figure);
    }

    /// What the test is called, for names of objects: short, lower case, with hyphens.
    pub(crate) fn short(&self) -> String {
        let name = self.name.rsplit("::").next().unwrap_or("test");
        name.chars().take(24).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
    }

    /// Where what this test leaves for people goes.
    pub fn results(&self) -> PathBuf {
        self.stage.results.join(self.name.replace("::", "-"))
    }

    fn write_down(&self, line: &Line<'_>) -> Result<()> {
        std::fs::create_dir_all(&self.stage.results)?;
        let path = self.stage.results.join("results.jsonl");
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        // In one write, so that lines of tests that end together stay whole.
        file.write_all(format!("{}\n", serde_json::to_string(line)?).as_bytes())?;
        Ok(())
    }
}

/// What a panic said: words, unless somebody panicked with something else.
fn said(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked without a word").to_owned()
}
