//! Command lines, from what parses them.

use std::{any::TypeId, fmt::Write as _, net::IpAddr, path::PathBuf, time::Duration};

use clap::{Arg, ArgAction, Command, CommandFactory};
use fundbond_cli::args::Cli;
use fundbond_routing::spec::Span;

use super::{code, table, title};

/// `fundctl` and everything it can do.
pub(super) fn page() -> String {
    let mut command = Cli::command();
    command.build();
    let mut page = title("fundctl", &about(&command));
    page.push_str("## Options of every command\n\n");
    let global: Vec<&Arg> =
        command.get_arguments().filter(|arg| arg.is_global_set() && is_shown(arg)).collect();
    page.push_str(&arguments(&global));
    describe(&command, "fundctl", &mut page);
    if let Some(more) = command.get_after_long_help() {
        let more = more.to_string();
        let codes = more.trim_start_matches("Exit codes:\n");
        let _ = writeln!(page, "\n## Exit codes\n\n```\n{codes}\n```");
    }
    page
}

fn describe(command: &Command, path: &str, page: &mut String) {
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let path = format!("{path} {}", sub.get_name());
        if sub.has_subcommands() {
            describe(sub, &path, page);
            continue;
        }
        let usage = sub.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ");
        let _ = write!(page, "\n## {path}\n\n{}\n\n```\n{usage}\n```\n\n", about(sub));
        let own: Vec<&Arg> =
            sub.get_arguments().filter(|arg| !arg.is_global_set() && is_shown(arg)).collect();
        if !own.is_empty() {
            page.push_str(&arguments(&own));
        }
    }
}

/// What a command is for.
pub(super) fn about(command: &Command) -> String {
    let about = command.get_long_about().or(command.get_about());
    sentence(&about.map(ToString::to_string).unwrap_or_default())
}

/// Whether it is an argument of the program's own.
pub(super) fn is_shown(arg: &Arg) -> bool {
    let builtin = matches!(
        arg.get_action(),
        ArgAction::Help | ArgAction::HelpLong | ArgAction::HelpShort | ArgAction::Version
    );
    !arg.is_hide_set() && !builtin
}

/// A table of arguments.
pub(super) fn arguments(args: &[&Arg]) -> String {
    let row =
        |arg: &&Arg| vec![code(&name(arg)), code(&variable(arg)), default(arg), values(arg), meaning(arg)];
    table(&["flag", "variable", "default", "value", "meaning"], args.iter().map(row))
}

fn name(arg: &Arg) -> String {
    let value =
        arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string).unwrap_or_default();
    match (arg.get_long(), arg.get_short()) {
        (Some(long), Some(short)) => format!("-{short}, --{long}"),
        (Some(long), None) => format!("--{long}"),
        (None, _) if arg.is_required_set() => format!("<{value}>"),
        (None, _) => format!("[{value}]"),
    }
}

fn variable(arg: &Arg) -> String {
    arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn default(arg: &Arg) -> String {
    let values: Vec<_> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    match values.as_slice() {
        [] => help(arg)
            .rsplit_once("[default: ")
            .and_then(|(_, words)| words.strip_suffix(']').map(str::to_owned))
            .unwrap_or_else(|| if arg.is_required_set() { "required".to_owned() } else { String::new() }),
        _ if matches!(arg.get_action(), ArgAction::SetTrue) => "off".to_owned(),
        values => code(&values.join(",")),
    }
}

/// The kind of value, with its unit.
fn values(arg: &Arg) -> String {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return "a switch".to_owned();
    }
    let possible = arg.get_possible_values();
    if !possible.is_empty() {
        let names: Vec<_> = possible.iter().map(|value| code(value.get_name())).collect();
        return names.join(", ");
    }
    let id = arg.get_value_parser().type_id();
    let is = |other: TypeId| id == other;
    let number = [TypeId::of::<u64>(), TypeId::of::<u32>(), TypeId::of::<usize>()].into_iter().any(is)
        || is(TypeId::of::<std::num::NonZeroUsize>());
    let kind = if is(TypeId::of::<Duration>()) || is(TypeId::of::<Span>()) {
        "a time: `250ms`, `10s`, `30m`, `1h`"
    } else if number && (arg.get_id().as_str().contains("bytes") || help(arg).starts_with("Bytes")) {
        "bytes"
    } else if is(TypeId::of::<u16>()) && arg.get_id().as_str().ends_with("port") {
        "a port"
    } else if number || is(TypeId::of::<u16>()) {
        "a number"
    } else if is(TypeId::of::<IpAddr>()) {
        "an address"
    } else if is(TypeId::of::<PathBuf>()) {
        "a file"
    } else {
        "text"
    };
    kind.to_owned()
}

fn meaning(arg: &Arg) -> String {
    let help = help(arg);
    sentence(help.rsplit_once(" [default: ").map_or(help.as_str(), |(meaning, _)| meaning))
}

fn help(arg: &Arg) -> String {
    arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default()
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?', ':']) { text.to_owned() } else { format!("{text}.") }
}
