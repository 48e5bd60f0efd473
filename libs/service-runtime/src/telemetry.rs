//! Logs: JSON for machines, text for a terminal, always on stderr.

#[cfg(feature = "captured")]
pub mod captured;
pub mod fields;
mod json;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::IsTerminal as _,
    panic,
    sync::atomic::{AtomicBool, Ordering},
};

use clap::{Args, ValueEnum};
use tracing_subscriber::{
    EnvFilter, Layer, fmt::MakeWriter, layer::SubscriberExt as _, registry::LookupSpan,
    util::SubscriberInitExt as _,
};

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
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Whether standard error is for machines from now on.
static SPEAKS_JSON: AtomicBool = AtomicBool::new(false);

/// Installs the process-wide subscriber, and lets panics speak through it.
///
/// # Errors
/// A bad filter, or a second call.
pub fn init(args: &LogArgs) -> Result<(), TelemetryError> {
    let filter = filter(&args.filter)?;
    let terminal = std::io::stderr().is_terminal();
    let format = args.format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => registry.with(json::JsonLines::new(std::io::stderr)).try_init(),
        LogFormat::Text => {
            let colours = terminal && std::env::var_os("NO_COLOR").is_none();
            let text = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(std::io::stderr);
            registry.with(text).try_init()
        }
    }
    .map_err(TelemetryError::Twice)?;
    SPEAKS_JSON.store(format == LogFormat::Json, Ordering::Relaxed);
    panic::set_hook(Box::new(told));
    Ok(())
}

/// What only repeats what we say ourselves: errors of a library that come back to us. A filter that names one has it.
const QUIET: &str = "kube_client=off";

fn filter(text: &str) -> Result<EnvFilter, TelemetryError> {
    let of = |text: &str| EnvFilter::builder().parse(text);
    // By itself, so that nobody is told of what was not given.
    of(text).map_err(|source| TelemetryError::Filter { filter: text.to_owned(), source })?;
    of(&format!("{QUIET},{text}"))
        .map_err(|source| TelemetryError::Filter { filter: text.to_owned(), source })
}

/// What writes each event to `writer` as a JSON line, as [`init`] does to standard error.
pub fn json_lines<S, W>(writer: W) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'lookup> LookupSpan<'lookup>,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    json::JsonLines::new(writer)
}

/// Whether every line on standard error is to be a JSON object.
pub(crate) fn speaks_json() -> bool {
    SPEAKS_JSON.load(Ordering::Relaxed)
}

/// A panic as one log line like any other, within the spans it happened in. Whoever catches the panic need not log it.
fn told(panic: &panic::PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        error = panic.payload_as_str().unwrap_or("not a text"),
        location = panic.location().map(ToString::to_string),
        backtrace,
        "panicked"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_what_it_names_and_nothing_that_only_repeats() {
        assert_eq!(filter("info").unwrap().to_string(), "kube_client=off,info");
        assert_eq!(filter("kube_client=debug,warn").unwrap().to_string(), "kube_client=debug,warn");
        assert!(filter("").is_ok());
        let error = filter("fundbond=loud").unwrap_err().to_string();
        assert!(error.contains("\"fundbond=loud\""), "{error}");
    }
}
