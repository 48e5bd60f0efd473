//! Configuration of one pod.

mod housekeeping;
mod lease;
mod live;

pub use housekeeping::{Contradiction, HousekeepingSettings};
pub use lease::{LeaseMisplaced, LeasePlace};
pub use live::{Live, LiveError, LiveFile, LiveSettings};

use std::{net::IpAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Args, Parser, builder::RangedU64ValueParser};
use fundbond_lease::names::{LeaseName, Namespace, Owner};
use fundbond_protocol::ClusterId;
use fundbond_service_runtime::{config::duration, cors::Origins, telemetry::LogArgs};
use fundbond_store::{StoreAddress, Unwanted};

/// Runs fund calculations and streams their progress.
#[derive(Clone, Debug, Parser)]
#[command(name = "pod-service", version)]
pub struct Program {
    #[command(flatten)]
    /// The pod.
    pub config: Config,
    /// Where tasks and events are kept: `memory`, or redis://[user:password@]host[:port][/db] to work together
    /// with other pods. Passwords belong into the environment, not on the command line.
    #[arg(long, env = "FUND_STORE", hide_env_values = true, default_value = "memory")]
    pub store: StoreAddress,
    /// User of the store, where its address has none.
    #[arg(long, env = "FUND_STORE_USERNAME", hide_env_values = true)]
    pub store_username: Option<String>,
    /// Password of the store, as it is, where its address has none. It belongs into the environment.
    #[arg(long, env = "FUND_STORE_PASSWORD", hide_env_values = true)]
    pub store_password: Option<String>,
    /// Where the pods of a cluster agree on who cleans up after dead ones: `auto` (where the store is), `redis`, `memory`,
    /// or `kubernetes` (a Lease, which the pod's service account must be allowed to get, create and update).
    #[arg(long, env = "FUND_LEASE", default_value = "auto")]
    pub lease: LeasePlace,
    /// Name of that lease in Kubernetes [default: the cluster id without a leading `<namespace>.`, and `-housekeeper`].
    #[arg(long, env = "FUND_LEASE_NAME")]
    pub lease_name: Option<LeaseName>,
    /// Whom that lease goes with where this pod makes it: when the owner is deleted, the lease is.
    #[arg(long, env = "FUND_LEASE_OWNER", value_name = "GROUP/VERSION/KIND/NAME/UID")]
    pub lease_owner: Option<Owner>,
    /// Namespace of what this pod keeps in Kubernetes [default: that of the pod, or of the kubeconfig].
    #[arg(long, env = "FUND_NAMESPACE")]
    pub namespace: Option<Namespace>,
    #[command(flatten)]
    /// Its logs.
    pub log: LogArgs,
}

impl Program {
    /// Where the store is, with who asks it.
    ///
    /// # Errors
    /// [`Unwanted`], where the address has no place for the user and the password beside it.
    pub fn address(&self) -> Result<StoreAddress, Unwanted> {
        self.store.clone().with_credentials(self.store_username.as_deref(), self.store_password.as_deref())
    }
}

/// A pod's place and behaviour. Flag over environment over default.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Address to listen on.
    #[arg(long, env = "FUND_HOST", default_value = "0.0.0.0")]
    pub host: IpAddr,
    /// Port of the service; 0 takes any.
    #[arg(long, env = "FUND_PORT", default_value_t = 9090)]
    pub port: u16,
    /// Port of probes and metrics [default: port + 10000].
    #[arg(long, env = "FUND_ADMIN_PORT")]
    pub admin_port: Option<u16>,
    /// Name of this pod's host, from which its id is made [default: the host name].
    #[arg(long, env = "FUND_NODE_NAME")]
    pub node_name: Option<String>,
    /// The cluster this pod belongs to.
    #[arg(long, env = "FUND_CLUSTER_ID", default_value = "cluster1")]
    pub cluster_id: ClusterId,
    /// A file with settings that may change while the pod runs, watched for change: YAML with `maxStreams`, `maxStreamAge`,
    /// `heartbeat: {initialDelay, interval}` and `drain: {gracePeriod}`. What it says counts before flags.
    #[arg(long, env = "FUND_LIVE_SETTINGS", value_name = "FILE")]
    pub live_settings: Option<PathBuf>,
    #[command(flatten)]
    /// How it behaves.
    pub settings: Settings,
}

/// How a pod behaves, whatever its address.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Tasks run at once [default: one a core].
    #[arg(long, env = "FUND_TASK_CONCURRENCY")]
    pub task_concurrency: Option<NonZeroUsize>,
    /// Accepted tasks of the cluster that may wait for a runner.
    #[arg(long, env = "FUND_TASK_QUEUE", default_value_t = 10_000, value_parser = queue_length())]
    pub task_queue: usize,
    /// Bytes of a request body.
    #[arg(long, env = "FUND_MAX_BODY", default_value_t = 8 * 1024 * 1024)]
    pub max_body: usize,
    /// Web pages that may call from a browser: `same` (only those of the service's own origin), `any`, or origins like
    /// https://desk.example.com parted by commas. Behind a gateway that has such a list, the gateway's counts.
    #[arg(long, env = "FUND_CORS_ORIGINS", value_name = "ORIGINS", default_value_t)]
    pub cors_origins: Origins,
    #[command(flatten)]
    /// What may change while it runs.
    pub live: LiveSettings,
    #[command(flatten)]
    /// When it counts as dead.
    pub housekeeping: HousekeepingSettings,
}

/// A queue of a million tasks is far beyond any memory, and far below what a channel can be made for.
fn queue_length() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=1_000_000)
}

/// A duration that passes: heartbeats with nothing between them would be one endless heartbeat.
fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be longer than nothing".to_owned()),
        time => Ok(time),
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            task_concurrency: None,
            task_queue: 10_000,
            max_body: 8 * 1024 * 1024,
            cors_origins: Origins::default(),
            live: LiveSettings::USUAL,
            housekeeping: HousekeepingSettings::USUAL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        config: Config,
    }

    #[test]
    fn what_a_pod_cannot_run_with_is_refused_at_the_start() {
        for flag in [
            "--heartbeat-interval=0s",
            "--max-stream-age=0ms",
            "--task-queue=0",
            "--cors-origins=https://desk.example.com/",
            "--task-queue=18446744073709551615",
            "--health-interval=0s",
            "--sweep-interval=0s",
            "--breaker-percent=0",
            "--breaker-percent=101",
        ] {
            let error = <Program as clap::Parser>::try_parse_from(["pod-service", flag]).err().unwrap();
            assert_eq!(error.kind(), clap::error::ErrorKind::ValueValidation, "{flag}: {error}");
        }
    }

    #[test]
    fn the_flag_defaults_are_the_settings_defaults() {
        let parsed = <Program as clap::Parser>::try_parse_from(["pod-service"]).unwrap().config;
        assert_eq!(format!("{:?}", parsed.settings), format!("{:?}", Settings::default()));
    }
}
