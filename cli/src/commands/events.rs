//! `events tail`: a stream as it is.

use std::io::{self, Write};

use fundbond_protocol::{api::OpenStream, sse};
use serde_json::{Value, json};

use super::{Stop, client, stop};
use crate::{
    args::{Format, Global, TailArgs},
    error::{Error, Exit},
    output,
    render::printable,
    stream::{Ended, EventStream, HttpTransport, Policy, Signal},
};

/// Prints every event until the stream ends or Ctrl-C.
pub(super) async fn tail(global: Global, args: TailArgs) -> Result<Exit, Error> {
    args.check().map_err(Error::Usage)?;
    let connection = args.connection;
    let open = OpenStream {
        connection_id: connection.clone(),
        task_ids: args.tasks,
        user_id: None,
        system: None,
        events: Vec::new(),
    };
    let transport = HttpTransport::new(client(&global), open);
    let mut stream =
        EventStream::new(transport, Policy::default(), args.last_event_id.as_deref().unwrap_or_default());
    let mut stop = std::pin::pin!(stop(None));
    loop {
        let signal = tokio::select! {
            biased;
            stopped = &mut stop => {
                return match stopped.map_err(|source| Error::Setup("signal handler", source))? {
                    Stop::Interrupted => Ok(Exit::Interrupted),
                    Stop::Timeout => Ok(Exit::Timeout),
                };
            }
            signal = stream.next() => signal,
        };
        let signal = signal.map_err(|source| Error::Stream { connection: connection.clone(), source })?;
        match signal {
            Some(Signal::Event(event)) => write_event(&mut io::stdout().lock(), global.output, &event)?,
            Some(Signal::Lost { try_number, tries, after, why, in_order }) => {
                let after = after.as_secs_f64();
                let (what, next) =
                    if in_order { ("ended", "asking for more") } else { ("lost", "trying again") };
                say(&format!("{what}: {}; {next} in {after:.1} s ({try_number}/{tries})", printable(&why)));
            }
            Some(Signal::Reopened) => say("open again"),
            Some(Signal::Ended(Ended::Finished)) | None => {
                say("finished: the server has nothing left to send");
                return Ok(Exit::Ok);
            }
            Some(Signal::Ended(ended)) => {
                return Err(Error::Ended { connection, ended, tasks: Vec::new() });
            }
        }
    }
}

/// One event; a YAML document begins with `---`, so that one stream can hold many.
fn write_event(out: &mut dyn Write, format: Format, event: &sse::Event) -> io::Result<()> {
    if format == Format::Table {
        writeln!(
            out,
            "{} {} {}",
            printable(&event.name),
            or_dash(&printable(&event.id)),
            printable(&event.data)
        )?;
        return out.flush();
    }
    // Data of our own events is JSON; whatever else comes stays the text it is.
    let data = serde_json::from_str(&event.data).unwrap_or_else(|_| Value::from(event.data.as_str()));
    if format == Format::Yaml {
        writeln!(out, "---")?;
    }
    output::document(out, format, &json!({"id": event.id, "event": event.name, "data": data}))?;
    out.flush()
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn say(message: &str) {
    // A lost message is no reason to end a stream whose data goes elsewhere.
    let _ = writeln!(io::stderr(), "{message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_whole_in_every_format() {
        let event = sse::Event { id: "k.1".into(), name: "A".into(), data: "{\"n\":1}".into() };
        let foreign = sse::Event { id: String::new(), name: "B".into(), data: "two\nlines".into() };
        let mut out = Vec::new();
        for format in [Format::Table, Format::Ndjson, Format::Yaml] {
            write_event(&mut out, format, &event).unwrap();
            write_event(&mut out, format, &foreign).unwrap();
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "A k.1 {\"n\":1}\nB - two lines\n\
             {\"data\":{\"n\":1},\"event\":\"A\",\"id\":\"k.1\"}\n{\"data\":\"two\\nlines\",\"event\":\"B\",\"id\":\"\"}\n\
             ---\ndata:\n  n: 1\nevent: A\nid: k.1\n---\ndata: |-\n  two\n  lines\nevent: B\nid: ''\n"
        );
    }
}
