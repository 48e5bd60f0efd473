//! What a change does, for people.

use std::fmt::Write as _;

use serde_json::Value;

use super::{
    Difference,
    children::{Action, ChildChange, Effect, FieldChange},
    moves::{Moves, Place},
    pods::{Fate, PodsChange},
};
use crate::{
    manifest::{error::Count, wrap},
    output,
    render::{Style, printable},
};

/// More ways than these nobody reads; all of them are in the document that `-o json` writes.
const MOST_FLOWS: usize = 12;

/// What a change does.
pub fn text(difference: &Difference, style: Style) -> String {
    let mut text = String::new();
    let [old, new] = difference.strategy.map(fundbond_crds::routing::Strategy::as_str);
    let routing = if old == new { old.to_owned() } else { format!("{old} -> {new}") };
    let title = format!("FundCluster {}/{}", difference.namespace, difference.name);
    let _ = writeln!(text, "{}  routing {routing}", style.bold(&title));
    if difference.is_empty() {
        text.push_str("  nothing changes\n");
        return text;
    }
    text.push_str("\nOBJECTS\n");
    for child in &difference.children {
        object(&mut text, child, style);
    }
    text.push_str("\nPODS\n");
    let _ = writeln!(text, "{}", indented(&pods(&difference.pods)));
    let _ = writeln!(text, "\nUSERS");
    users(&mut text, &difference.users);
    text.push_str("\nSTREAMS\n");
    for line in streams(&difference.pods, &difference.users) {
        let _ = writeln!(text, "{}", wrap::labelled("  ", &line));
    }
    text
}

fn object(text: &mut String, child: &ChildChange, style: Style) {
    let sign = match child.action {
        Action::Added => style.good("+"),
        Action::Removed => style.bad("-"),
        Action::Changed => style.warn("~"),
    };
    let effect = match child.effect {
        Some(Effect::Rolls) => "  (its pods roll)",
        Some(Effect::Live) => "  (pods follow it while they run)",
        Some(Effect::Routes) => "  (gateways and proxies follow it at once)",
        None => "",
    };
    let _ = writeln!(text, "{sign} {} {}{effect}", child.kind, child.name);
    for field in &child.fields {
        let _ = writeln!(text, "{}", wrap::labelled("    ", &changed(field)));
    }
}

fn changed(field: &FieldChange) -> String {
    let said = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), shown);
    format!("{}: {} -> {}", printable(&field.field), said(&field.old), said(&field.new))
}

/// A value on one line; a long one by its beginning.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = printable(&text).into_owned();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn pods(pods: &[PodsChange]) -> String {
    let rows = pods.iter().map(|pods| {
        let fate = match pods.fate {
            Fate::Stay => "stay",
            Fate::Roll => "roll: each is followed by a new one",
            Fate::Scale if pods.after.len() > pods.before.len() => "stay, and new ones come",
            Fate::Scale => "some leave",
            Fate::Come => "come",
            Fate::Leave => "leave",
        };
        vec![
            pods.deployment.clone(),
            pods.before.len().to_string(),
            pods.after.len().to_string(),
            fate.to_owned(),
        ]
    });
    output::table(&["DEPLOYMENT", "NOW", "THEN", "ITS PODS"], &[1, 2], rows)
}

fn users(text: &mut String, users: &Moves) {
    let moved = users.moved.len();
    let _ = writeln!(text, "  {} of {} move ({})", moved, users.followed, share(moved, users.followed));
    let goes = |place: &Place| !matches!(place, Place::Unknown(_));
    let flows: Vec<_> = users
        .flows
        .iter()
        .filter(|flow| flow.from != flow.to && goes(&flow.from) && goes(&flow.to))
        .collect();
    if flows.is_empty() {
        return;
    }
    let rows = flows.iter().take(MOST_FLOWS).map(|flow| {
        let share = share(flow.users, users.followed);
        vec![flow.from.to_string(), flow.to.to_string(), flow.users.to_string(), share]
    });
    let _ = writeln!(text, "{}", indented(&output::table(&["FROM", "TO", "USERS", "SHARE"], &[2, 3], rows)));
    if let Some(more) = flows.len().checked_sub(MOST_FLOWS).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more ways; -o json has all of them, and every user");
    }
}

/// What becomes of connections that are open.
fn streams(pods: &[PodsChange], users: &Moves) -> Vec<String> {
    let mut lines = Vec::new();
    let list = |fate: Fate, proxy: bool| {
        let names = pods.iter().filter(|pods| pods.fate == fate && pods.proxy == proxy);
        names.map(|pods| pods.deployment.as_str()).collect::<Vec<_>>().join(", ")
    };
    let ending: usize = pods
        .iter()
        .filter(|pods| !pods.proxy)
        .map(|pods| pods.before.iter().filter(|name| !pods.after.contains(name)).count())
        .sum();
    if ending > 0 {
        lines.push(format!(
            "every stream of {} is told to connect again while its pod drains, and goes on where it was",
            Count(ending, "pod")
        ));
    }
    if !list(Fate::Roll, true).is_empty() {
        lines.push(format!(
            "streams through {} are cut when it rolls, and connect again",
            list(Fate::Roll, true)
        ));
    }
    if lines.is_empty() {
        lines.push("all of them stay open".to_owned());
    }
    if !users.moved.is_empty() {
        lines.push(
            "users who move go to their new place with their next request, and with their stream when it is opened \
             again"
                .to_owned(),
        );
    }
    lines
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn share(part: usize, whole: usize) -> String {
    let percent = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    format!("{percent:.1} %")
}

fn indented(table: &str) -> String {
    table.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
