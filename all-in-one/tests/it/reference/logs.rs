//! Fields of log lines, from the list that every line is held to.

use std::fmt::Write as _;

use fundbond_service_runtime::telemetry::fields::{COMMON, LogField, MORE};

use super::{code, table, title};

const SAYS: &str = "\
Every program logs to standard error: readable text on a terminal, one JSON object a line elsewhere; `--log-format` \
chooses, and `--log` (`FUND_LOG`) says how much, for example `info` or `fundbond_pod_service=debug,info`. A JSON line \
has `ts`, `level` and `msg`, and of the other fields those that apply, all at its top: a line within a request or a \
task has the names of both. An error is one line, told by whoever handles it. A request keeps its `traceId` over all \
hops, and the run of a task that it starts has the same one; it is the one of the `traceparent` header, or a new one.";

const EXAMPLE: &str = r#"{"ts":"2026-06-15T12:00:00.123456Z","level":"warn","msg":"store step failed; trying again","what":"emit","error":"the store is unreachable: no connection within 1s","correlationId":"desk7-fund-1","traceId":"4bf92f3577b34da6a3ce929d0e0e4736","requestId":"r-1","target":"fundbond_pod_service::backoff"}"#;

pub(super) fn page() -> String {
    let of = |fields: &[LogField]| {
        table(
            &["field", "meaning"],
            fields.iter().map(|field| vec![code(field.name), format!("{}.", field.meaning)]),
        )
    };
    let mut page = title("Logs", SAYS);
    let _ = writeln!(page, "```json\n{EXAMPLE}\n```\n\n## Fields of every program\n\n{}", of(&COMMON));
    let _ = write!(page, "## More fields\n\n{}", of(&MORE));
    page
}

#[test]
fn the_example_is_a_line_with_fields_of_the_list() {
    let line: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
    for name in line.as_object().unwrap().keys() {
        assert!(COMMON.iter().chain(&MORE).any(|field| field.name == name), "{name}");
    }
}
