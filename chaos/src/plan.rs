//! What a run will do: who opens which stream and starts which tasks when, and what breaks when. Pure.
//!
//! [`draw`] makes a plan from a seed, [`scenario`](mod@scenario) makes the plans of stories; the same seed and size
//! give the same plan. Timing differs between two runs of one plan, and so does what the system makes of it.

mod draw;
mod promise;
pub mod scenario;
mod text;

use std::{fmt, time::Duration};

use clap::ValueEnum;
use fundbond_protocol::{ConnectionId, IdError, TaskId};
use serde::{Serialize, Serializer};

pub use draw::draw;
pub use promise::Promise;

/// What shapes a plan beside its seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Size {
    /// Pods.
    pub pods: u8,
    /// Cluster proxies.
    pub proxies: u8,
    /// About so many streams at once.
    pub streams: u16,
    /// From the first stream to the last, the calm included.
    pub lasts: Duration,
    /// What may break.
    pub kinds: Vec<FaultKind>,
}

/// A whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What it was drawn from.
    pub seed: u64,
    /// Pods.
    pub pods: u8,
    /// Cluster proxies.
    pub proxies: u8,
    /// Whether Redis writes down every change and finds it again after a restart.
    pub redis_keeps: bool,
    /// When everything is mended and the calm begins.
    pub calm_from: Duration,
    /// When every promise must have come true.
    pub ends: Duration,
    /// Clients, by the time they come.
    pub desks: Vec<Desk>,
    /// What breaks, by time.
    pub faults: Vec<Planned>,
    /// Figures to reach.
    pub limits: Vec<Limit>,
    /// When every stream that is open must be registered to a pod that lives, beside the calm.
    pub checks: Vec<Duration>,
    /// What this run promises beside what every run does. Where there is any, who holds what is asked all along.
    pub promises: Vec<Promise>,
    /// When something is sent to everybody.
    pub notices: Vec<Duration>,
    /// Pods whose wall clock is wrong.
    pub clocks: Vec<Clock>,
    /// The pod that is started before the others, and leads the housekeeping when they come.
    pub leads_first: Option<u8>,
}

impl Plan {
    /// A run in which nobody comes and nothing breaks.
    pub fn of_nothing(seed: u64, pods: u8, proxies: u8) -> Self {
        Self {
            seed,
            pods,
            proxies,
            redis_keeps: true,
            calm_from: Duration::ZERO,
            ends: Duration::ZERO,
            desks: Vec::new(),
            faults: Vec::new(),
            limits: Vec::new(),
            checks: Vec::new(),
            promises: Vec::new(),
            notices: Vec::new(),
            clocks: Vec::new(),
            leads_first: None,
        }
    }
}

/// A pod whose wall clock is wrong from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Which.
    pub pod: u8,
    /// By how much it is ahead, or behind where it is less than nothing.
    pub hours: i8,
}

/// A client: one stream, and the tasks whose events go to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desk {
    /// When it comes.
    pub at: Duration,
    /// The stream.
    pub connection: ConnectionId,
    /// How its pages behave.
    pub habit: Habit,
    /// Its tasks.
    pub jobs: Vec<Job>,
    /// What is sent to it, where it is a user's stream.
    pub notes: Option<Notes>,
}

/// What is sent to a user while the stream is read. The last one ends the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notes {
    /// How many, numbered from 0.
    pub count: u32,
    /// Before each.
    pub gap: Duration,
}

/// How pages behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// One page reads to the end.
    Stays,
    /// It names no task when it opens: its tasks come to it by their connection.
    Watches,
    /// It closes its page and comes back where it was.
    Leaves {
        /// How long it reads.
        after: Duration,
        /// How long it is away.
        away: Duration,
    },
    /// It stops reading for a while, again and again.
    Slow {
        /// How long it reads nothing.
        pause: Duration,
    },
    /// A second page opens the same stream, from the start.
    Twice {
        /// How much later.
        after: Duration,
    },
    /// It does not come back once its stream has broken: what its pod held of it stays for others to take away.
    Quits,
}

/// A task of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub task: TaskId,
    /// When it is submitted, after its client came.
    pub after: Duration,
    /// What it does.
    pub work: Work,
    /// When it is asked to stop, after it was accepted.
    pub cancel: Option<Duration>,
}

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Counts.
    Steps {
        /// How far.
        count: u32,
        /// Time before each step.
        delay: Duration,
    },
    /// Values a fund.
    Portfolio {
        /// Of so many bonds.
        holdings: u32,
    },
}

/// A fault with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When it begins.
    pub at: Duration,
    /// How long it lasts; none for good.
    pub lasts: Option<Duration>,
    /// What it is.
    pub kind: FaultKind,
    /// What it breaks.
    pub target: Target,
}

