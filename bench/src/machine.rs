//! What the machine is, and what its kernel says about a process.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

/// Descriptors of the process with the most: 5,000 streams, and room for requests, pipes and the runtime. The
/// servers inherit the limit.
const DESCRIPTORS: u64 = 6_000;

/// Why the kernel's figures cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file reads differently than it should.
    #[error("{} holds no {what}", .path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
}

/// Why there cannot be enough descriptors.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// The hard limit is too low.
    #[error("{DESCRIPTORS} open files are needed, but the hard limit is {0}; raise it with `ulimit -Hn`")]
    Hard(u64),
    /// The soft limit stays where it is.
    #[error("cannot raise the limit on open files to {DESCRIPTORS}")]
    Raise(#[source] io::Error),
}

/// The machine of a report.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Cores this process may use.
    pub cores: usize,
    /// Their name, where the kernel tells one.
    pub processor: Option<String>,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Processes that wanted to run in the last minute, before the measurement.
    pub load: f64,
}

impl Machine {
    /// Asks the kernel.
    ///
    /// # Errors
    /// Where one of its files is missing or reads differently.
    pub fn look() -> Result<Self, KernelError> {
        let cpuinfo = read("/proc/cpuinfo")?;
        let load = read("/proc/loadavg")?;
        let load = load.split(' ').next().and_then(|load| load.parse().ok());
        Ok(Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
            // Not every architecture has a name here.
            processor: field(&cpuinfo, "model name").map(str::to_owned),
            memory_bytes: kilobytes("/proc/meminfo", "MemTotal")?,
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            load: load.ok_or_else(|| missing("/proc/loadavg", "load"))?,
        })
    }

    /// Whether somebody else seems to work here: half a core is enough to bend a figure.
    pub fn is_busy(&self) -> bool {
        self.load > 0.5
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let processor = self.processor.as_deref().unwrap_or("unnamed processor");
        let gibibytes = self.memory_bytes as f64 / f64::from(1 << 30);
        let Self { cores, kernel, load, .. } = self;
        write!(
            f,
            "{cores} cores ({processor}), {gibibytes:.0} GiB, Linux {kernel}, load {load:.1} at the start"
        )
    }
}

/// Raises the soft limit on descriptors as far as the streams need.
///
/// # Errors
/// Where the hard limit is below that.
pub fn raise_descriptor_limit() -> Result<(), LimitError> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` is no limit.
    if current.is_none_or(|current| current >= DESCRIPTORS) {
        return Ok(());
    }
    if let Some(limit) = maximum.filter(|limit| *limit < DESCRIPTORS) {
        return Err(LimitError::Hard(limit));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), maximum })
        .map_err(|error| LimitError::Raise(error.into()))
}

/// CPU time of a process so far: all its threads, in user and kernel mode, ended threads included.
///
/// The kernel counts in nanoseconds and tells ticks (usually 10 ms), so a difference is off by a tick at most.
///
/// # Errors
/// Where the process is gone.
pub fn cpu_time(process: u32) -> Result<Duration, KernelError> {
    let path = format!("/proc/{process}/stat");
    let ticks = cpu_ticks(&read(&path)?).ok_or_else(|| missing(&path, "utime and stime"))?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// What the machine's processors have done since it started, in ticks.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    idle: u64,
    niced: u64,
    stolen: u64,
    all: u64,
}

/// What the processors did between two looks, in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent {
    /// Nothing.
    pub idle: f64,
    /// Work at low priority.
    pub niced: f64,
    /// Work of other machines: the host ran them while this one had something to do.
    pub stolen: f64,
}

impl Shares {
    /// Asks the kernel.
    ///
    /// # Errors
    /// Where it does not say.
    pub fn look() -> Result<Self, KernelError> {
        const PATH: &str = "/proc/stat";
        shares(&read(PATH)?).ok_or_else(|| missing(PATH, "cpu"))
    }

    /// What happened from here to `later`.
    pub fn until(&self, later: &Self) -> Percent {
        // Two looks within a tick differ by nothing.
        let all = later.all.saturating_sub(self.all).max(1) as f64;
        let percent = |from: u64, to: u64| to.saturating_sub(from) as f64 / all * 100.0;
        Percent {
            idle: percent(self.idle, later.idle),
            niced: percent(self.niced, later.niced),
            stolen: percent(self.stolen, later.stolen),
        }
    }
}

/// The first line of `/proc/stat`: user, nice, system, idle, waiting for disks, interrupts, stolen.
fn shares(stat: &str) -> Option<Shares> {
    let ticks: Vec<u64> =
        stat.strip_prefix("cpu ")?.lines().next()?.split_whitespace().map_while(|n| n.parse().ok()).collect();
    // The last two of ten are of guests, and in user and nice already.
    let all = ticks.iter().take(8).sum();
    // Kernels without a host have no eighth.
    let stolen = ticks.get(7).copied().unwrap_or(0);
    Some(Shares { niced: *ticks.get(1)?, idle: ticks.get(3)? + ticks.get(4)?, stolen, all })
}

/// Memory of a process that is in RAM, in bytes. Without what the kernel keeps for its sockets.
///
/// # Errors
/// Where the process is gone.
pub fn resident(process: u32) -> Result<u64, KernelError> {
    kilobytes(&format!("/proc/{process}/status"), "VmRSS")
}

/// `utime + stime` of a `stat` file: its fields 14 and 15.
fn cpu_ticks(stat: &str) -> Option<u64> {
    // The name in field 2 may hold spaces and brackets, so counting begins after its last bracket.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn kilobytes(path: &str, name: &'static str) -> Result<u64, KernelError> {
    let text = read(path)?;
    let number = field(&text, name).and_then(|value| value.strip_suffix(" kB")?.parse::<u64>().ok());
    number.map(|kilobytes| kilobytes * 1024).ok_or_else(|| missing(path, name))
}

/// The value of the first line `name: value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim())
}

fn read(path: impl AsRef<Path>) -> Result<String, KernelError> {
    let path = path.as_ref();
    fs::read_to_string(path).map_err(|source| KernelError::Read { path: path.to_owned(), source })
}

fn missing(path: impl Into<PathBuf>, what: &'static str) -> KernelError {
    KernelError::Format { path: path.into(), what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_the_strangest_name() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 700 55 9 9 20 0 3 0 100 1 1";
        assert_eq!(cpu_ticks(stat), Some(755));
        assert_eq!(cpu_ticks("42 (short) S 1"), None);
    }

    #[test]
    fn what_the_processors_did_is_told_in_percent() {
        let before = shares("cpu  10 20 30 40 0 0 0 0 5 5\ncpu0 1 2 3 4 0 0 0 0 0 0\n").unwrap();
        let after = shares("cpu  20 40 40 85 5 0 0 10 5 5\n").unwrap();
        assert_eq!(before.until(&after), Percent { idle: 50.0, niced: 20.0, stolen: 10.0 });
        assert_eq!(before.until(&before), Percent { idle: 0.0, niced: 0.0, stolen: 0.0 });
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let status = "VmRSSx:\t1 kB\nVmRSS:\t  2048 kB\n";
        assert_eq!(field(status, "VmRSS"), Some("2048 kB"));
        assert_eq!(field(status, "VmPeak"), None);
    }

    #[test]
    fn this_process_has_used_time_and_memory() {
        let me = std::process::id();
        assert!(resident(me).unwrap() > 100_000);
        let before = cpu_time(me).unwrap();
        let mut sum = 0_u64;
        while cpu_time(me).unwrap() == before {
            sum ^= std::hint::black_box((0..10_000_u64).sum::<u64>());
        }
        std::hint::black_box(sum);
    }
}
