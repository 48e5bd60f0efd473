//! Reading what a script answers.

use std::str::FromStr;

use fundbond_protocol::{ClusterId, PodId, TaskId};
use redis::Value;

use super::wire;
use crate::{Entry, Outcome, Reading, Snapshot, StoreError};

/// The parts of an array answer, one after another.
pub(super) struct Parts(std::vec::IntoIter<Value>);

fn unexpected(wanted: &str, value: &Value) -> StoreError {
    let mut shown = format!("{value:?}");
    shown.truncate(shown.floor_char_boundary(120));
    StoreError::Contract(format!("expected {wanted}, got {shown}"))
}

/// An answer that is text.
pub(super) fn text(value: Value) -> Result<String, StoreError> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes)
            .map_err(|error| StoreError::Contract(format!("text that is not UTF-8: {error}"))),
        Value::SimpleString(text) => Ok(text),
        Value::Okay => Ok("OK".into()),
        Value::Int(number) => Ok(number.to_string()),
        other => Err(unexpected("text", &other)),
    }
}

/// An answer that is an array.
pub(super) fn parts(value: Value) -> Result<Parts, StoreError> {
    match value {
        Value::Array(values) => Ok(Parts(values.into_iter())),
        other => Err(unexpected("an array", &other)),
    }
}

/// An id or another value as text.
pub(super) fn parsed<T: FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Contract(format!("unexpected value {text:?}")))
}

impl Parts {
    fn value(&mut self) -> Result<Value, StoreError> {
        self.0.next().ok_or_else(|| StoreError::Contract("the answer is too short".into()))
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        text(self.value()?)
    }

    /// Text that somebody else may have written. What is no text stays in the store: as text it equals nothing there.
    pub(super) fn lossy(&mut self) -> Result<String, StoreError> {
        match self.value()? {
            Value::BulkString(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            other => text(other),
        }
    }

    pub(super) fn number<T: FromStr>(&mut self) -> Result<T, StoreError> {
        parsed(&self.text()?)
    }

    pub(super) fn parts(&mut self) -> Result<Parts, StoreError> {
        parts(self.value()?)
    }

    /// The next part, if there is one.
    pub(super) fn next(&mut self) -> Option<Value> {
        self.0.next()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }
}

/// A reading: epoch, end, open tasks, offset of a reset or -1, entries, snapshot.
pub(super) fn reading(mut answer: Parts) -> Result<Reading, StoreError> {
    let epoch = parsed(&answer.text()?)?;
    let end = answer.number()?;
    let open: i64 = answer.number()?;
    let reset: i64 = answer.number()?;
    let entries = entries(answer.parts()?)?;
    let snapshot = snapshot(answer.parts()?)?;
    let outcome = match u64::try_from(reset) {
        Ok(at) => Outcome::Reset { at, snapshot },
        Err(_) => Outcome::Entries(entries),
    };
    Ok(Reading { epoch, end, open: usize::try_from(open).ok(), outcome })
}

fn entries(mut pairs: Parts) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::with_capacity(pairs.0.len() / 2);
    while !pairs.is_empty() {
        let offset = pairs.number()?;
        entries.push(wire::entry(offset, &pairs.text()?)?);
    }
    Ok(entries)
}

fn snapshot(mut triples: Parts) -> Result<Vec<Snapshot>, StoreError> {
    let mut snapshot = Vec::with_capacity(triples.0.len() / 3);
    while !triples.is_empty() {
        let task = task_id(&triples.text()?)?;
        let is_final = triples.text()? == "1";
        let record = triples.text()?;
        let json = if record.is_empty() { None } else { Some(wire::json(&record)?) };
        snapshot.push(Snapshot { task, is_final, json });
    }
    snapshot.sort_by(|a, b| a.task.cmp(&b.task));
    Ok(snapshot)
}

/// The attached tasks: id, offset of its final or 0.
pub(super) fn attached(mut pairs: Parts) -> Result<Vec<(TaskId, bool)>, StoreError> {
    let mut tasks = Vec::with_capacity(pairs.0.len() / 2);
    while !pairs.is_empty() {
        let task = task_id(&pairs.text()?)?;
        tasks.push((task, pairs.text()? != "0"));
    }
    tasks.sort_unstable();
    Ok(tasks)
}

/// A task id out of the store.
pub(super) fn task_id(text: &str) -> Result<TaskId, StoreError> {
    TaskId::parse(text).map_err(|error| StoreError::Contract(format!("task id {text:?} {error}")))
}

/// All of them.
pub(super) fn task_ids(mut names: Parts) -> Result<Vec<TaskId>, StoreError> {
    let mut ids = Vec::new();
    while !names.is_empty() {
        ids.push(task_id(&names.text()?)?);
    }
    Ok(ids)
}

/// A pod id out of the store.
pub(super) fn pod_id(text: &str) -> Result<PodId, StoreError> {
    PodId::parse(text).map_err(|error| StoreError::Contract(format!("pod id {text:?} {error}")))
}

/// A cluster id out of the store.
pub(super) fn cluster_id(text: &str) -> Result<ClusterId, StoreError> {
    ClusterId::parse(text).map_err(|error| StoreError::Contract(format!("cluster {text:?} {error}")))
}
