//! Clients of the gateway: those of the chaos runs, which resume as a browser's `EventSource` does and write down all that
//! they see; what they saw is judged by the rules of the chaos runs.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use fundbond_chaos::{
    check,
    desk::{self, Office},
    fact::{Fact, What},
    history::History,
    http::Http,
    plan::{Desk, FaultKind, Habit, Job, Plan, Work},
    recovery, run,
};
use fundbond_protocol::{ConnectionId, Status, TaskId};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{Trial, stage::GATEWAY, until};

/// One client for each of `count`: its stream, and a task that counts `steps` times with a pause before each.
///
/// # Errors
/// `name` is no name of a stream.
pub fn steps(name: &str, count: usize, steps: u32, pause: Duration) -> Result<Vec<Desk>> {
    let desk = |number: usize| {
        let name = format!("{name}-{number}");
        let work = Work::Steps { count: steps, delay: pause };
        let task = TaskId::parse(format!("{name}-fund-0"))?;
        let job = Job { task, after: Duration::ZERO, work, cancel: None };
        // They come one after the other, as people do.
        let at = Duration::from_millis(5) * u32::try_from(number)?;
        let connection = ConnectionId::parse(&name)?;
        Ok(Desk { at, connection, habit: Habit::Stays, jobs: vec![job], notes: None })
    };
    (0..count).map(desk).collect()
}

/// Clients that read.
#[derive(Debug)]
pub struct Clients {
    office: Office,
    plan: Plan,
    playing: JoinSet<Result<(), fundbond_chaos::ChaosError>>,
    folder: tempfile::TempDir,
    faults: usize,
}

/// What they saw to the end.
#[derive(Debug)]
pub struct Seen {
    /// Everything.
    pub facts: Vec<Fact>,
    /// How many streams broke off, and went on.
    pub broke: usize,
    /// How many streams were opened again.
    pub reopened: usize,
    /// The last reopening after the first: how far they were spread.
    pub spread: Duration,
    /// How many were told that history is gone.
    pub resets: usize,
    /// Events.
    pub events: usize,
    /// From the loss of a stream until it went on; the longest of all.
    pub longest: Duration,
}

impl Clients {
    /// They come, open their streams and submit their tasks for the cluster with this route value.
    ///
    /// # Errors
    /// There is no room for what they see.
    pub fn come(route: &str, desks: Vec<Desk>) -> Result<Self> {
        let folder = tempfile::tempdir().context("no folder for what clients see")?;
        let history = Arc::new(History::new(&folder.path().join("facts.jsonl"))?);
        history.begun();
        let http = Http::of_cluster(GATEWAY, route);
        let office = Office { http, history, calm: Instant::now(), over: CancellationToken::new() };
        let mut playing = JoinSet::new();
        for desk in desks.clone() {
            playing.spawn(desk::play(office.clone(), desk));
        }
        let plan = Plan { desks, ..Plan::of_nothing(0, 0, 0) };
        Ok(Self { office, plan, playing, folder, faults: 0 })
    }

    /// Waits until every stream is open and every task has begun.
    ///
    /// # Errors
    /// They are not, in time.
    pub async fn until_under_way(&self, within: Duration) -> Result<Duration> {
        let wanted = self.plan.desks.len();
        until("all streams are open and all tasks under way", within, async || {
            let begun = self.office.history.since(0).iter().filter(|fact| begins(&fact.what)).count();
            Ok((begun < wanted).then(|| format!("{begun} of {wanted}")))
        })
        .await
    }

    /// How many streams each pod holds now.
    pub fn held(&self) -> BTreeMap<String, usize> {
        let mut holders = BTreeMap::new();
        for fact in self.office.history.since(0) {
            match fact.what {
                What::Opened { page, status: 200, by: Some(by) } => {
                    holders.insert(page, by);
                }
                What::Ended { page, .. } => {
                    holders.remove(&page);
                }
                _ => {}
            }
        }
        let mut held = BTreeMap::new();
        for pod in holders.into_values() {
            *held.entry(pod).or_default() += 1;
        }
        held
    }

    /// Notes that something breaks now, of which the rules make allowances: a Redis that forgets may say `RESET`.
    pub fn breaks(&mut self, kind: FaultKind, target: &str) {
        let fault = self.faults;
        self.faults += 1;
        self.office.history.say(What::Breaks { fault, kind, target: target.to_owned() });
        self.plan.redis_keeps &= kind != FaultKind::RedisRestart;
    }

