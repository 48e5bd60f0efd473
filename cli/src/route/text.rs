//! The way of a request for people.

use std::fmt::Write as _;

use super::{Hop, Way};
use crate::{
    output,
    render::{Style, printable},
};

/// Where the facts of a hop begin.
const MARGIN: usize = 3;

/// Hop by hop, and what it comes to.
pub fn text(way: &Way, width: Option<usize>, style: Style) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}", output::wrapped(&printable(&way.request.words()), 0, width));
    for (index, hop) in way.hops.iter().enumerate() {
        let _ = writeln!(text, "\n{}  {}", index + 1, style.bold(&printable(&hop.who)));
        describe(hop, width, style, &mut text);
    }
    let _ = writeln!(text, "\n{}", verdict(way, width, style));
    text
}

fn describe(hop: &Hop, width: Option<usize>, style: Style, text: &mut String) {
    let told = &hop.told;
    let key = told.key.as_ref().map(|key| format!("{} = {}", key.from, key.value));
    let chosen = told.endpoint.as_ref().map(|endpoint| match hop.how {
        Some(how) => format!("{endpoint} ({})", how.words()),
        None => endpoint.clone(),
    });
    let facts = [
        ("route", told.route.clone()),
        ("strategy", hop.strategy.clone()),
        ("key", key),
        ("group", told.group.clone()),
        ("goes to", chosen),
    ];
    for (name, value) in facts {
        let Some(value) = value else { continue };
        let value = output::wrapped(&printable(&value), MARGIN + 10, width);
        let _ = writeln!(text, "   {name:<10}{}", value.trim_start());
    }
    for why in &told.why {
        let why = output::wrapped(&printable(why), MARGIN + 2, width);
        let _ = writeln!(text, "   - {}", why.trim_start());
    }
    if told.candidates.len() > 1 {
        let rows = told.candidates.iter().map(|candidate| {
            let most = candidate.most.map_or_else(|| "-".to_owned(), |most| most.to_string());
            vec![
                printable(&candidate.endpoint).into_owned(),
                printable(&candidate.state).into_owned(),
                candidate.under_way.to_string(),
                most,
            ]
        });
        let table = output::table(&["CANDIDATE", "STATE", "UNDER WAY", "MOST"], &[2, 3], rows);
        for (index, line) in table.lines().enumerate() {
            let line = if index == 0 { style.dim(line) } else { line.to_owned() };
            let _ = writeln!(text, "   {line}");
        }
    }
}

fn verdict(way: &Way, width: Option<usize>, style: Style) -> String {
    let words = match (way.refusal(), &way.lost, &way.pod) {
        (Some(hop), _, _) => {
            let why = hop.told.why.last().cloned().unwrap_or_default();
            format!("{}: {why}", meaning(&hop.told.decision))
        }
        (None, Some(lost), _) => format!("the rest of the way is not known: {lost}"),
        (None, None, Some(pod)) => {
            format!("goes to pod {pod} of {}", way.cluster.as_deref().unwrap_or("a route without a name"))
        }
        (None, None, None) => "nobody says where it goes".to_owned(),
    };
    let words = output::wrapped(&printable(&words), 0, width);
    if way.pod.is_some() { style.good(&words) } else { style.bad(&words) }
}

fn meaning(decision: &str) -> &str {
    match decision {
        "refused" => "is refused",
        "rejected" => "is rejected with 403",
        "noReadyEndpoint" => "is answered 503, nobody is ready",
        "endpointsFailing" => "is answered 503, all that are ready kept failing",
        other => other,
    }
}
