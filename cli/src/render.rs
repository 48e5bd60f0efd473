//! A view for whoever reads it: live for a person on a terminal, one line an event for a file, one document
//! for a program.
//!
//! Renderers never decide what happened; they are handed [`Change`]s. Whatever a server or another publisher
//! wrote is made [`printable`](text::printable) first.

mod plain;
mod portfolio;
mod terminal;
mod text;

use std::io::{self, IsTerminal, Write};

use fundbond_protocol::TaskEvent;
use serde_json::{Value, json};

use crate::{
    args::Format,
    output,
    watch::{Change, View},
};

pub use portfolio::unpriced;
pub use text::{Style, printable};

/// Where a renderer writes.
pub type Sink = Box<dyn Write + Send>;

/// Shows the changes of a view.
pub struct Renderer {
    kind: Kind,
    out: Sink,
    err: Sink,
}

enum Kind {
    Plain,
    Terminal(terminal::Terminal),
    Ndjson,
    /// One document at the end.
    Document(Format),
}

impl Renderer {
    /// The renderer for `format` on this process's standard output and error.
    pub fn standard(format: Format) -> Self {
        let kind = match format {
            Format::Table if io::stdout().is_terminal() => {
                Kind::Terminal(terminal::Terminal::new(Style::of_stdout(), io::stderr().is_terminal()))
            }
            Format::Table => Kind::Plain,
            Format::Ndjson => Kind::Ndjson,
            Format::Json | Format::Yaml => Kind::Document(format),
        };
        Self { kind, out: Box::new(io::stdout()), err: Box::new(io::stderr()) }
    }

    /// One line an event, whatever the output is.
    pub fn plain(out: Sink, err: Sink) -> Self {
        Self { kind: Kind::Plain, out, err }
    }

    /// As on a terminal, without a moving bar.
    pub fn terminal(style: Style, out: Sink, err: Sink) -> Self {
        Self { kind: Kind::Terminal(terminal::Terminal::new(style, false)), out, err }
    }

    /// Shows what just happened; `view` already knows it.
    pub fn change(&mut self, view: &View, change: &Change) -> io::Result<()> {
        match &mut self.kind {
            Kind::Plain => plain::change(&mut self.out, &mut self.err, change)?,
            Kind::Terminal(terminal) => terminal.change(&mut self.out, &mut self.err, view, change)?,
            Kind::Ndjson => match change {
                Change::Step(event) => writeln!(self.out, "{}", event.to_json())?,
                other => plain::message(&mut self.err, other)?,
            },
            Kind::Document(_) => plain::message(&mut self.err, change)?,
        }
        self.out.flush()
    }

    /// Shows what is left to show once nothing more comes.
    pub fn finish(&mut self, view: &View) -> io::Result<()> {
        match &mut self.kind {
            Kind::Terminal(terminal) => terminal.clear(),
            Kind::Document(format) => output::document(&mut self.out, *format, &document(view))?,
            Kind::Plain | Kind::Ndjson => {}
        }
        self.out.flush()
    }
}

/// The view as one document.
fn document(view: &View) -> Value {
    let tasks = view.tasks().iter().map(|task| {
        let mut value = json!({
            "taskId": task.id,
            "status": task.status,
            "message": task.message,
            "finalEvent": task.is_final,
            "updatedAt": task.updated_at,
        });
        if let Some(progress) = task.progress {
            value["progress"] = json!(progress);
        }
        if let Some(pod) = &task.pod {
            value["podId"] = json!(pod);
        }
        if let Some(result) = &task.result {
            value["result"] = result.clone();
        }
        value
    });
    json!({"connectionId": view.connection(), "tasks": tasks.collect::<Vec<_>>()})
}

/// The result of `event` as text, where it is a final one with a result.
fn result_of(event: &TaskEvent) -> Option<&Value> {
    event.result.as_ref().filter(|_| event.final_event)
}

#[cfg(test)]
mod tests;
