//! The report: a table for people, JSON for programs.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::{
    error::BenchError,
    machine::Machine,
    say,
    stats::{Compared, Figures, Pairs, Side},
};

/// What a report is about.
#[derive(Clone, Debug)]
pub struct Heading {
    /// Rounds of each workload.
    pub rounds: u32,
    /// What a round is, as `2.5 s`.
    pub each: String,
    /// The product, and what it is measured against.
    pub columns: [&'static str; 2],
    /// What a reader must know before quoting a figure.
    pub notes: &'static [&'static str],
}

/// What was measured, on what.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    machine: Machine,
    rounds: u32,
    each: String,
    columns: [&'static str; 2],
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
    /// A report of this machine as it is now, without figures yet; says so on stderr.
    ///
    /// # Errors
    /// Where the machine does not say what it is.
    pub fn begin(heading: Heading) -> Result<Self, BenchError> {
        let machine = Machine::look()?;
        let [ours, peer] = heading.columns;
        say(&format!("{machine}; {} round(s), {ours} and {peer} in turn", heading.rounds));
        Ok(Self::new(machine, heading))
    }

    fn new(machine: Machine, heading: Heading) -> Self {
        let Heading { rounds, each, columns, notes } = heading;
        let mut notes: Vec<_> = notes.iter().map(|&note| note.to_owned()).collect();
        if machine.is_busy() {
            let load = machine.load;
            notes.push(format!("The machine was busy (load {load:.1}) before the measurement began."));
        }
        if rounds < 3 {
            notes.push(format!("{rounds} round(s) only: a look, not a measurement."));
        }
        Self { machine, rounds, each, columns, workloads: Vec::new(), notes }
    }

    /// What a side is called.
    pub fn column(&self, side: Side) -> &'static str {
        self.columns[usize::from(side == Side::Peer)]
    }

    /// Adds the runs of a workload.
    pub fn add(&mut self, name: &'static str, title: String, streams: usize, pairs: &Pairs) {
        self.workloads.push(Measured { name, title, streams, figures: pairs.compare() });
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
        let [ours, peer] = self.columns;
        table.set_header(["WORKLOAD", "MEASURE", ours, "(range)", peer, "(range)", "RATIO"].map(Cell::new));
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
            "{}\n{} round(s) of {}, {ours} and {peer} in turn; medians\n\n",
            self.machine, self.rounds, self.each
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
    use crate::stats::{Measure, Sample};

    fn report() -> Report {
        let machine =
            Machine { cores: 2, processor: None, memory_bytes: 24 << 30, kernel: "6.1.0".into(), load: 1.5 };
        let heading = Heading {
            rounds: 1,
            each: "1 s".into(),
            columns: ["pod-service", "axum-sse"],
            notes: &["a note"],
        };
        let mut report = Report::new(machine, heading);
        let mut pairs = Pairs::default();
        for (side, rate) in [(Side::Pod, 120_000.0), (Side::Peer, 240_000.0)] {
            let mut sample = Sample::default();
            sample.set(Measure::EventsPerSecond, rate);
            sample.set(Measure::CpuMicros, 6e5 / rate);
            pairs.add(side, sample);
        }
        report.add("flat-1000", "1,000 streams, flat out".into(), 1_000, &pairs);
        report
    }

    #[test]
    fn the_table_says_where_what_and_how_sure() {
        let table = report().table();
        for words in [
            "2 cores (unnamed processor), 24 GiB, Linux 6.1.0, load 1.5 at the start",
            "1 round(s) of 1 s, pod-service and axum-sse in turn",
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
