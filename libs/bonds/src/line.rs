//! One line of NDJSON in, one line out: the whole of offline pricing but its file handles.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::FieldError;
use crate::instrument::Instrument;
use crate::json;
use crate::quote::{Analytics, Quote, price};

/// The answer to one input line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricedLine {
    /// JSON without a line end: `{id, ...analytics}` or `{id, error: {field, message}}`.
    pub line: String,
    /// Whether it is an error.
    pub failed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    instrument: Instrument,
    quote: Quote,
}

#[derive(Serialize)]
struct Priced<'a> {
    id: &'a str,
    #[serde(flatten)]
    analytics: &'a Analytics,
}

#[derive(Serialize)]
struct Refused<'a> {
    /// Null when the line does not say.
    id: Option<&'a str>,
    error: &'a FieldError,
}

/// Prices a line `{instrument, quote}`. Never fails: an unusable line is answered with its error.
pub fn price_line(line: &str) -> PricedLine {
    match json::from_str::<Request>(line) {
        Ok(request) => answer(&request),
        // Only a line that is refused is parsed a second time, to find the id and a better reason.
        Err(error) => match serde_json::from_str::<Value>(line) {
            Ok(value) => retry(value, error),
            Err(syntax) => refused(None, &FieldError::new("line", format!("is not JSON: {syntax}"))),
        },
    }
}

fn answer(request: &Request) -> PricedLine {
    let id = request.instrument.id.as_str();
    match price(&request.instrument, &request.quote, None) {
        Ok(analytics) => render(&Priced { id, analytics: &analytics }, false)
            .unwrap_or_else(|error| refused(Some(id), &error)),
        Err(error) => refused(Some(id), &error),
    }
}

/// An instrument of a refused type may carry fields only that type has: judge it by its type.
fn retry(mut value: Value, error: FieldError) -> PricedLine {
    let id = value.pointer("/instrument/id").and_then(Value::as_str).map(str::to_owned);
    if let Some(instrument) = value.get_mut("instrument") {
        json::strip_refused_instrument(instrument);
    }
    match json::from_value::<Request>(value) {
        Ok(request) => answer(&request),
        Err(_) => refused(id.as_deref(), &error),
    }
}

fn refused(id: Option<&str>, error: &FieldError) -> PricedLine {
    render(&Refused { id, error }, true).unwrap_or_else(|error| PricedLine {
        line: format!("{{\"error\":{:?}}}", error.message),
        failed: true,
    })
}

fn render(answer: &impl Serialize, failed: bool) -> Result<PricedLine, FieldError> {
    serde_json::to_string(answer)
        .map(|line| PricedLine { line, failed })
        .map_err(|error| FieldError::new("", error.to_string()))
}