/// What a fault breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A pod, or its way to Redis.
    Pod(u8),
    /// The pod that leads the housekeeping when the fault begins.
    Leader,
    /// A pod that does not.
    Follower,
    /// A cluster proxy.
    Proxy(u8),
    /// The gateway.
    Gateway,
    /// Redis.
    Redis,
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum FaultKind {
    /// A pod is killed (SIGKILL), and started again later under the same name and port.
    PodKill,
    /// A pod is asked to end (SIGTERM), and started again under the same name and port.
    PodTerm,
    /// A pod stands still for a few seconds (SIGSTOP, SIGCONT).
    PodPause,
    /// A pod stands still for longer than others believe that it lives.
    PodFreeze,
    /// A pod's connections to Redis are reset, and so are new ones.
    PodCut,
    /// A pod's connections to Redis say nothing any more, and nobody is told.
    PodSilence,
    /// Nothing passes between a pod and Redis, and then all of it does.
    PodHold,
    /// Everything between a pod and Redis takes longer.
    PodSlow,
    /// Little passes between a pod and Redis at a time.
    PodNarrow,
    /// A cluster proxy is killed, and started again.
    ProxyKill,
    /// The gateway is killed, and started again.
    GatewayKill,
    /// Redis is killed, and started again; whether it finds its data again is drawn once a run.
    RedisRestart,
    /// Redis stands still for a while, as on a disk that does not answer.
    RedisPause,
    /// Redis forgets everything (FLUSHALL).
    RedisFlush,
    /// The leader stands still in the middle of a sweep, with an order under way. Of stories alone.
    #[value(skip)]
    LeaderPause,
    /// Somebody registers a stream by hand for a pod that never was. Of stories alone.
    #[value(skip)]
    Ghost,
}

/// A figure that a run must reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// For clients hit by this.
    pub kind: FaultKind,
    /// Half of them are whole again within this.
    pub median: Duration,
    /// 99 of 100 are within this.
    pub p99: Duration,
}

impl FaultKind {
    /// Whether it ends processes that hold tasks and streams.
    pub fn ends_pod(self) -> bool {
        matches!(self, Self::PodKill | Self::PodTerm)
    }

    /// Whether what a pod ran may have to wait until the pod counts as dead.
    pub fn stops_pod(self) -> bool {
        matches!(self, Self::PodKill | Self::PodTerm | Self::PodFreeze)
    }

    /// Whether Redis begins another life with it, or has to find out anew who is there.
    pub fn ends_life(self) -> bool {
        matches!(self, Self::RedisRestart | Self::RedisFlush)
    }

    /// Whether a client can only be whole again once it is over: there is no way round a Redis.
    pub fn is_of_all(self) -> bool {
        matches!(self, Self::RedisRestart | Self::RedisPause | Self::RedisFlush | Self::GatewayKill)
    }

    /// Whether what Redis knew is gone afterwards.
    pub fn loses_data(self, redis_keeps: bool) -> bool {
        match self {
            Self::RedisFlush => true,
            Self::RedisRestart => !redis_keeps,
            _ => false,
        }
    }
}

/// A desk and its tasks, named after it.
fn desk(number: usize, at: Duration, habit: Habit, jobs: Vec<draw::DrawnJob>) -> Result<Desk, IdError> {
    let name = format!("desk{number}");
    let jobs = jobs.into_iter().enumerate().map(|(n, (after, work, cancel))| {
        // The task's name says to which stream it belongs.
        Ok(Job { task: TaskId::parse(format!("{name}-fund-{n}"))?, after, work, cancel })
    });
    let jobs = jobs.collect::<Result<_, IdError>>()?;
    Ok(Desk { at, connection: ConnectionId::parse(&name)?, habit, jobs, notes: None })
}

impl Planned {
    /// When it is over; none for never.
    pub fn until(&self) -> Option<Duration> {
        self.lasts.map(|lasts| self.at + lasts)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.to_possible_value()) {
            (_, Some(value)) => f.pad(value.get_name()),
            (Self::Ghost, None) => f.pad("ghost"),
            (_, None) => f.pad("leader-pause"),
        }
    }
}

impl Serialize for FaultKind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(number) => write!(f, "pod {}", number + 1),
            Self::Leader => f.write_str("the leader"),
            Self::Follower => f.write_str("a pod that does not lead"),
            Self::Proxy(number) => write!(f, "proxy {}", number + 1),
            Self::Gateway => f.write_str("gateway"),
            Self::Redis => f.write_str("redis"),
        }
    }
}
