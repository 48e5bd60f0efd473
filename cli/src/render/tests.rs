//! Golden files: what a person reads, byte by byte. `UPDATE=1 cargo test -p fundbond-cli` rewrites them.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use fundbond_protocol::{ConnectionId, PodId, Status, TaskEvent, TaskId, sse};
use serde_json::json;

use super::*;
use crate::stream::{Ended, Signal};

/// Both outputs in the order in which they were written.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

/// Marks what went to standard error.
struct Marked {
    to: Shared,
    at_start: bool,
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Marked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.at_start {
            self.to.write_all(b"stderr| ")?;
        }
        self.at_start = bytes.ends_with(b"\n");
        self.to.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn check(golden: &str, make: impl FnOnce(Sink, Sink) -> Renderer, signals: &[Signal]) {
    let shared = Shared::default();
    let err = Marked { to: shared.clone(), at_start: true };
    let mut renderer = make(Box::new(shared.clone()), Box::new(err));
    let mut view = View::new(ConnectionId::parse("desk7").unwrap(), [task("fund-1")]);
    for signal in signals {
        for change in view.apply(signal) {
            renderer.change(&view, &change).unwrap();
        }
    }
    renderer.finish(&view).unwrap();
    let actual = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(golden);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{golden} differs; UPDATE=1 rewrites it");
}

fn task(id: &str) -> TaskId {
    TaskId::parse(id).unwrap()
}

fn event(step: &str, status: Status, message: &str) -> TaskEvent {
    TaskEvent::of_task(&task("fund-1"), step, status, "2026-11-21T10:00:01.5Z".parse().unwrap())
        .with_message(message)
        .from_pod(&PodId::parse("pod-app01-9090~abcdefgh").unwrap())
}

fn signal(id: &str, event: &TaskEvent) -> Signal {
    Signal::Event(sse::Event { id: id.into(), name: event.status.to_string(), data: event.to_json() })
}

fn summary() -> Value {
    let months = ["2026-11", "2026-12", "2027-01", "2027-02", "2027-03", "2027-04"];
    let ladder = months.iter().zip([
        ("0.00", "0.00"),
        ("12500.00", "0.00"),
        ("250.00", "0.00"),
        ("40000.00", "1000000.00"),
        ("0.00", "500000.00"),
        ("1250.55", "0.00"),
    ]);
    let ladder: Vec<Value> = ladder
        .map(|(month, (coupons, redemptions))| json!({"month": month, "coupons": coupons, "redemptions": redemptions}))
        .collect();
    json!({
        "nav": "61234567.89", "navPerUnit": "101.234567", "marketValue": "60000000.00", "accrued": "412345.67",
        "cash": "1500000.00", "liabilities": "265432.11", "weightedYield": 0.043_215, "macaulayDuration": 5.812_34,
        "modifiedDuration": 5.689_12, "convexity": 48.123_4, "dv01": "34134.72",
        "cashLadder": ladder,
        "shocks": [
            {"bp": -100.0, "marketValue": "63500000.00", "nav": "64734567.89", "change": "3500000.00"},
            {"bp": 0.5, "marketValue": "59980000.00", "nav": "61214567.89", "change": "-20000.00"},
            {"bp": 100.0, "marketValue": "56700000.00", "nav": "57934567.89", "change": "-3300000.00"}
        ],
        "limitBreaches": [
            {"kind": "maxHoldingWeight", "limit": 0.1, "actual": 0.134_5, "holdingId": "US91282CKQ32", "holdings": 3},
            {"kind": "maxDv01", "limit": 30000.0, "actual": 34134.72}
        ],
        "priced": 47, "unpriceable": 1, "rows": "/api/tasks/fund-1/rows"
    })
}

/// A life with everything in it: progress, a loss, a reset, somebody else's event, a task that moves away.
fn eventful() -> Vec<Signal> {
    let chunk = |n: u64| {
        let text = format!("chunk {n} of 3: 16 holdings, 20,000,000.00");
        event(&format!("chunk-{n}"), Status::SUBTASK_COMPLETED, &text).with_progress(n, 3)
    };
    let mut reset = event("reset", Status::RESET, "history was lost");
    reset.tasks = Some(vec![chunk(2)]);
    let mut foreign = event("f", Status::parse("TEST").unwrap(), "look:\u{1b}[2J\nFAILED task=fund-1");
    foreign.correlation_id = task("other");
    let mut moved = event("m", Status::REPLACED, "");
    moved.correlation_id = task("other");
    vec![
        signal("k3.0", &event("open", Status::CONNECTED, "")),
        signal("k3.1", &event("1", Status::PROCESSING, "valuing 48 holdings in 3 chunks")),
        signal("k3.2", &chunk(1)),
        signal("", &event("h", Status::HEARTBEAT, "")),
        signal("k3.3", &foreign),
        Signal::Event(sse::Event { id: "k3.4".into(), name: "message".into(), data: "hello".into() }),
        signal("", &event("d", Status::DRAINING, "")),
        Signal::Lost {
            try_number: 2,
            tries: 10,
            after: Duration::from_millis(2140),
            why: "connection refused".into(),
            in_order: false,
        },
        Signal::Reopened,
        signal("m9.4", &reset),
        signal("m9.5", &moved),
        signal("m9.6", &chunk(3)),
        signal(
            "m9.7",
            &event("end", Status::COMPLETED, "47 of 48 holdings priced").with_result(summary()).into_final(),
        ),
        Signal::Ended(Ended::Finished),
    ]
}

fn short(status: Status, result: Option<Value>) -> Vec<Signal> {
    let mut last = event("end", status, "holdings[3]: maturityDate is before settlement").into_final();
    last.result = result;
    vec![
        signal("k3.0", &event("open", Status::CONNECTED, "")),
        signal("k3.1", &last),
        Signal::Ended(Ended::Closed),
    ]
}

#[test]
fn an_eventful_task_off_a_terminal() {
    check("eventful.plain.txt", Renderer::plain, &eventful());
}

#[test]
fn an_eventful_task_on_a_terminal() {
    check("eventful.terminal.txt", |out, err| Renderer::terminal(Style::PLAIN, out, err), &eventful());
}

#[test]
fn an_eventful_task_on_a_terminal_with_colours() {
    check("eventful.colored.txt", |out, err| Renderer::terminal(Style::COLORED, out, err), &eventful());
}

#[test]
fn a_failed_task_has_a_reason_and_no_result() {
    check("failed.plain.txt", Renderer::plain, &short(Status::FAILED, None));
    check(
        "failed.terminal.txt",
        |out, err| Renderer::terminal(Style::PLAIN, out, err),
        &short(Status::FAILED, None),
    );
}

#[test]
fn the_result_of_another_kind_is_told_field_by_field() {
    let result = json!({"count": 5, "note": "a\u{7}b", "nested": {"x": [1, 2]}});
    check("fields.plain.txt", Renderer::plain, &short(Status::COMPLETED, Some(result)));
}

#[test]
fn the_bar_follows_the_task_and_goes_with_it() {
    let mut terminal = terminal::Terminal::new(Style::PLAIN, false);
    let mut view = View::new(ConnectionId::parse("desk7").unwrap(), []);
    let mut seen = Vec::new();
    for signal in eventful() {
        for change in view.apply(&signal) {
            terminal.change(&mut io::sink(), &mut io::sink(), &view, &change).unwrap();
            seen.push(terminal.bar_of(&task("fund-1")));
        }
    }
    seen.dedup();
    assert!(terminal::templates_are_valid());
    assert_eq!(seen, [None, Some((0, 0)), Some((1, 3)), Some((2, 3)), Some((3, 3)), None]);
}

#[test]
fn a_document_has_the_latest_of_every_task() {
    let mut view = View::new(ConnectionId::parse("desk7").unwrap(), [task("fund-1")]);
    for signal in short(Status::COMPLETED, Some(json!({"count": 5}))) {
        view.apply(&signal);
    }
    assert_eq!(
        document(&view),
        json!({"connectionId": "desk7", "tasks": [{
            "taskId": "fund-1", "status": "COMPLETED", "finalEvent": true,
            "message": "holdings[3]: maturityDate is before settlement",
            "updatedAt": "2026-11-21T10:00:01.5Z", "podId": "pod-app01-9090~abcdefgh", "result": {"count": 5}
        }]})
    );
}
