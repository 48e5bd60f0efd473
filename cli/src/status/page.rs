//! One FundCluster, on a page.

use std::fmt::Write as _;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use serde::Serialize;

use super::{Attention, Ready, Standing, age, table::gateways};
use crate::{
    output,
    render::{Style, printable},
};

/// So many events are shown; more of them say the same.
const EVENTS: usize = 8;

/// Something that happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Happened {
    /// When, the last time.
    pub at: Option<Timestamp>,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub kind: String,
    /// In one word.
    pub reason: String,
    /// In a sentence.
    pub message: String,
    /// How often.
    pub count: i32,
}

/// What `events` tell, the last first.
pub fn happened(events: Vec<Event>) -> Vec<Happened> {
    let mut happened: Vec<_> = events.into_iter().map(Happened::from).collect();
    happened.sort_by_key(|it| std::cmp::Reverse(it.at));
    happened.truncate(EVENTS);
    happened
}

impl From<Event> for Happened {
    fn from(event: Event) -> Self {
        let series = event.series.as_ref();
        let at = series.and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
        let at = at.or(event.last_timestamp.map(|time| time.0)).or(event.event_time.map(|time| time.0));
        Self {
            at: at.or(event.metadata.creation_timestamp.map(|time| time.0)),
            kind: event.type_.unwrap_or_default(),
            reason: event.reason.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
            count: series.and_then(|series| series.count).or(event.count).unwrap_or(1).max(1),
        }
    }
}

/// Everything about one.
pub fn page(
    it: &Standing,
    events: &[Happened],
    now: Timestamp,
    width: Option<usize>,
    style: Style,
) -> String {
    let mut page = String::new();
    let verdict = match it.ready {
        Ready::True => style.good("ready"),
        Ready::False => style.bad("not ready"),
        Ready::Unknown => style.warn("not known to be ready"),
    };
    let _ = writeln!(page, "{} is {verdict}: {}", style.bold(&it.place()), printable(&it.reason));
    if !it.message.is_empty() {
        let _ = writeln!(page, "{}", output::wrapped(&printable(&it.message), 2, width));
    }
    page.push('\n');
    for (name, value) in facts(it, now) {
        let _ = writeln!(page, "{name:<13}{}", printable(&value));
    }
    page.push('\n');
    if it.conditions.is_empty() {
        page.push_str("no conditions\n");
    } else {
        page.push_str(&section("CONDITION", "STATUS", conditions(it, now), width, style));
    }
    page.push('\n');
    if events.is_empty() {
        page.push_str("no events in the last hour or so\n");
    } else {
        let rows = events.iter().map(|event| happening(event, now));
        page.push_str(&section("EVENT", "TYPE", rows.collect(), width, style));
    }
    page
}

fn facts(it: &Standing, now: Timestamp) -> Vec<(&'static str, String)> {
    let number = |number: Option<i64>| number.map_or("not told".to_owned(), |number| number.to_string());
    let route = format!("{}: {}, paths below {}", it.route.header, it.route.value, it.route.path_prefix);
    let default = if it.route.default { ", and what names no cluster" } else { "" };
    let acknowledged = match &it.gateways {
        Some(told) if told.gateways > 0 => format!("{} have generation {}", gateways(it), told.generation),
        Some(told) => format!("none says whether it has generation {}", told.generation),
        None => "not told".to_owned(),
    };
    let pods = &it.pods;
    let observed = match it.observed_generation {
        Some(observed) if observed == it.generation => String::new(),
        Some(observed) => format!(" (observed: {observed})"),
        None => " (not observed)".to_owned(),
    };
    vec![
        ("route", format!("{route}{default}")),
        ("gateways", acknowledged),
        ("strategy", it.strategy.clone()),
        ("pods", format!("{} of {} ready, {} of the newest spec", pods.ready, pods.desired, pods.updated)),
        ("streams", number(it.streams)),
        ("backlog", number(it.backlog)),
        ("housekeeper", it.leader.clone().unwrap_or_else(|| "not told".to_owned())),
        ("generation", format!("{}{observed}", it.generation)),
        ("age", age(it.created_at, now)),
    ]
}

/// A line of a section, and what is said below it.
struct Row {
    cells: [String; 4],
    message: String,
    attention: Attention,
}

fn conditions(it: &Standing, now: Timestamp) -> Vec<Row> {
    let rows = it.conditions.iter().map(|condition| {
        // Of some it is good news that they do not hold.
        let bad = matches!(condition.type_.as_str(), "Degraded" | "Stalled" | "Paused");
        let attention = match (condition.status.as_str(), bad) {
            ("True", true) | ("False", false) if condition.type_ != "Progressing" => Attention::Degraded,
            _ => Attention::None,
        };
        Row {
            cells: [
                condition.type_.clone(),
                condition.status.clone(),
                condition.reason.clone(),
                age(Some(condition.last_transition_time.0), now),
            ],
            // What the head of the page says is not said again.
            message: if condition.message == it.message { String::new() } else { condition.message.clone() },
            attention,
        }
    });
    rows.collect()
}

fn happening(event: &Happened, now: Timestamp) -> Row {
    let often = if event.count > 1 { format!(" x{}", event.count) } else { String::new() };
    Row {
        cells: [
            event.reason.clone(),
            event.kind.clone(),
            String::new(),
            format!("{}{often}", age(event.at, now)),
        ],
        message: event.message.clone(),
        attention: if event.kind == "Warning" { Attention::Degraded } else { Attention::None },
    }
}

/// Lines with their messages below them, for a message seldom fits beside.
fn section(first: &str, second: &str, rows: Vec<Row>, width: Option<usize>, style: Style) -> String {
    let has_third = rows.iter().any(|row| !row.cells[2].is_empty());
    let of = |cells: [&str; 4]| -> Vec<String> {
        let shown = cells.iter().enumerate().filter(|(index, _)| has_third || *index != 2);
        shown.map(|(_, cell)| printable(cell).into_owned()).collect()
    };
    let titles = of([first, second, "REASON", "SINCE"]);
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    let cells = rows.iter().map(|row| of(row.cells.each_ref().map(String::as_str)));
    let plain = output::table(&titles, &[], cells);
    let mut lines = plain.lines();
    let mut text = String::new();
    let _ = writeln!(text, "{}", style.dim(lines.next().unwrap_or_default()));
    for (line, row) in lines.zip(&rows) {
        let line = if row.attention > Attention::None { style.warn(line) } else { line.to_owned() };
        let _ = writeln!(text, "{line}");
        if !row.message.is_empty() {
            let _ = writeln!(text, "{}", output::wrapped(&printable(&row.message), 4, width));
        }
    }
    text
}
