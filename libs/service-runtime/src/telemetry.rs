//! Logs: JSON for machines, text for a terminal, always on stderr.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// Shape of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Readable lines.
    Text,
}

/// Flags every binary has.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// What to log, as `level` or `target=level,...`.
    #[arg(long = "log", env = "FUND_LOG", default_value = "info", value_name = "FILTER")]
    pub filter: String,
    /// Shape of log lines; text on a terminal, else JSON.
    #[arg(long = "log-format", env = "FUND_LOG_FORMAT", value_enum)]
    pub format: Option<LogFormat>,
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("--log (FUND_LOG) {filter:?} is not a filter; try `info` or `fundbond_gateway=debug,info`")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// A subscriber was installed before.
    #[error("logging was initialised twice")]
    Twice(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Installs the process-wide subscriber.
///
/// # Errors
/// A bad filter, or a second call.
pub fn init(args: &LogArgs) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder()
        .parse(&args.filter)
        .map_err(|source| TelemetryError::Filter { filter: args.filter.clone(), source })?;
    let terminal = std::io::stderr().is_terminal();
    let format = args.format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => builder.with_ansi(terminal && std::env::var_os("NO_COLOR").is_none()).try_init(),
    }
    .map_err(TelemetryError::Twice)
}
