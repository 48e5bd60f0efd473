//! Settings that may change while a pod runs, and the file that changes them.

use std::{io, path::PathBuf, time::Duration};

use clap::Args;
use fundbond_protocol::event::HEARTBEAT_INTERVAL;
use fundbond_service_runtime::{config::duration, exit::chain, watched_file::WatchedFile};
use serde::{Deserialize, Deserializer, de::Error as _};
use tokio::sync::watch;

use super::some_time;
use crate::metrics::{Metrics, OutcomeLabels};

/// What a pod may be told anew while it runs.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveSettings {
    /// Streams at once; one more is sent away for a few seconds.
    #[arg(long, env = "FUND_MAX_STREAMS", default_value_t = 10_000)]
    pub max_streams: usize,
    /// A stream this old ends and resumes elsewhere (up to a tenth earlier).
    #[arg(long, env = "FUND_MAX_STREAM_AGE", default_value = "30m", value_parser = some_time)]
    pub max_stream_age: Duration,
    /// First heartbeat of a stream.
    #[arg(long, env = "FUND_HEARTBEAT_FIRST", default_value = "2s", value_parser = duration)]
    pub heartbeat_first: Duration,
    /// Time between heartbeats of a stream.
    #[arg(long, env = "FUND_HEARTBEAT_INTERVAL", default_value = "10s", value_parser = some_time)]
    pub heartbeat_interval: Duration,
    /// Time from SIGTERM to the end: streams are sent away over its first half. Tasks are given back to
    /// the cluster at once, or may use all of it where nobody shares the store.
    #[arg(long, env = "FUND_DRAIN_GRACE", default_value = "30s", value_parser = duration)]
    pub drain_grace: Duration,
}

impl LiveSettings {
    /// What pods do where nobody says anything.
    pub const USUAL: Self = Self {
        max_streams: 10_000,
        max_stream_age: Duration::from_mins(30),
        heartbeat_first: Duration::from_secs(2),
        heartbeat_interval: HEARTBEAT_INTERVAL,
        drain_grace: Duration::from_secs(30),
    };

    /// Over what time a drain spreads the farewells: half the grace, so that a client that is sent away last
    /// still sees its farewell before the deadline.
    pub fn drain_spread(&self) -> Duration {
        self.drain_grace / 2
    }

    /// The same, but for what `text` says.
    ///
    /// # Errors
    /// It is no YAML of this kind.
    pub fn with(self, text: &str) -> Result<Self, Unclear> {
        let yaml = yaml_serde::Deserializer::from_str(text);
        // An empty file says nothing.
        let said: Option<Said> = serde_path_to_error::deserialize(yaml)?;
        let said = said.unwrap_or_default();
        Ok(Self {
            max_streams: said.max_streams.unwrap_or(self.max_streams),
            max_stream_age: said.max_stream_age.map_or(self.max_stream_age, |age| age.0),
            heartbeat_first: said.heartbeat.initial_delay.map_or(self.heartbeat_first, |delay| delay.0),
            heartbeat_interval: said
                .heartbeat
                .interval
                .map_or(self.heartbeat_interval, |interval| interval.0),
            drain_grace: said.drain.grace_period.map_or(self.drain_grace, |grace| grace.0),
        })
    }
}

/// The file: the words of `spec.pods` in a FundCluster.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Said {
    max_streams: Option<usize>,
    max_stream_age: Option<SomeTime>,
    heartbeat: SaidHeartbeat,
    drain: SaidDrain,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct SaidHeartbeat {
    initial_delay: Option<Time>,
    interval: Option<SomeTime>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct SaidDrain {
    grace_period: Option<Time>,
}

#[derive(Debug)]
struct Time(Duration);

#[derive(Debug)]
struct SomeTime(Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        duration(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for SomeTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        some_time(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

/// What is wrong with a text, and at which field.
pub type Unclear = serde_path_to_error::Error<yaml_serde::Error>;

/// Why a file of live settings is not followed.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// It cannot be read.
    #[error("cannot read the live settings {}", path.display())]
    Read {
        /// Where they should be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It says what cannot be.
    #[error("the live settings {} are not valid", path.display())]
    Invalid {
        /// Where they are.
        path: PathBuf,
        /// What is wrong with them.
        source: Unclear,
    },
}

/// The settings of the moment. All clones are told the same.
#[derive(Clone, Debug)]
pub struct Live(watch::Receiver<LiveSettings>);

impl Live {
    /// Settings that never change.
    pub fn fixed(settings: LiveSettings) -> Self {
        Self(watch::Sender::new(settings).subscribe())
    }

    /// As they are now.
    pub fn now(&self) -> LiveSettings {
        *self.0.borrow()
    }
}

/// A file that is followed.
#[derive(Debug)]
pub struct LiveFile {
    file: WatchedFile,
    /// What holds where the file says nothing.
    otherwise: LiveSettings,
    told: watch::Sender<LiveSettings>,
}

impl LiveFile {
    /// Reads the file for the first time. What it does not say is as in `otherwise`.
    ///
    /// # Errors
    /// See [`LiveError`].
    pub async fn open(path: PathBuf, otherwise: LiveSettings) -> Result<(Self, Live), LiveError> {
        let opened = WatchedFile::open(path.clone()).await;
        let (file, text) = opened.map_err(|source| LiveError::Read { path, source })?;
        let settings = read(&file, &text, otherwise)?;
        let told = watch::Sender::new(settings);
        let live = Live(told.subscribe());
        Ok((Self { file, otherwise, told }, live))
    }

    /// Tells each edit until it is dropped. What cannot be read or understood changes nothing.
    pub async fn follow(mut self, metrics: &Metrics) {
        loop {
            let changed = self.file.changed().await;
            let settings = changed
                .map_err(|source| LiveError::Read { path: self.file.path().to_owned(), source })
                .and_then(|text| read(&self.file, &text, self.otherwise));
            let outcome = match settings {
                Ok(settings) => {
                    tracing::info!(path = %self.file.path().display(), settings = ?settings, "settings changed");
                    self.told.send_replace(settings);
                    "applied"
                }
                Err(error) => {
                    tracing::error!(error = chain(&error), "settings stay as they were");
                    "refused"
                }
            };
            metrics.live_settings.get_or_create(&OutcomeLabels { outcome }).inc();
        }
    }
}

fn read(file: &WatchedFile, text: &str, otherwise: LiveSettings) -> Result<LiveSettings, LiveError> {
    otherwise.with(text).map_err(|source| LiveError::Invalid { path: file.path().to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays_and_what_cannot_be_names_itself() {
        let usual = LiveSettings::USUAL;
        assert_eq!(usual.with("").unwrap(), usual);
        let said = usual.with("maxStreams: 7\nheartbeat: {interval: 1m30s}\n").unwrap();
        let heartbeat_interval = Duration::from_secs(90);
        assert_eq!(said, LiveSettings { max_streams: 7, heartbeat_interval, ..usual });
        for (text, named) in [
            ("maxStream: 7", "maxStream"),
            ("maxStreams: -1", "maxStreams"),
            ("maxStreamAge: 0s", "longer than nothing"),
            ("heartbeat: {interval: soon}", "heartbeat.interval"),
            ("heartbeat: {every: 1s}", "every"),
            ("drain: 5s", "drain"),
            ("- 1", "sequence"),
        ] {
            let error = usual.with(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
