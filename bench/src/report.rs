//! The report: a table for people, JSON for programs.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::{
    args::Plan,
    machine::Machine,
    server::Side,
    stats::{Compared, Figures, Pairs},
    workload::Workload,
};

/// What a reader must know before quoting a figure.
const NOTES: [&str; 5] = [
    "Quote ratios. Absolute figures wobble by tens of percent from machine to machine and run to run: client \
     and server share the cores, so flat-out rates are those of both together.",
    "CPU is user and system time of the server process, from the kernel; requests and everything else it does \
     in that time are in it. The client is another process. Paced streams are measured between two heartbeats, \
     which would add one event in fifty.",
    "Every event was checked: contiguous offsets, steps in order, one final a task. A lost or repeated event \
     fails the run.",
    "Latency is from an event's timestamp, which has whole milliseconds, to its reading: a single one is right \
     to half a millisecond, and what is below one is no more than that.",
    "The peer keeps nothing: no log, no resume, no idempotency, no takeover. The ratio is the price of these.",
];

/// What was measured, on what.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    machine: Machine,
    rounds: u32,
    window_seconds: f64,
    workloads: Vec<Measured>,
    notes: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    name: &'static str,
    title: String,
    streams: usize,
    figures: Vec<Compared>,
}

impl Report {
    /// A report without figures yet.
    pub fn new(machine: Machine, plan: &Plan) -> Self {
        let mut notes: Vec<_> = NOTES.map(str::to_owned).into();
        if machine.is_busy() {
            let load = machine.load;
            notes.push(format!("The machine was busy (load {load:.1}) before the measurement began."));
        }
        if plan.rounds < 3 {
            notes.push(format!("{} round(s) only: a look, not a measurement.", plan.rounds));
        }
        let window_seconds = plan.window.as_secs_f64();
        Self { machine, rounds: plan.rounds, window_seconds, workloads: Vec::new(), notes }
    }

    /// Adds a workload's runs.
    pub fn add(&mut self, workload: &Workload, pairs: &Pairs) {
        self.workloads.push(Measured {
            name: workload.name,
            title: workload.title(),
            streams: workload.streams,
            figures: pairs.compare(),
        });
    }

    /// For programs.
    pub fn json(&self) -> String {
        // Strings, numbers and lists of them: nothing that JSON could refuse.
        serde_json::to_string_pretty(self).unwrap_or_else(|error| unreachable!("{error}"))
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        let [pod, peer] = Side::BOTH.map(|side| side.to_string());
        table.set_header(["WORKLOAD", "MEASURE", &pod, "(range)", &peer, "(range)", "RATIO"].map(Cell::new));
        for workload in &self.workloads {
            for (index, compared) in workload.figures.iter().enumerate() {
                let title = if index == 0 { workload.title.as_str() } else { "" };
                table.add_row(row(title, compared));
            }
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if index >= 2 {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = format!(
            "{}\n{} round(s) of {:.1} s, pod and peer in turn; medians\n\n",
            self.machine, self.rounds, self.window_seconds
        );
        for line in table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        for note in &self.notes {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n- {note}");
        }
        text
    }
}

fn row(title: &str, compared: &Compared) -> Vec<String> {
    let digits = compared.measure.digits();
    let number = |value: f64| if digits == 0 { grouped(value) } else { format!("{value:.digits$}") };
    let range = |figures: &Figures| {
        let least = figures.rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = figures.rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{}-{}", number(least), number(most))
    };
    let ratio = compared.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    vec![
        title.to_owned(),
        compared.measure.title().to_owned(),
        number(compared.pod.median),
        range(&compared.pod),
        number(compared.peer.median),
        range(&compared.peer),
        ratio,
    ]
}

/// A whole number with a comma after each three digits.
pub fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        stats::{Measure, Sample},
        workload::WORKLOADS,
    };
    use std::time::Duration;

    fn report() -> Report {
        let machine =
            Machine { cores: 2, processor: None, memory_bytes: 24 << 30, kernel: "6.1.0".into(), load: 1.5 };
        let plan = Plan { rounds: 1, window: Duration::from_secs(1), workloads: WORKLOADS.to_vec() };
        let mut report = Report::new(machine, &plan);
        let mut pairs = Pairs::default();
        for (side, rate) in [(Side::Pod, 120_000.0), (Side::Peer, 240_000.0)] {
            let mut sample = Sample::default();
            sample.set(Measure::EventsPerSecond, rate);
            sample.set(Measure::CpuMicros, 6e5 / rate);
            pairs.add(side, sample);
        }
        report.add(&WORKLOADS[1], &pairs);
        report
    }

    #[test]
    fn the_table_says_where_what_and_how_sure() {
        let table = report().table();
        for words in [
            "2 cores (unnamed processor), 24 GiB, Linux 6.1.0, load 1.5 at the start",
            "1,000 streams, flat out  events/s",
            "120,000",
            "0.50",
            "The machine was busy (load 1.5)",
            "a look, not a measurement",
        ] {
            assert!(table.contains(words), "{words:?} is not in\n{table}");
        }
        assert!(table.lines().all(|line| line == line.trim_end()), "{table}");
    }

    #[test]
    fn the_json_holds_every_round() {
        let json: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        let figure = &json["workloads"][0]["figures"][0];
        assert_eq!(figure["measure"], "eventsPerSecond");
        assert_eq!(figure["pod"]["rounds"], serde_json::json!([120_000.0]));
        assert_eq!(figure["ratio"], 0.5);
    }

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!([0.4, 999.0, 1_000.0, 1_234_567.0].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