    /// Waits until every client has seen the end of its task, and judges all that they saw. Facts are kept in `keep` where
    /// a promise was broken.
    ///
    /// # Errors
    /// A promise was broken, or somebody still waits.
    pub async fn whole(mut self, within: Duration, keep: &Path) -> Result<Seen> {
        let finished = timeout(within, async {
            while let Some(played) = self.playing.join_next().await {
                played.context("a client panicked")??;
            }
            Ok::<_, anyhow::Error>(())
        })
        .await;
        let waiting = self.playing.len();
        self.office.over.cancel();
        while let Some(played) = self.playing.join_next().await {
            played.context("a client panicked")??;
        }
        run::states(&self.office).await?;
        let facts = self.office.history.end()?;
        self.plan.ends = facts.last().map(|fact| fact.at).unwrap_or_default();
        let violations = check::check(&self.plan, &facts);
        if finished.is_err() || !violations.is_empty() {
            std::fs::create_dir_all(keep)?;
            let kept = keep.join("facts.jsonl");
            std::fs::copy(self.folder.path().join("facts.jsonl"), &kept)?;
            let mut text: Vec<_> = violations
                .iter()
                .take(10)
                .map(|violation| {
                    let at = violation.at.as_secs_f64();
                    format!("{at:.1} s: {:?}: {}", violation.rule, violation.text)
                })
                .collect();
            if violations.len() > 10 {
                text.push(format!("and {} more", violations.len() - 10));
            }
            bail!(
                "{} violations, {waiting} of {} clients wait after {} s; facts in {}\n{}",
                violations.len(),
                self.plan.desks.len(),
                within.as_secs(),
                kept.display(),
                text.join("\n")
            );
        }
        finished??;
        Ok(Seen::of(facts))
    }
}

/// The first word of a task: its stream is open and it runs.
fn begins(what: &What) -> bool {
    let What::Saw { frame, .. } = what else { return false };
    frame.name.as_deref() == Some(Status::PROCESSING.as_str())
}

impl Seen {
    fn of(facts: Vec<Fact>) -> Self {
        let mut opened = BTreeMap::new();
        let mut again = Vec::new();
        let (mut resets, mut events) = (0, 0);
        for fact in &facts {
            match &fact.what {
                What::Opened { page, status: 200, .. } => {
                    let times = opened.entry(page).or_insert(0);
                    *times += 1;
                    if *times > 1 {
                        again.push(fact.at);
                    }
                }
                What::Saw { frame, .. } => {
                    events += usize::from(frame.said.is_some());
                    resets += usize::from(frame.name.as_deref() == Some(Status::RESET.as_str()));
                }
                _ => {}
            }
        }
        let spread = again.last().zip(again.first()).map(|(last, first)| last.saturating_sub(*first));
        let recoveries: Vec<_> = recovery::recoveries(&facts).into_values().flatten().collect();
        Self {
            broke: recoveries.len(),
            reopened: again.len(),
            spread: spread.unwrap_or_default(),
            resets,
            events,
            longest: recoveries.into_iter().max().unwrap_or_default(),
            facts,
        }
    }

    /// The most streams that were opened again within one second.
    pub fn busiest_second(&self) -> usize {
        let mut seconds = BTreeMap::new();
        let mut known = std::collections::BTreeSet::new();
        for fact in &self.facts {
            if let What::Opened { page, status: 200, .. } = &fact.what
                && !known.insert(page)
            {
                *seconds.entry(fact.at.as_secs()).or_insert(0) += 1;
            }
        }
        seconds.into_values().max().unwrap_or_default()
    }

    /// Its figures, in the report of a test.
    pub fn report(&self, trial: &Trial) {
        trial.figure("events", self.events);
        trial.figure("lost or repeated", 0);
        trial.figure("streams opened again", self.reopened);
        if self.reopened > 0 {
            trial.figure("spread over, s", format!("{:.0}", self.spread.as_secs_f64()));
            trial.figure("most in a second", self.busiest_second());
            trial.figure("longest gap, s", format!("{:.1}", self.longest.as_secs_f64()));
        }
        if self.resets > 0 {
            trial.figure("told RESET", self.resets);
        }
    }
}
