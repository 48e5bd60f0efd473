//! The command line.

use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

use crate::plan::{FaultKind, Size};

/// Starts gateway, proxies, pods and a Redis, breaks them on a schedule that a seed draws, and checks every promise
/// over all that clients saw. Exit code 0: all were kept. 1: one was broken, or the run could not be made.
#[derive(Parser, Clone, Debug)]
#[command(name = "fundbond-chaos", version)]
pub struct Options {
    /// Draws the whole plan: the same seed and flags give the same faults and scripts [default: a fresh one, printed].
    #[arg(long)]
    pub seed: Option<u64>,
    /// How long, calm included: nothing breaks in the last third, at most 45 s, and then all must come true. It takes a
    /// minute longer where a pod died while Redis began another life, as nobody is buried before that.
    #[arg(long, default_value_t = 2.0, value_parser = minutes, conflicts_with = "scenario")]
    pub minutes: f64,
    /// Only these kinds of faults, by name.
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "scenario")]
    pub faults: Vec<FaultKind>,
    /// One story with figures to reach, instead of a drawn plan.
    #[arg(long, value_enum)]
    pub scenario: Option<Scenario>,
    /// Pods. Stories are about four or more.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=16))]
    pub pods: u8,
    /// Cluster proxies.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    pub proxies: u8,
    /// About so many streams open at once.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=2000), conflicts_with = "scenario")]
    pub streams: u16,
    /// What is printed.
    #[command(flatten)]
    pub print: Print,
    /// Build the programs optimised: for long runs. The default builds them as tests do, which takes less time.
    #[arg(long)]
    pub release: bool,
    /// Keep logs and facts of a run that broke nothing, too.
    #[arg(long)]
    pub keep: bool,
}

/// What is printed.
#[derive(Args, Clone, Copy, Debug)]
pub struct Print {
    /// Print the plan and run nothing.
    #[arg(long)]
    pub plan: bool,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Stories with figures to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// 2,000 users reconnect while their pod is restarted under the same name and port.
    RestartRace,
    /// 200 long tasks, 400 streams; one of the pods is killed for good, then two of those left.
    Kill,
    /// A pod stands still for 35 s and goes on.
    Pause,
    /// Redis forgets everything under load.
    Flush,
    /// The leader stands still for 20 s in the middle of sweeping a pod that was killed, and goes on.
    LeaderPause,
    /// Somebody registers a stream by hand for a pod that never was.
    Ghost,
    /// One pod is an hour ahead and one an hour behind; a third leads, and a fourth is killed.
    Clock,
    /// The same, and the pod that is ahead leads.
    ClockAhead,
    /// The same, and the pod that is behind leads.
    ClockBehind,
}

impl Options {
    /// Everything that shapes a plan beside its seed.
    pub fn size(&self) -> Size {
        Size {
            pods: self.pods,
            proxies: self.proxies,
            streams: self.streams,
            lasts: Duration::from_secs_f64(self.minutes * 60.0),
            kinds: if self.faults.is_empty() {
                FaultKind::value_variants().to_vec()
            } else {
                self.faults.clone()
            },
        }
    }
}

fn minutes(text: &str) -> Result<f64, String> {
    let legal = text.parse().ok().filter(|minutes| (0.5..=600.0).contains(minutes));
    legal.ok_or_else(|| "give 0.5 to 600 minutes".to_owned())
}
