//! One JSON object a line: what happened, when, and what everything around it said of itself.
//!
//! Fields of the event come first, then those of the spans around it from the inside out; of a name that is there
//! twice the innermost value stays, so that a line never has a key twice.

use std::{error::Error, fmt, io::Write as _};

use jiff::Timestamp;
use serde::ser::{SerializeMap as _, Serializer as _};
use serde_json::{Value, json};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, fmt::MakeWriter, layer::Context, registry::LookupSpan};

use crate::exit::chain;

/// What the line itself says, whatever its event: no field may take these names.
const OWN: [&str; 4] = ["level", "ts", "msg", "target"];

/// The name under which `tracing` keeps the text of an event.
const MESSAGE: &str = "message";

/// Writes each event as a line.
pub(super) struct JsonLines<W> {
    writer: W,
}

impl<W> JsonLines<W> {
    pub(super) fn new(writer: W) -> Self {
        Self { writer }
    }
}

/// Fields in the order in which they were given.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn set(&mut self, field: &Field, value: Value) {
        match self.0.iter_mut().find(|(name, _)| *name == field.name()) {
            Some(known) => known.1 = value,
            None => self.0.push((field.name(), value)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(at).1)
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no word for what is no number.
        self.set(field, if value.is_finite() { json!(value) } else { value.to_string().into() });
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field, chain(value).into());
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut said = Fields::default();
        event.record(&mut said);
        for span in context.event_scope(event).into_iter().flatten() {
            let extensions = span.extensions();
            for (name, value) in extensions.get::<Fields>().into_iter().flat_map(|fields| &fields.0) {
                if said.0.iter().all(|(known, _)| known != name) {
                    said.0.push((name, value.clone()));
                }
            }
        }
        // A line that cannot be written is lost: there is nowhere left to say so.
        if let Ok(line) = line(*event.metadata().level(), event.metadata().target(), said) {
            let _ = self.writer.make_writer_for(event.metadata()).write_all(&line);
        }
    }
}

fn line(level: Level, target: &str, mut said: Fields) -> serde_json::Result<Vec<u8>> {
    let message = said.take(MESSAGE).unwrap_or_default();
    let mut out = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::new(&mut out);
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("ts", &format_args!("{:.6}", Timestamp::now()))?;
    map.serialize_entry("level", level_name(level))?;
    map.serialize_entry("msg", message.as_str().unwrap_or_default())?;
    for (name, value) in said.0.iter().filter(|(name, _)| !OWN.contains(name)) {
        map.serialize_entry(name, value)?;
    }
    map.serialize_entry("target", target)?;
    map.end()?;
    out.push(b'\n');
    Ok(out)
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{error, info, info_span, subscriber::with_default};
    use tracing_subscriber::{layer::SubscriberExt as _, registry};

    use super::*;

    /// What `say` logs, a JSON value a line.
    fn lines(say: impl FnOnce()) -> Vec<Value> {
        #[derive(Clone, Default)]
        struct Page(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Page {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let page = Page::default();
        let copy = page.clone();
        with_default(registry().with(JsonLines::new(move || copy.clone())), say);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the shop is closed")]
    struct Closed(#[source] std::io::Error);

    #[test]
    fn a_line_says_when_how_grave_and_what() {
        let lines = lines(|| info!(target: "shop", ok = true, count = 3, share = 0.5, "a \"line\"\nof two"));
        let line = &lines[0];
        let ts: Timestamp = line["ts"].as_str().unwrap().parse().unwrap();
        assert!(ts <= Timestamp::now() && line["ts"].as_str().unwrap().ends_with('Z'), "{line}");
        assert_eq!(line["level"], "info");
        assert_eq!(line["msg"], "a \"line\"\nof two");
        assert_eq!((&line["ok"], &line["count"], &line["share"]), (&true.into(), &3.into(), &0.5.into()));
        assert_eq!(line["target"], "shop");
        assert_eq!(line.as_object().unwrap().len(), 7, "{line}");
    }

    #[test]
    fn fields_of_spans_reach_the_top_and_the_innermost_value_stays() {
        let lines = lines(|| {
            let request =
                info_span!("request", traceId = "t1", requestId = "r1", userId = tracing::field::Empty);
            let _request = request.clone().entered();
            request.record("userId", "amy");
            let task = info_span!("task", correlationId = %"c1", requestId = "r2").entered();
            info!(correlationId = "c2", tradeId = "d1", symbol = "XS1", "inside");
            drop(task);
            info!("outside");
        });
        let inside = &lines[0];
        let at = |name: &str| inside[name].as_str().unwrap_or_default();
        assert_eq!((at("traceId"), at("userId"), at("correlationId")), ("t1", "amy", "c2"));
        assert_eq!((at("requestId"), at("tradeId"), at("symbol")), ("r2", "d1", "XS1"));
        assert_eq!((&lines[1]["requestId"], lines[1].get("correlationId")), (&"r1".into(), None));
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let closed = Closed(std::io::Error::other("no key"));
        let lines = lines(|| error!(error = &closed as &dyn Error, "cannot shop"));
        assert_eq!(lines[0]["error"], "the shop is closed: no key");
        assert_eq!(lines[0]["level"], "error");
    }

    #[test]
    fn no_field_takes_the_place_of_what_the_line_says_itself() {
        let lines = lines(|| info!(level = "odd", ts = 1, msg = "other", "said"));
        assert_eq!((&lines[0]["level"], &lines[0]["msg"]), (&"info".into(), &"said".into()));
        assert!(lines[0]["ts"].is_string());
    }

    #[test]
    fn what_is_no_number_is_a_word() {
        let lines = lines(|| info!(share = f64::NAN, "odd"));
        assert_eq!(lines[0]["share"], "NaN");
    }
}
