//! What a run has shown, as text 80 columns wide and as JSON.

use std::{collections::BTreeMap, fmt, time::Duration};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use fundbond_protocol::Status;
use serde::Serialize;

use crate::{
    check::{self, Figure, Violation},
    fact::{Fact, What},
    plan::Plan,
    recovery::{self, quantile},
};

/// Violations of each promise that are shown with their history; one cause often breaks a promise many times.
const SHOWN: usize = 2;

/// The outcome of a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    seed: u64,
    seconds: f64,
    pods: u8,
    proxies: u8,
    redis_keeps: bool,
    clients: usize,
    streams_opened: usize,
    events: usize,
    resets: usize,
    tasks_accepted: usize,
    /// Of these, nobody may know any more: Redis forgot them, and a pod that knew of them ended, too.
    tasks_excused: usize,
    submissions: usize,
    faults: BTreeMap<String, Figures>,
    /// How long that took which the story is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    figures: Vec<Figure>,
    violations: Vec<Shown>,
}

/// What faults of one kind did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    faults: usize,
    recoveries: usize,
    median_seconds: Option<f64>,
    p99_seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    violation: Violation,
    /// What led to it, of the first few.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    history: Vec<String>,
}

impl Report {
    /// Counts and judges the facts of a run.
    pub fn of(plan: &Plan, facts: &[Fact]) -> Self {
        let count = |counted: &dyn Fn(&What) -> bool| facts.iter().filter(|fact| counted(&fact.what)).count();
        let is_reset = |what: &What| matches!(what, What::Saw { frame, .. } if frame.name.as_deref() == Some(Status::RESET.as_str()));
        let mut shown: Vec<Shown> = Vec::new();
        for violation in check::check(plan, facts) {
            let like_it = shown.iter().filter(|shown| shown.violation.rule == violation.rule).count();
            let history = if like_it < SHOWN { check::excerpt(facts, &violation) } else { Vec::new() };
            let history = history.into_iter().map(ToString::to_string).collect();
            shown.push(Shown { violation, history });
        }
        Self {
            seed: plan.seed,
            seconds: facts.last().map(|fact| fact.at).unwrap_or_default().as_secs_f64(),
            pods: plan.pods,
            proxies: plan.proxies,
            redis_keeps: plan.redis_keeps,
            clients: plan.desks.len(),
            streams_opened: count(&|what| matches!(what, What::Opened { status: 200, .. })),
            events: count(&|what| matches!(what, What::Saw { frame, .. } if frame.said.is_some())),
            resets: count(&is_reset),
            tasks_accepted: check::accepted(plan, facts),
            tasks_excused: check::excused(plan, facts),
            submissions: count(&|what| matches!(what, What::Submits { .. })),
            faults: figures(facts),
            figures: check::figures(plan, facts),
            violations: shown,
        }
    }

    /// Whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// As JSON.
    pub fn json(&self) -> String {
        // Every part has a JSON form.
        serde_json::to_string_pretty(self).unwrap_or_else(|error| unreachable!("{error}"))
    }
}

fn figures(facts: &[Fact]) -> BTreeMap<String, Figures> {
    let mut figures: BTreeMap<String, Figures> = BTreeMap::new();
    for fact in facts {
        if let What::Breaks { kind, .. } = &fact.what {
            figures.entry(kind.to_string()).or_default().faults += 1;
        }
    }
    for (kind, times) in recovery::recoveries(facts) {
        let name = kind.map_or_else(|| "no fault".to_owned(), |kind| kind.to_string());
        let seconds = |percent| quantile(&times, percent).map(|time: Duration| time.as_secs_f64());
        let entry = figures.entry(name).or_default();
        entry.recoveries = times.len();
        (entry.median_seconds, entry.p99_seconds) = (seconds(50), seconds(99));
    }
    figures
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = if self.redis_keeps { "finds its data again" } else { "forgets at a restart" };
        let Self { seed, seconds, pods, proxies, .. } = self;
        writeln!(f, "seed {seed}: {seconds:.0} s, {pods} pods, {proxies} proxies, a Redis that {memory}")?;
        writeln!(
            f,
            "{} clients opened {} streams and saw {} events and {} resets",
            self.clients, self.streams_opened, self.events, self.resets
        )?;
        write!(f, "{} tasks were accepted in {} submissions", self.tasks_accepted, self.submissions)?;
        if self.tasks_excused > 0 {
            write!(f, "; of {}, nothing can be asked", self.tasks_excused)?;
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["fault", "times", "clients hit", "whole again p50", "p99"]);
        let shown =
            |seconds: Option<f64>| seconds.map_or_else(String::new, |seconds| format!("{seconds:.2} s"));
        for (kind, figures) in &self.faults {
            let Figures { faults, recoveries, median_seconds, p99_seconds } = figures;
            let (faults, recoveries) = (faults.to_string(), recoveries.to_string());
            table.add_row([kind.clone(), faults, recoveries, shown(*median_seconds), shown(*p99_seconds)]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "\n\n{}\n", table.trim_fmt())?;
        for Figure { of, seconds, most } in &self.figures {
            match seconds {
                Some(seconds) => writeln!(f, "{of} after {seconds:.1} s of {most:.0} s")?,
                None => writeln!(f, "{of}: never within {most:.0} s")?,
            }
        }
        if self.is_clean() {
            return f.write_str("every promise was kept");
        }
        write!(f, "{} violations", self.violations.len())?;
        for Shown { violation, history } in &self.violations {
            write!(f, "\n{violation}")?;
            for line in history {
                write!(f, "\n    {line}")?;
            }
        }
        Ok(())
    }
}
