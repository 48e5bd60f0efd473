//! The body of a task from a file: JSON as it is, or a CSV of Treasury prices as a portfolio.

use std::{fs, io, io::Read, path::Path};

use fundbond_bonds::portfolio_from_treasury_csv;
use fundbond_protocol::{ConnectionId, TaskId};
use serde_json::{Map, Value};

use crate::error::Error;

/// The name under which standard input stands in messages.
const STANDARD_INPUT: &str = "standard input";

/// A task that can be started.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskBody {
    /// Its id.
    pub task: TaskId,
    /// What goes to the server.
    pub json: Value,
}

/// What the command line adds to a file.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// Instead of the file's `correlationId`.
    pub task: Option<TaskId>,
    /// Instead of the file's `connectionId`.
    pub connection: Option<ConnectionId>,
    /// Instead of the file's `kind`.
    pub kind: Option<String>,
}

/// Reads `file` (`-`: standard input) as the body of a task.
pub fn read(file: &Path, extra: Extra) -> Result<TaskBody, Error> {
    let (name, text) = if file == Path::new("-") {
        let mut text = String::new();
        let read = io::stdin().lock().read_to_string(&mut text);
        (STANDARD_INPUT.to_owned(), read.map(|_| text))
    } else {
        (file.display().to_string(), fs::read_to_string(file))
    };
    match text {
        Ok(text) => parse(&name, &text, extra),
        Err(source) => Err(Error::Read { file: name, source }),
    }
}

/// The body of a task from `text`, called `name` in messages. An id is made up where nobody gave one.
pub fn parse(name: &str, text: &str, extra: Extra) -> Result<TaskBody, Error> {
    let mut body = if is_csv(name, text) { from_csv(name, text)? } else { from_json(name, text)? };
    let task = match extra.task {
        Some(task) => task,
        None => match body.get("correlationId") {
            None => made_up_id(),
            Some(Value::String(id)) => TaskId::parse(id).map_err(|source| Error::Id {
                file: name.to_owned(),
                field: "correlationId",
                source,
            })?,
            Some(other) => {
                return Err(not_a_task(name, format!("correlationId must be a text, not {other}")));
            }
        },
    };
    body.insert("correlationId".to_owned(), task.as_str().into());
    if let Some(connection) = extra.connection {
        body.insert("connectionId".to_owned(), connection.as_str().into());
    }
    if let Some(kind) = extra.kind {
        body.insert("kind".to_owned(), kind.into());
    }
    Ok(TaskBody { task, json: Value::Object(body) })
}

fn from_json(name: &str, text: &str) -> Result<Map<String, Value>, Error> {
    match serde_json::from_str(text) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(not_a_task(name, "expected a JSON object, {...}")),
        Err(error) => Err(not_a_task(name, format!("not JSON: {error}"))),
    }
}

fn from_csv(name: &str, text: &str) -> Result<Map<String, Value>, Error> {
    let portfolio = portfolio_from_treasury_csv(text)
        .map_err(|source| Error::Portfolio { file: name.to_owned(), source })?;
    match serde_json::to_value(portfolio) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(other) => Err(not_a_task(name, format!("a portfolio became {other}"))),
        Err(error) => Err(not_a_task(name, error)),
    }
}

/// By its name, else by its first line: JSON begins with a brace, the CSV with its column names.
fn is_csv(name: &str, text: &str) -> bool {
    let extension = Path::new(name).extension().map(std::ffi::OsStr::to_ascii_lowercase);
    match extension.as_ref().and_then(|extension| extension.to_str()) {
        Some("csv") => true,
        Some("json") => false,
        _ => {
            let first = text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default();
            !first.trim_start().starts_with(['{', '[', '"']) && first.split(',').any(|c| c.trim() == "cusip")
        }
    }
}

fn not_a_task(name: &str, why: impl ToString) -> Error {
    Error::Body { file: name.to_owned(), why: why.to_string() }
}

/// An id nobody else has: 12 characters of 36 are 62 random bits.
fn made_up_id() -> TaskId {
    const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let random: String =
        (0..12).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())])).collect();
    TaskId::parse(format!("task-{random}"))
        .unwrap_or_else(|_| unreachable!("seventeen characters of the id alphabet are an id"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_command_line_wins_over_the_file_and_an_id_is_made_up_last() {
        let text = r#"{"correlationId": "t1", "kind": "steps", "count": 3}"#;
        let body = parse("a.json", text, Extra::default()).unwrap();
        assert_eq!((body.task.as_str(), &body.json["kind"]), ("t1", &json!("steps")));
        let extra = Extra {
            task: Some(TaskId::parse("t2").unwrap()),
            connection: Some(ConnectionId::parse("desk7").unwrap()),
            kind: Some("other".to_owned()),
        };
        let body = parse("a.json", text, extra).unwrap();
        let want = json!({"correlationId": "t2", "connectionId": "desk7", "kind": "other", "count": 3});
        assert_eq!(body.json, want);
        let body = parse("-", "{}", Extra::default()).unwrap();
        assert!(body.task.as_str().starts_with("task-"), "{}", body.task);
        assert_ne!(body.task, parse("-", "{}", Extra::default()).unwrap().task);
    }

    #[test]
    fn a_file_that_is_no_task_is_told_with_the_place() {
        let told = |name: &str, text: &str| {
            crate::error::text(&parse(name, text, Extra::default()).unwrap_err(), "fundctl")
        };
        assert!(
            told("p.json", "{\n  \"a\": }")
                .contains("p.json is not a task: not JSON: expected value at line 2 column 8")
        );
        assert!(told("p.json", "[]").contains("expected a JSON object"));
        assert!(told("-", r#"{"correlationId": "a:b"}"#).contains("correlationId: has the character ':'"));
        assert!(told("-", r#"{"correlationId": 7}"#).contains("correlationId must be a text, not 7"));
        assert!(told("p.csv", "cusip,type\nx,y\n").starts_with("error: p.csv is not a portfolio: "));
    }

    #[test]
    fn a_csv_is_known_by_its_name_or_its_first_line() {
        assert!(is_csv("a.CSV", ""));
        assert!(is_csv("standard input", "\u{feff}cusip,type,coupon\n"));
        assert!(!is_csv("standard input", "  {\"cusip\": 1}"));
        assert!(!is_csv("a.json", "cusip,type"));
    }
}
