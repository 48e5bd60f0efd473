//! What the logs of a run say: lines that should not be there, and who each pod was.

use std::{fs, io, path::Path};

use jiff::Timestamp;
use serde::Deserialize;

/// A log line of ours, as far as it matters here.
#[derive(Deserialize)]
struct Line {
    level: String,
    msg: String,
    /// When, by the clock of the process.
    ts: Option<Timestamp>,
    /// Of "pod serves".
    pod: Option<String>,
    /// Of a pod that goes on under another id.
    new: Option<String>,
    /// Of the same, the one before.
    dead: Option<String>,
    /// Of a leader.
    token: Option<u64>,
}

/// What a log says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Errors, panics, and lines that are no JSON, which only a program says that has lost control.
    pub bad: Vec<String>,
    /// Ids of the pod, in the order in which it had them.
    pub ids: Vec<String>,
    /// When it served first, by its own clock.
    pub served: Option<Timestamp>,
    /// Those of them under which it was declared dead while it ran.
    pub buried: Vec<String>,
    /// The numbers under which it led.
    pub led: Vec<u64>,
}

/// Reads a log; one that was never written says nothing.
///
/// # Errors
/// Where it cannot be read.
pub fn read(path: &Path) -> io::Result<Log> {
    match fs::read(path) {
        Ok(bytes) => Ok(judge(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Log::default()),
        Err(error) => Err(error),
    }
}

fn judge(text: &str) -> Log {
    let mut log = Log::default();
    for text in text.lines() {
        match serde_json::from_str::<Line>(text) {
            Ok(line) if line.level == "error" => log.bad.push(text.to_owned()),
            Ok(Line { msg, ts, pod: Some(pod), .. }) if msg == "pod serves" => {
                log.ids.push(pod);
                log.served = log.served.or(ts);
            }
            Ok(Line { new: Some(new), dead, .. }) => {
                log.ids.push(new);
                log.buried.extend(dead);
            }
            Ok(Line { msg, token: Some(token), .. }) if msg == "leads" => log.led.push(token),
            Ok(_) => {}
            Err(_) => log.bad.push(text.to_owned()),
        }
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_what_is_no_line_of_ours_are_found_and_so_is_each_id() {
        let text = r#"{"ts":"2026-06-15T09:00:00.5Z","level":"info","msg":"pod serves","pod":"pod-a-1~aaaaaaaa"}
{"ts":"2026-06-15T09:00:00.5Z","level":"warn","msg":"this pod was declared dead","dead":"pod-a-1~aaaaaaaa","new":"pod-a-1~bbbbbbbb"}
{"ts":"2026-06-15T09:00:00.5Z","level":"error","msg":"panicked","error":"no"}
thread 'main' panicked at
{"ts":"2026-06-15T09:00:00.5Z","level":"info","msg":"leads","holder":"pod-a-1~bbbbbbbb","token":17}
{"ts":"2026-06-15T09:00:00.5Z","level":"info","msg":"leads no more","holder":"pod-a-1~bbbbbbbb","token":17}
{"ts":"2026-06-15T09:00:00.5Z","level":"info","msg":"pod serves","pod":"pod-a-1~cccccccc"}"#;
        let log = judge(text);
        assert_eq!(log.ids, ["pod-a-1~aaaaaaaa", "pod-a-1~bbbbbbbb", "pod-a-1~cccccccc"]);
        assert_eq!((log.buried, log.led), (vec!["pod-a-1~aaaaaaaa".to_owned()], vec![17]));
        assert_eq!(log.bad.len(), 2, "{:?}", log.bad);
        assert!(log.bad[0].contains("panicked") && log.bad[1].starts_with("thread"));
    }
}
