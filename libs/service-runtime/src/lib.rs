//! What every Fundbond process does the same way: telemetry, signals, the admin server, exit codes.
//!
//! Flow of a process: [`config::parse`] (bad config: one line, exit 64) -> [`telemetry::init`] ->
//! [`Shutdown::on_signals`] -> the service's own `run(config, shutdown)` with an [`admin::Admin`] beside it
//! -> [`exit::report`].
//!
//! This crate knows nothing of streams, routes or tasks, and depends on no other crate of the project.

pub mod absence;
pub mod admin;
pub mod config;
pub mod cors;
pub mod exit;
pub mod health;
pub mod healthcheck;
pub mod labels;
pub mod metrics;
pub mod shutdown;
pub mod telemetry;
pub mod watched_file;

pub use health::Health;
pub use shutdown::Shutdown;

/// The metrics library, so that every crate registers with the same version.
pub use prometheus_client;
