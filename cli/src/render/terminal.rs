//! For a person: a moving bar a task on standard error, one line a step and the result on standard output.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use fundbond_protocol::{Status, TaskEvent, TaskId};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{portfolio, printable, result_of, text::Style};
use crate::{
    stream::Ended,
    watch::{Change, View},
};

/// More bars than this push the lines off a small terminal; further tasks have lines only.
const MAX_BARS: usize = 8;
/// Fast enough to look alive, slow enough not to be the work.
const TICK: Duration = Duration::from_millis(120);
/// Before it is known how many chunks a task has.
const SPINNER: &str = "{spinner:.cyan} {prefix} {wide_msg:.dim}";
/// From the first chunk on.
const BAR: &str = "{spinner:.cyan} {prefix} [{bar:30.cyan/dim}] {pos}/{len} {elapsed} {wide_msg:.dim}";
/// As wide as the longest status of ours, so that messages stand in one column.
const STATUS_WIDTH: usize = 17;

/// Bars and colours.
pub(super) struct Terminal {
    style: Style,
    bars: MultiProgress,
    tasks: BTreeMap<TaskId, ProgressBar>,
}

impl Terminal {
    /// With moving bars only where standard error is a terminal too.
    pub(super) fn new(style: Style, moving: bool) -> Self {
        let target = if moving { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { style, bars: MultiProgress::with_draw_target(target), tasks: BTreeMap::new() }
    }

    /// Shows one change.
    pub(super) fn change(
        &mut self,
        out: &mut dyn Write,
        err: &mut dyn Write,
        view: &View,
        change: &Change,
    ) -> io::Result<()> {
        if let Change::Step(event) = change {
            self.move_bar(view, event);
        }
        // Lines go above the bars, which are redrawn below them.
        let style = self.style;
        self.bars.suspend(|| match change {
            Change::Step(event) => step(out, style, event),
            Change::Connected { .. } => writeln!(out, "{}", said(style, change)),
            other => writeln!(err, "{}", said(style, other)),
        })
    }

    /// Takes the bars away; the lines stay.
    pub(super) fn clear(&mut self) {
        for bar in std::mem::take(&mut self.tasks).into_values() {
            bar.finish_and_clear();
        }
    }

    /// Position and length of a task's bar.
    #[cfg(test)]
    pub(super) fn bar_of(&self, task: &TaskId) -> Option<(u64, u64)> {
        self.tasks.get(task).map(|bar| (bar.position(), bar.length().unwrap_or_default()))
    }

    fn move_bar(&mut self, view: &View, event: &TaskEvent) {
        let task = &event.correlation_id;
        if event.final_event {
            if let Some(bar) = self.tasks.remove(task) {
                bar.finish_and_clear();
            }
            return;
        }
        if !self.tasks.contains_key(task) {
            if self.tasks.len() >= MAX_BARS {
                return;
            }
            // How long it is shows with the first chunk; a bar of nothing would look done.
            let bar = ProgressBar::no_length().with_style(style_of(SPINNER)).with_prefix(task.to_string());
            let bar = self.bars.add(bar);
            bar.enable_steady_tick(TICK);
            self.tasks.insert(task.clone(), bar);
        }
        let state = view.tasks().iter().find(|state| state.id == *task);
        if let (Some(bar), Some(state)) = (self.tasks.get(task), state) {
            if let Some(progress) = state.progress {
                if bar.length().is_none() {
                    bar.set_style(style_of(BAR));
                }
                bar.set_length(progress.total);
                bar.set_position(progress.done);
            }
            bar.set_message(printable(&state.message).into_owned());
        }
    }
}

fn style_of(template: &str) -> ProgressStyle {
    // The templates are constants that a test parses; falling back to the default bar loses only looks.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

/// Whether no template falls back.
#[cfg(test)]
pub(super) fn templates_are_valid() -> bool {
    [SPINNER, BAR].iter().all(|template| ProgressStyle::with_template(template).is_ok())
}

fn step(out: &mut dyn Write, style: Style, event: &TaskEvent) -> io::Result<()> {
    let time = event.timestamp.strftime("%H:%M:%SZ").to_string();
    let status = format!("{:STATUS_WIDTH$}", event.status.as_str());
    let status = match event.status.as_str() {
        "COMPLETED" => style.good(&status),
        "FAILED" => style.bad(&status),
        "CANCELLED" => style.warn(&status),
        _ => style.step(&status),
    };
    let count = event.progress.map(|progress| format!("{}/{}  ", progress.done, progress.total));
    let pod = event.pod_id.as_ref().filter(|_| event.status == Status::PROCESSING || event.final_event);
    let pod = pod.map(|pod| format!("  on {}", pod.display_id()));
    writeln!(
        out,
        "{}  {status}  {}  {}{}{}",
        style.dim(&time),
        style.bold(event.correlation_id.as_str()),
        count.unwrap_or_default(),
        printable(&event.message),
        style.dim(&pod.unwrap_or_default()),
    )?;
    match result_of(event) {
        Some(result) => portfolio::write(out, style, result),
        None => Ok(()),
    }
}

fn said(style: Style, change: &Change) -> String {
    match change {
        Change::Connected { connection, position, pod } => {
            let pod = pod.as_ref().map(|pod| format!(" on {}", pod.display_id())).unwrap_or_default();
            let at = style.dim(&format!("at {}{pod}", printable(position)));
            format!("{} to {}  {at}", style.good("Connected"), style.bold(connection.as_str()))
        }
        Change::Step(event) => event.message.clone(),
        Change::Reset { tasks } => style
            .warn(&format!("The server lost the history of this stream; latest states of {tasks} task(s):")),
        Change::Moved(task) => style.warn(&format!("Another stream took {task} over; its events go there.")),
        Change::Draining => style.dim("The pod of this stream stops; going on with another one."),
        Change::Lost { try_number, tries, after, why } => style.warn(&format!(
            "Stream lost ({}); trying again in {:.1} s ({try_number}/{tries})",
            printable(why),
            after.as_secs_f64()
        )),
        Change::Reopened => style.good("Back again."),
        Change::Ended(Ended::Replaced) => style.warn("Another reader took this stream over."),
        Change::Ended(Ended::Closed) => style.warn("The server closed this stream."),
        Change::Ended(Ended::Finished) => "The stream is finished.".to_owned(),
        Change::Unreadable { name, why } => {
            style.warn(&format!("{} is not a task event: {}", printable(name), printable(why)))
        }
    }
}
