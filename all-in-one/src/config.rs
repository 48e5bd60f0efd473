//! The command line of `fundbond`.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use clap::Parser;
use fundbond_pod_service::{LiveSettings, Settings};
use fundbond_service_runtime::{
    config::duration,
    cors::Origins,
    telemetry::{LogArgs, LogFormat},
};
use fundbond_store::StoreAddress;

use crate::system::{MAX_PORT_OFFSET, Ports, SystemConfig};

/// The whole system in one process: a gateway, two clusters of two pods each, nothing to install.
///
/// Starts on the standard ports of 127.0.0.1, values a sample portfolio through the gateway, shows it live,
/// and stays up. Everything is kept in memory and gone when it ends, unless a Redis is named.
#[derive(Clone, Debug, Parser)]
#[command(name = "fundbond", version)]
pub struct Options {
    /// Address to listen on
    #[arg(long, env = "FUND_HOST", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub host: IpAddr,
    /// Add this to every port (gateway 8000, cluster proxies 8081 and 8082, pods 9090 to 9093; admin + 10000)
    #[arg(long, env = "FUND_PORT_OFFSET", default_value_t = 0, value_name = "N",
          value_parser = clap::value_parser!(u16).range(0..=i64::from(MAX_PORT_OFFSET)))]
    pub port_offset: u16,
    /// Take any free ports and say which
    #[arg(long, conflicts_with = "port_offset")]
    pub ephemeral: bool,
    /// Keep tasks and events in this Redis: redis://[user:password@]host[:port][/db]. Passwords belong into the
    /// environment, not on the command line
    #[arg(
        long,
        env = "FUND_STORE",
        hide_env_values = true,
        value_name = "URL",
        default_value = "memory",
        hide_default_value = true
    )]
    pub redis: StoreAddress,
    /// Value this portfolio (JSON, or a CSV of Treasury prices; - for standard input) instead of the sample
    #[arg(long, value_name = "FILE", conflicts_with = "no_demo")]
    pub portfolio: Option<PathBuf>,
    /// Exit after the portfolio is valued: 0 if it completed, 4 if holdings have no price, else 1
    #[arg(long, conflicts_with = "no_demo")]
    pub once: bool,
    /// Start the system and nothing else
    #[arg(long)]
    pub no_demo: bool,
    /// Time from Ctrl-C to the end: streams are sent away over its first half, tasks may use all of it
    #[arg(long, env = "FUND_DRAIN_GRACE", default_value = "10s", value_parser = duration, value_name = "TIME")]
    pub drain_grace: Duration,
    /// Web pages that may call from a browser: `any`, `same` (none of another origin), or origins like
    /// https://desk.example.com parted by commas. Gateways and pods of their own begin with `same`
    #[arg(long, env = "FUND_CORS_ORIGINS", value_name = "ORIGINS", default_value_t = Origins::Any)]
    pub cors_origins: Origins,
    /// What is logged to standard error; `info` shows every request
    #[arg(long = "log", env = "FUND_LOG", default_value = "warn", value_name = "FILTER")]
    pub log: String,
    /// How it is logged; text on a terminal where not said, JSON elsewhere
    #[arg(long, env = "FUND_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
}

impl Options {
    /// The system they ask for.
    pub fn system(&self) -> SystemConfig {
        SystemConfig {
            host: self.host,
            ports: if self.ephemeral { Ports::Any } else { Ports::Standard { offset: self.port_offset } },
            store: self.redis.clone(),
            settings: Settings {
                live: LiveSettings { drain_grace: self.drain_grace, ..LiveSettings::USUAL },
                cors_origins: self.cors_origins.clone(),
                ..Settings::default()
            },
        }
    }

    /// The logs they ask for.
    pub fn logs(&self) -> LogArgs {
        LogArgs { filter: self.log.clone(), format: self.log_format }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
        for wrong in [
            &["--once", "--no-demo"] as &[&str],
            &["--ephemeral", "--port-offset", "5"],
            &["--port-offset", "60000"],
            &["--drain-grace", "soon"],
            &["--redis", "127.0.0.1:6379"],
        ] {
            assert!(Options::try_parse_from(["fundbond"].iter().chain(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_defaults_are_the_standard_ports_of_this_machine_alone() {
        let system = Options::try_parse_from(["fundbond"]).unwrap().system();
        assert!(system.host.is_loopback());
        assert_eq!(system.ports, Ports::Standard { offset: 0 });
    }
}
