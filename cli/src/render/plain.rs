//! One line an event, beginning with its name: for files, pipes and tests.

use std::io::{self, Write};

use fundbond_protocol::TaskEvent;

use super::{portfolio, printable, result_of, text::Style};
use crate::{stream::Ended, watch::Change};

/// Data to `out`, what is said about the stream to `err`.
pub(super) fn change(out: &mut dyn Write, err: &mut dyn Write, change: &Change) -> io::Result<()> {
    match change {
        Change::Connected { connection, position, pod } => {
            write!(out, "CONNECTED connection={connection} id={}", printable(position))?;
            if let Some(pod) = pod {
                write!(out, " pod={pod}")?;
            }
            writeln!(out)
        }
        Change::Step(event) => {
            writeln!(out, "{}", line(event))?;
            match result_of(event) {
                Some(result) => portfolio::write(out, Style::PLAIN, result),
                None => Ok(()),
            }
        }
        other => message(err, other),
    }
}

fn line(event: &TaskEvent) -> String {
    let mut line = format!("{} task={}", event.status, event.correlation_id);
    if let Some(progress) = event.progress {
        line = format!("{line} {}/{}", progress.done, progress.total);
    }
    if let Some(pod) = &event.pod_id {
        line = format!("{line} pod={}", pod.display_id());
    }
    if !event.message.is_empty() {
        line = format!("{line} {}", printable(&event.message));
    }
    line
}

/// What is said about the stream, without data.
pub(super) fn message(err: &mut dyn Write, change: &Change) -> io::Result<()> {
    match change {
        Change::Connected { .. } | Change::Step(_) | Change::Ended(Ended::Finished) => Ok(()),
        Change::Reset { tasks } => writeln!(
            err,
            "RESET the server lost the history of this stream; the latest states of {tasks} task(s) follow"
        ),
        Change::Moved(task) => {
            writeln!(err, "REPLACED task={task} another stream took it over; its events go there")
        }
        Change::Draining => {
            writeln!(err, "DRAINING the pod of this stream stops; it goes on with another one")
        }
        Change::Lost { try_number, tries, after, why } => writeln!(
            err,
            "LOST {}; trying again in {:.1} s ({try_number}/{tries})",
            printable(why),
            after.as_secs_f64()
        ),
        Change::Reopened => writeln!(err, "REOPENED the stream goes on where it was lost"),
        Change::Ended(Ended::Replaced) => writeln!(err, "REPLACED another reader took this stream over"),
        Change::Ended(Ended::Closed) => writeln!(err, "CLOSED the server closed this stream"),
        Change::Unreadable { name, why } => {
            writeln!(err, "UNREADABLE event={} is not a task event: {}", printable(name), printable(why))
        }
    }
}
