//! Many FundClusters, one a line.

use jiff::Timestamp;

use super::{Attention, Standing, age};
use crate::{
    output,
    render::{Style, printable},
};

/// A table, and what of it had no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Its lines.
    pub text: String,
    /// Titles of columns that were left out.
    pub left_out: Vec<&'static str>,
}

struct Column {
    title: &'static str,
    is_number: bool,
    cell: fn(&Standing, Timestamp) -> String,
    /// What goes first where there is no room; the names, whether and why never do.
    goes: Option<u8>,
}

const COLUMNS: [Column; 10] = [
    Column { title: "NAMESPACE", is_number: false, cell: |it, _| it.namespace.clone(), goes: None },
    Column { title: "NAME", is_number: false, cell: |it, _| it.name.clone(), goes: None },
    Column { title: "READY", is_number: false, cell: |it, _| it.ready.as_str().to_owned(), goes: None },
    Column { title: "PODS", is_number: true, cell: |it, _| pods(it), goes: None },
    Column { title: "STREAMS", is_number: true, cell: |it, _| number(it.streams), goes: Some(3) },
    Column { title: "BACKLOG", is_number: true, cell: |it, _| number(it.backlog), goes: Some(4) },
    Column { title: "ROUTE", is_number: false, cell: |it, _| route(it), goes: Some(1) },
    Column { title: "GATEWAYS", is_number: true, cell: |it, _| gateways(it), goes: Some(2) },
    Column { title: "REASON", is_number: false, cell: |it, _| it.reason.clone(), goes: None },
    Column { title: "AGE", is_number: false, cell: |it, now| age(it.created_at, now), goes: Some(5) },
];

/// A line for each of `standings`, in `width` columns where that can be done.
pub fn table(
    standings: &[Standing],
    with_namespace: bool,
    now: Timestamp,
    width: Option<usize>,
    style: Style,
) -> Drawn {
    let mut columns: Vec<&Column> =
        COLUMNS.iter().filter(|column| with_namespace || column.title != "NAMESPACE").collect();
    let mut left_out = Vec::new();
    loop {
        let plain = lines(standings, &columns, now);
        let widest = plain.lines().map(|line| line.chars().count()).max().unwrap_or_default();
        let least = columns.iter().enumerate().filter(|(_, c)| c.goes.is_some()).min_by_key(|(_, c)| c.goes);
        match least.map(|(index, _)| index) {
            Some(index) if width.is_some_and(|width| widest > width) => {
                left_out.push(columns.remove(index).title);
            }
            _ => return Drawn { text: painted(&plain, standings, style), left_out },
        }
    }
}

fn lines(standings: &[Standing], columns: &[&Column], now: Timestamp) -> String {
    let titles: Vec<_> = columns.iter().map(|column| column.title).collect();
    let numbers: Vec<_> =
        columns.iter().enumerate().filter(|(_, column)| column.is_number).map(|(index, _)| index).collect();
    let row = |it| columns.iter().map(|column| printable(&(column.cell)(it, now)).into_owned()).collect();
    output::table(&titles, &numbers, standings.iter().map(row))
}

/// Whole lines: a table is laid out by characters that are seen.
fn painted(plain: &str, standings: &[Standing], style: Style) -> String {
    let mut lines = plain.lines();
    let mut painted: Vec<String> = lines.next().map(|title| style.dim(title)).into_iter().collect();
    painted.extend(lines.zip(standings).map(|(line, it)| match it.attention() {
        Attention::None => line.to_owned(),
        Attention::Underway => style.step(line),
        Attention::Degraded => style.warn(line),
        Attention::Stalled => style.bad(line),
    }));
    painted.join("\n")
}

fn number(number: Option<i64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

fn pods(it: &Standing) -> String {
    format!("{}/{}", it.pods.ready, it.pods.desired)
}

fn route(it: &Standing) -> String {
    // What names nobody goes there, too.
    if it.route.default { format!("{}*", it.route.value) } else { it.route.value.clone() }
}

pub(super) fn gateways(it: &Standing) -> String {
    match &it.gateways {
        // None of them says which routes it has.
        Some(told) if told.gateways > 0 => format!("{}/{}", told.acknowledged, told.gateways),
        _ => "-".to_owned(),
    }
}
