//! What the scripts keep and send, as text: fields with tabs between, which no id, status or encoded JSON has.

use std::{str::FromStr, sync::Arc};

use fundbond_protocol::{ConnectionId, Epoch, EventId, PodId, Status, TaskId, UserId};

use crate::{
    Answer, Emit, Entry, EntryKind, Generation, Message, Question, StoreError, StreamReport, UserEvent,
};

/// What arrives on our channels.
#[derive(Debug, PartialEq)]
pub(super) enum Told {
    /// Something for the pod.
    Message(Message),
    /// The echo of a probe.
    Probe(u64),
}

fn broken(what: &str, text: &str) -> StoreError {
    let start: String = text.chars().take(80).collect();
    StoreError::Contract(format!("{what}: {start:?}"))
}

/// The record of a task's event: kind, task, status, event id, JSON. Scripts themselves write those of other kinds.
pub(super) fn record(event: &Emit, is_final: bool) -> String {
    let kind = if is_final { 'F' } else { 'E' };
    let Emit { task, status, event_id, json, .. } = event;
    format!("{kind}\t{task}\t{status}\t{event_id}\t{json}")
}

/// The record of what is said to a user: of no task.
pub(super) fn user_record(user: &UserId, event: &UserEvent) -> String {
    let UserEvent { event_id, name, json, .. } = event;
    format!("N\t{user}\t{name}\t{event_id}\t{json}")
}

/// A connection as keys and scripts say it.
pub(super) fn connection(text: &str) -> Result<ConnectionId, StoreError> {
    ConnectionId::parse_kept(text)
        .map_err(|error| StoreError::Contract(format!("connection {text:?} {error}")))
}

/// The entry at `offset`.
pub(super) fn entry(offset: u64, record: &str) -> Result<Entry, StoreError> {
    let parse = || {
        let mut fields = record.splitn(5, '\t');
        let kind = match fields.next()? {
            "E" => EntryKind::Event,
            "F" => EntryKind::Final,
            "M" => EntryKind::Moved,
            "N" => EntryKind::Note,
            _ => return None,
        };
        Some(Entry {
            offset,
            kind,
            task: TaskId::parse(fields.next()?).ok()?,
            status: Status::named(fields.next()?).ok()?,
            event_id: EventId::parse(fields.next()?).ok()?,
            json: fields.next()?.into(),
        })
    };
    parse().ok_or_else(|| broken("not a record", record))
}

/// The JSON of a record.
pub(super) fn json(record: &str) -> Result<Arc<str>, StoreError> {
    record.splitn(5, '\t').nth(4).map(Arc::from).ok_or_else(|| broken("not a record", record))
}

/// The message that says a task was ended by somebody else than its runner.
pub(super) fn ended(task: &TaskId) -> String {
    format!("Z\t{task}")
}

/// Asks another pod.
pub(super) fn question(question: &Question) -> String {
    let Question { number, from, connection } = question;
    format!("Q\t{number}\t{from}\t{connection}")
}

/// Answers another pod.
pub(super) fn answer(answer: &Answer) -> String {
    match &answer.report {
        None => format!("W\t{}", answer.number),
        Some(StreamReport { since, position, queued_bytes }) => {
            format!("W\t{}\t{since}\t{position}\t{queued_bytes}", answer.number)
        }
    }
}

/// A probe of the way from the server to the pod.
pub(super) fn probe(number: u64) -> String {
    format!("P\t{number}")
}

/// Reads what arrived.
pub(super) fn told(text: &str) -> Result<Told, StoreError> {
    message(text).ok_or_else(|| broken("not a message", text))
}

fn message(text: &str) -> Option<Told> {
    let (kind, rest) = text.split_once('\t')?;
    let message = match kind {
        "E" => {
            let mut fields = rest.splitn(4, '\t');
            let connection = ConnectionId::parse_kept(fields.next()?).ok()?;
            let epoch = Epoch::from_str(fields.next()?).ok()?;
            let offset = fields.next()?.parse().ok()?;
            Message::Event { connection, epoch, entry: entry(offset, fields.next()?).ok()? }
        }
        "A" => {
            let (connection, task) = rest.split_once('\t')?;
            let connection = ConnectionId::parse_kept(connection).ok()?;
            Message::Attached { connection, task: TaskId::parse(task).ok()? }
        }
        "X" | "R" | "C" => {
            let (connection, generation) = rest.split_once('\t')?;
            let connection = ConnectionId::parse_kept(connection).ok()?;
            let generation = Generation(generation.parse().ok()?);
            match kind {
                "X" => Message::Lost { connection, generation },
                "C" => Message::Closed { connection, generation },
                _ => Message::Gained { connection, generation },
            }
        }
        "Q" => {
            let mut fields = rest.splitn(3, '\t');
            let number = fields.next()?.parse().ok()?;
            let from = PodId::parse(fields.next()?).ok()?;
            Message::Asked(Question {
                number,
                from,
                connection: ConnectionId::parse_kept(fields.next()?).ok()?,
            })
        }
        "W" => {
            let mut fields = rest.splitn(4, '\t');
            let number = fields.next()?.parse().ok()?;
            let report = match fields.next() {
                None => None,
                Some(since) => Some(StreamReport {
                    since: since.parse().ok()?,
                    position: fields.next()?.parse().ok()?,
                    queued_bytes: fields.next()?.parse().ok()?,
                }),
            };
            Message::Answered(Answer { number, report })
        }
        "T" => Message::Claimed { task: TaskId::parse(rest).ok()? },
        "J" => Message::Work,
        "Z" => Message::Ended { task: TaskId::parse(rest).ok()? },
        "P" => return rest.parse().ok().map(Told::Probe),
        _ => return None,
    };
    Some(Told::Message(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_it_was_written() {
        let task = TaskId::parse("t").unwrap();
        let id = EventId::of_step(&task, "1");
        let json = r#"{"message":"a\tb"}"#;
        let event = Emit {
            task: task.clone(),
            event_id: id.clone(),
            status: Status::COMPLETED,
            is_final: true,
            json: json.into(),
            connection: ConnectionId::parse("c").unwrap(),
            attempt: None,
        };
        let entry = entry(7, &record(&event, true)).unwrap();
        assert_eq!(
            (entry.offset, entry.kind, &entry.task, &entry.event_id),
            (7, EntryKind::Final, &task, &id)
        );
        assert_eq!(&*entry.json, json);
    }

    #[test]
    fn what_pods_ask_and_answer_reads_as_it_was_written() {
        let connection = ConnectionId::of_user(&UserId::parse("maria").unwrap());
        let from = PodId::parse("pod-a-1~aaaaaaaa").unwrap();
        let asked = Question { number: 7, from, connection };
        assert_eq!(told(&question(&asked)).unwrap(), Told::Message(Message::Asked(asked)));
        let report = StreamReport {
            since: "2026-11-21T10:00:00.123456Z".parse().unwrap(),
            position: "k3.12".parse().unwrap(),
            queued_bytes: 0,
        };
        for report in [None, Some(report)] {
            let answered = Answer { number: 7, report };
            assert_eq!(told(&answer(&answered)).unwrap(), Told::Message(Message::Answered(answered)));
        }
    }

    #[test]
    fn a_broken_message_is_named_and_not_repeated_whole() {
        for text in ["", "E", "E\tc\tep\tx\tE\tt\tS\tid\t{}", "X\tc\tten", "Q\t1", &"x".repeat(500)] {
            let error = told(text).unwrap_err().to_string();
            assert!(error.len() < 200, "{error}");
        }
    }
}
