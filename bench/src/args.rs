//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use fundbond_store::redis::Config;

use crate::{
    redis::naive::BATCH,
    workload::{WORKLOADS, Workload},
};

/// Measures pod-service beside a plain axum SSE server, over loopback, each in a process of its own.
#[derive(Parser, Clone, Debug)]
#[command(name = "fundbond-bench", version, args_conflicts_with_subcommands = true)]
pub struct Options {
    /// What to be instead of the measuring side.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to measure.
    #[command(flatten)]
    pub measure: Measure,
}

/// Other things this binary can be.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Serve as the peer: tasks and streams as axum's own `Sse` makes them, with nothing kept.
    PeerAxumSse {
        /// Port on 127.0.0.1; 0 takes any. The address is said on stderr.
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Serve as a pod of the naive design: hear of every event and ask for each whose it is.
    PeerNaive {
        /// The Redis they all share.
        #[arg(long)]
        redis: String,
    },
    /// Measure what a proxy keeps in memory for an idle stream, beside the pod behind it.
    Hop(HopOptions),
    /// Measure how long an event takes to its client over four pods and a Redis, beside the naive design.
    Delivery(DeliveryOptions),
    /// Measure what an event costs the Redis, beside the naive design, with more and more pods.
    Redis(RedisOptions),
}

/// What of a hop to measure.
#[derive(Args, Clone, Debug)]
pub struct HopOptions {
    /// How often, and how it is printed.
    #[command(flatten)]
    pub print: Print,
    /// Streams open at once; each takes two descriptors of the proxy.
    #[arg(long, default_value_t = 2_500, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=2_900))]
    pub streams: usize,
    /// Measure this pod-service instead of building one.
    #[arg(long, value_name = "PATH")]
    pub pod_binary: Option<PathBuf>,
    /// Measure this cluster-proxy instead of building one.
    #[arg(long, value_name = "PATH")]
    pub proxy_binary: Option<PathBuf>,
}

/// What of delivery to measure.
#[derive(Args, Clone, Debug)]
pub struct DeliveryOptions {
    /// How often, and how it is printed.
    #[command(flatten)]
    pub print: Print,
    /// How the store is set up.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Events a second.
    #[arg(long, value_delimiter = ',', default_values_t = [5_000], value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rates: Vec<u32>,
    /// Seconds of load that count, in each round of each design [default: 5, with --quick 2].
    #[arg(long, value_parser = seconds)]
    pub seconds: Option<Duration>,
    /// Measure this pod-service instead of building one.
    #[arg(long, value_name = "PATH")]
    pub pod_binary: Option<PathBuf>,
}

impl DeliveryOptions {
    /// Rounds. Five are enough that one slow round moves no median.
    pub fn rounds(&self) -> u32 {
        self.print.rounds(5)
    }

    /// Load that counts, in each round: at 5,000 events a second 250 of them are beyond the 99th percentile.
    pub fn window(&self) -> Duration {
        self.seconds.unwrap_or(Duration::from_secs(if self.print.quick { 2 } else { 5 }))
    }
}

/// What of the Redis to measure.
#[derive(Args, Clone, Debug)]
pub struct RedisOptions {
    /// How often, and how it is printed.
    #[command(flatten)]
    pub print: Print,
    /// How the store is set up.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Numbers of pods.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16], value_parser = clap::value_parser!(u16).range(1..=256))]
    pods: Vec<u16>,
    /// Events that a pod of the naive design asks for in one write, at most.
    #[arg(long, default_value_t = BATCH, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    naive_batch: u16,
}

impl RedisOptions {
    /// Rounds. Five are enough that one slow round moves no median.
    pub fn rounds(&self) -> u32 {
        self.print.rounds(5)
    }

    /// Events that a naive pod asks for at once.
    pub fn naive_batch(&self) -> usize {
        self.naive_batch.into()
    }

    /// Numbers of pods, in the order of the report.
    pub fn pods(&self) -> impl Iterator<Item = usize> {
        self.pods.iter().copied().map(usize::from)
    }
}

/// How the product's store is set up.
#[derive(Args, Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Milliseconds an event waits in the product's store for others to share a write with [default: as in a pod].
    #[arg(long, value_name = "MS")]
    gather: Option<u64>,
}

impl StoreOptions {
    /// A store at `url`.
    pub fn config(self, url: &str) -> Config {
        let usual = Config::at(url);
        Config { gather: self.gather.map_or(usual.gather, Duration::from_millis), ..usual }
    }
}

/// How often to measure, and how to print it.
#[derive(Args, Clone, Copy, Debug)]
pub struct Print {
    /// One short round: a look, not a measurement.
    #[arg(long)]
    pub quick: bool,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
    /// Rounds of each workload; figures are medians over them [with --quick 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,
}

impl Print {
    /// Rounds: as asked for, else so many as usual.
    pub fn rounds(self, usual: u32) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { usual })
    }
}

/// What to measure.
#[derive(Args, Clone, Debug)]
pub struct Measure {
    /// How often, and how it is printed.
    #[command(flatten)]
    pub print: Print,
    /// Seconds of load that count, in each round of each server [default: 2.5, with --quick 1].
    #[arg(long, value_parser = seconds)]
    pub seconds: Option<Duration>,
    /// Only these workloads, by name.
    #[arg(long, value_delimiter = ',', value_parser = workload)]
    pub only: Vec<Workload>,
    /// Measure this pod-service instead of building one.
    #[arg(long, value_name = "PATH")]
    pub pod_binary: Option<PathBuf>,
}

/// What was asked for, with the defaults filled in.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Rounds of each workload.
    pub rounds: u32,
    /// Load that counts, in each round.
    pub window: Duration,
    /// What to run.
    pub workloads: Vec<Workload>,
}

impl Measure {
    /// Fills in the defaults. Three rounds are the fewest with a median; all workloads together then take about
    /// two and a half minutes.
    pub fn plan(&self) -> Plan {
        let window = if self.print.quick { 1_000 } else { 2_500 };
        Plan {
            rounds: self.print.rounds(3),
            window: self.seconds.unwrap_or(Duration::from_millis(window)),
            workloads: if self.only.is_empty() { WORKLOADS.to_vec() } else { self.only.clone() },
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let legal = text.parse().ok().filter(|seconds| (0.1..=60.0).contains(seconds));
    legal.map(Duration::from_secs_f64).ok_or_else(|| "give 0.1 to 60 seconds".to_owned())
}

fn workload(name: &str) -> Result<Workload, String> {
    let known = WORKLOADS.iter().find(|workload| workload.name == name);
    known.copied().ok_or_else(|| {
        let names: Vec<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
        format!("no such workload; there are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_defaults_are_three_rounds_of_everything() {
        let plan = parse("bench").unwrap().measure.plan();
        assert_eq!((plan.rounds, plan.workloads.len()), (3, WORKLOADS.len()));
        let plan = parse("bench --quick --only idle-5000,flat-1").unwrap().measure.plan();
        let names: Vec<_> = plan.workloads.iter().map(|workload| workload.name).collect();
        assert_eq!((plan.rounds, names), (1, vec!["idle-5000", "flat-1"]));
    }

    #[test]
    fn what_cannot_be_measured_is_refused_by_name() {
        for (line, says) in [
            ("bench --only flat-2", "there are flat-1"),
            ("bench --seconds 0", "0.1 to 60 seconds"),
            ("bench --rounds 0", "rounds"),
            ("bench --quick peer-axum-sse", "cannot be used with"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
