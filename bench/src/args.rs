//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::workload::{WORKLOADS, Workload};

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
}

/// What to measure.
#[derive(Args, Clone, Debug)]
pub struct Measure {
    /// One short round: a look, not a measurement.
    #[arg(long)]
    pub quick: bool,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
    /// Rounds of each workload; figures are medians over them [default: 3, with --quick 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,
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
        let (rounds, window) = if self.quick { (1, 1_000) } else { (3, 2_500) };
        Plan {
            rounds: self.rounds.unwrap_or(rounds),
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
