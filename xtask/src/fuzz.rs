//! `cargo xtask fuzz`: lets a fuzzer look for an input that breaks what `fuzz/src` says must hold.
//!
//! The fuzzer begins with the committed corpus and with what earlier runs found; new finds go to the cache, never into
//! the tree. Its instrumentation needs compiler flags that stable hides, so they are unlocked for that one build.
//! What it finds is kept by a file in `fuzz/regressions/`, which the ordinary tests read from then on.

use crate::{cache, process, say, tools};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Longest a single input may take. Ordinary ones take microseconds; slower than this is a finding (the sanitizer and
/// a busy machine together cost a factor of some twenty).
const SECONDS_PER_INPUT: u32 = 5;
/// Memory the whole run may hold, and the most one input may ask for at once.
const MEMORY_MB: u32 = 1024;
const ALLOCATION_MB: u32 = 256;
/// Larger inputs cost speed and, for these parsers, reach nothing new.
const MOST_BYTES: u32 = 8192;

/// Arguments of the chore.
#[derive(Args, Debug)]
pub struct Arguments {
    /// A target of fuzz/fuzz_targets, or all of them one after the other.
    #[arg(default_value = "all")]
    target: String,
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Where the fuzzer's random numbers begin; drawn and printed where not given.
    #[arg(long)]
    seed: Option<u32>,
    /// Run one target on one file, and nothing else.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seconds", "seed", "minimise"])]
    reproduce: Option<PathBuf>,
    /// Instead of fuzzing, gather the fewest inputs (committed ones and finds) with the same coverage in the cache, to
    /// choose from for the committed corpus.
    #[arg(long, conflicts_with_all = ["seconds", "seed"])]
    minimise: bool,
}

/// Where everything is.
struct Bench {
    program: PathBuf,
    /// `fuzz/` of the checkout.
    sources: PathBuf,
    /// In the cache: the build, and what runs found.
    build: PathBuf,
    finds: PathBuf,
}

/// Runs the chosen targets; the first failure ends it.
pub fn run(arguments: &Arguments) -> Result<()> {
    let sources = process::workspace()?.join("fuzz");
    let targets = chosen(&arguments.target, &targets(&sources)?)?;
    tools::cxx_compiler()?;
    let root = cache::root()?;
    let bench = Bench {
        program: tools::cargo_fuzz()?,
        sources,
        build: root.join("fuzz"),
        finds: root.join("fuzz-finds"),
    };
    let mut reports = Vec::new();
    for target in &targets {
        say::section(&format!("fuzz: {target}"));
        match (&arguments.reproduce, arguments.minimise) {
            (Some(_), _) if targets.len() > 1 => bail!("say which target is to read the file"),
            (Some(file), _) => bench.reproduce(target, file)?,
            (None, true) => bench.minimise(target)?,
            (None, false) => reports.push(bench.fuzz(target, arguments)?),
        }
    }
    for report in reports {
        say::line(&report);
    }
    Ok(())
}

/// The targets are the programs there are.
fn targets(sources: &Path) -> Result<Vec<String>> {
    let folder = sources.join("fuzz_targets");
    let files = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut targets = Vec::new();
    for file in files {
        let path = file?.path();
        targets.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    targets.sort();
    Ok(targets)
}

fn chosen(wanted: &str, targets: &[String]) -> Result<Vec<String>> {
    if wanted == "all" {
        return Ok(targets.to_vec());
    }
    if targets.iter().any(|target| target == wanted) {
        return Ok(vec![wanted.to_owned()]);
    }
    bail!("{wanted:?} is no fuzz target; there are: all, {}", targets.join(", "))
}

impl Bench {
    fn fuzz(&self, target: &str, arguments: &Arguments) -> Result<String> {
        let seed = arguments.seed.unwrap_or_else(random);
        let finds = self.finds.join(target);
        let failures = self.finds.join(format!("{target}-failures"));
        for folder in [&finds, &failures] {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let mut command = self.cargo_fuzz("run", target);
        // The first folder is where new inputs go.
        command.args([&finds, &self.corpus(target)]).arg("--").args(self.limits(target));
        command.arg(format!("-artifact_prefix={}/", failures.display()));
        command.args([format!("-seed={seed}"), format!("-max_total_time={}", arguments.seconds)]);
        command.arg("-print_final_stats=1");
        let mut seen = Seen::default();
        let start = Instant::now();
        process::run_reading(&mut command, |line| {
            seen.read(line);
            // Thousands of lines, one a find; the pulses between them tell as much.
            if !["\tNEW ", "\tREDUCE ", "NEW_FUNC["].iter().any(|kind| line.contains(kind)) {
                say::line(line);
            }
        })
        .with_context(|| self.what_to_do(target, seed, seen.failure.as_deref()))?;
        Ok(format!(
            "fuzz: {target}: no failure in {} executions, {:.0} s; coverage {} edges, seed {seed}; finds in {}",
            seen.executions,
            start.elapsed().as_secs_f64(),
            seen.coverage,
            finds.display()
        ))
    }

    fn reproduce(&self, target: &str, file: &Path) -> Result<()> {
        let file = fs::canonicalize(file).with_context(|| format!("no file {}", file.display()))?;
        let mut command = self.cargo_fuzz("run", target);
        process::run(command.arg(file).arg("--").args(self.limits(target)))
    }

    fn minimise(&self, target: &str) -> Result<()> {
        let corpus = self.corpus(target);
        let finds = self.finds.join(target);
        let merged = self.finds.join(format!("{target}-merged"));
        if merged.exists() {
            fs::remove_dir_all(&merged).with_context(|| format!("cannot remove {}", merged.display()))?;
        }
        for folder in [&finds, &merged] {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        // Inputs that are committed already are listed first, so that they stay where they serve as well.
        let mut command = self.cargo_fuzz("run", target);
        command.args([&merged, &corpus, &finds]).arg("--").args(["-merge=1"]).args(self.limits(target));
        process::run(&mut command)?;
        say::line(&format!(
            "the fewest inputs with the same coverage are in {}: copy those that read well to {}",
            merged.display(),
            corpus.display()
        ));
        Ok(())
    }

    fn cargo_fuzz(&self, subcommand: &str, target: &str) -> Command {
        let mut command = process::program(&self.program);
        command.args(["fuzz", subcommand, "--fuzz-dir"]).arg(&self.sources);
        command.arg("--target-dir").arg(&self.build).arg(target).env("RUSTC_BOOTSTRAP", "1");
        command
    }

    fn limits(&self, target: &str) -> Vec<String> {
        let mut limits = vec![
            format!("-timeout={SECONDS_PER_INPUT}"),
            format!("-rss_limit_mb={MEMORY_MB}"),
            format!("-malloc_limit_mb={ALLOCATION_MB}"),
            format!("-max_len={MOST_BYTES}"),
        ];
        let words = self.sources.join("dictionaries").join(target);
        if words.exists() {
            limits.push(format!("-dict={}", words.display()));
        }
        limits
    }

    fn corpus(&self, target: &str) -> PathBuf {
        self.sources.join("corpus").join(target)
    }

    fn what_to_do(&self, target: &str, seed: u32, failure: Option<&str>) -> String {
        match failure {
            Some(file) => format!(
                "{target} fails (seed {seed}). See it again: cargo xtask fuzz {target} --reproduce {file}\n\
                 Keep it: cp {file} {}/<what-it-shows>, which `cargo test -p fundbond --test it fuzz` then reads",
                self.sources.join("regressions").join(target).display()
            ),
            None => format!("{target} did not run to its end (seed {seed})"),
        }
    }
}

/// A seed nobody chose. 0 would let the fuzzer choose, and not say.
fn random() -> u32 {
    let bits = RandomState::new().hash_one(std::process::id());
    u32::try_from(bits & 0x7fff_ffff).unwrap_or_default().max(1)
}

/// What the fuzzer's own log says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    executions: u64,
    coverage: u64,
    failure: Option<String>,
}

impl Seen {
    fn read(&mut self, line: &str) {
        if let Some(path) = line.split("Test unit written to ").nth(1) {
            self.failure = Some(path.trim().to_owned());
        }
        let mut words = line.split_whitespace();
        while let Some(word) = words.next() {
            let number = match word {
                "cov:" => &mut self.coverage,
                "stat::number_of_executed_units:" => &mut self.executions,
                _ => continue,
            };
            if let Some(value) = words.next().and_then(|word| word.parse().ok()) {
                *number = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_chosen_by_name_and_a_wrong_name_lists_them() {
        let targets = ["a".to_owned(), "b".to_owned()];
        assert_eq!(chosen("all", &targets).unwrap(), targets);
        assert_eq!(chosen("b", &targets).unwrap(), ["b"]);
        assert!(chosen("c", &targets).unwrap_err().to_string().ends_with("there are: all, a, b"));
    }

    #[test]
    fn the_log_of_the_fuzzer_tells_coverage_executions_and_the_failing_input() {
        let mut seen = Seen::default();
        for line in [
            "#65536\tpulse  cov: 413 ft: 1201 corp: 61/2048b lim: 4096 exec/s: 9362 rss: 61Mb",
            "#70000\tNEW    cov: 420 ft: 1210 corp: 62/2060b lim: 4096 exec/s: 9362 rss: 61Mb",
            "stat::number_of_executed_units: 123456",
            "artifact_prefix='x/'; Test unit written to x/crash-0a",
        ] {
            seen.read(line);
        }
        let expected = Seen { executions: 123_456, coverage: 420, failure: Some("x/crash-0a".into()) };
        assert_eq!(seen, expected);
    }
}
