//! The driver on paused time, over a scripted transport.

use std::{collections::VecDeque, sync::Mutex};

use bytes::Bytes;
use fundbond_protocol::Problem;
use futures::stream;

use super::*;
use crate::client::ServerUrl;

/// One open: what it leads to. A stream that ends `hanging` stays open without another byte.
enum Step {
    Stream { pieces: Vec<&'static str>, hanging: bool },
    Refused,
    Problem(u16, Option<u64>),
    Finished,
}

/// Plays `steps`, one an open, and remembers the `Last-Event-ID`s and when they came.
struct Script {
    steps: Mutex<VecDeque<Step>>,
    opens: Mutex<Vec<(String, u64)>>,
    start: Instant,
}

impl Transport for &Script {
    async fn open(&self, last_event_id: &str) -> Result<Opened, ClientError> {
        self.opens.lock().unwrap().push((last_event_id.to_owned(), self.start.elapsed().as_secs()));
        match self.steps.lock().unwrap().pop_front().unwrap_or(Step::Refused) {
            Step::Finished => Ok(Opened::Finished),
            Step::Stream { pieces, hanging } => {
                let pieces =
                    stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))));
                Ok(Opened::Stream(if hanging {
                    pieces.chain(stream::pending()).boxed()
                } else {
                    pieces.boxed()
                }))
            }
            Step::Refused => Err(ClientError::Unreachable {
                server: "127.0.0.1:1".parse::<ServerUrl>().unwrap(),
                why: "connection refused".to_owned(),
            }),
            Step::Problem(status, retry_after) => Err(ClientError::Problem {
                call: "POST /api/fund-events".to_owned(),
                problem: Box::new(Problem::new(status, "kind", "Title", "detail")),
                retry_after: retry_after.map(Duration::from_secs),
            }),
        }
    }
}

fn script(steps: Vec<Step>) -> Script {
    Script { steps: Mutex::new(steps.into()), opens: Mutex::default(), start: Instant::now() }
}

/// Without jitter: the figures of a test are the figures of the policy.
fn exact() -> Policy {
    Policy { jitter: 0.0, ..Policy::default() }
}

/// Reads to the end and tells it in words.
async fn told(script: &Script) -> Vec<String> {
    let mut stream = EventStream::new(script, exact(), "");
    let mut told = Vec::new();
    loop {
        told.push(match stream.next().await {
            Ok(Some(Signal::Event(event))) => event.name,
            Ok(Some(Signal::Lost { try_number, after, why, .. })) => {
                format!("lost {try_number} {}s: {why}", after.as_secs())
            }
            Ok(Some(Signal::Reopened)) => "reopened".to_owned(),
            Ok(Some(Signal::Ended(ended))) => format!("{ended:?}"),
            Ok(None) => return told,
            Err(error) => {
                assert!(matches!(stream.next().await, Ok(None)), "an error is the end");
                told.push(error.to_string());
                return told;
            }
        });
    }
}

const FIRST: &str =
    "retry: 1000\n\nid: k.0\nevent: CONNECTED\ndata: {}\n\nid: k.1\nevent: PROCESSING\ndata: {}\n\n";
const SECOND: &str = "id: k.1\nevent: CONNECTED\ndata: {}\n\nid: k.1\nevent: PROCESSING\ndata: {}\n\nid: k.2\nevent: COMPLETED\ndata: {}\n\n";

fn stream_of(pieces: &[&'static str]) -> Step {
    Step::Stream { pieces: pieces.to_vec(), hanging: false }
}

#[tokio::test(start_paused = true)]
async fn a_lost_stream_goes_on_after_its_last_event_and_ends_with_204() {
    let script = script(vec![stream_of(&[FIRST]), Step::Refused, stream_of(&[SECOND]), Step::Finished]);
    assert_eq!(
        told(&script).await,
        [
            "CONNECTED",
            "PROCESSING",
            "lost 1 1s: the server ended the stream",
            "lost 2 2s: cannot reach http://127.0.0.1:1: connection refused",
            "reopened",
            "CONNECTED",
            "COMPLETED",
            "lost 3 4s: the server ended the stream",
            "Finished",
        ]
    );
    let opens = script.opens.lock().unwrap().clone();
    let want = [("", 0), ("k.1", 1), ("k.1", 3), ("k.2", 7)];
    assert_eq!(opens, want.map(|(id, at)| (id.to_owned(), at)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_streams_now_does_not_count_as_back() {
    let shed = stream_of(&["retry: 3000\n\n: no more streams\n\n"]);
    let script = script(vec![stream_of(&[FIRST]), shed, stream_of(&[SECOND]), Step::Finished]);
    assert_eq!(
        told(&script).await[2..6],
        [
            "lost 1 1s: the server ended the stream",
            "lost 2 3s: the server ended the stream",
            "reopened",
            "CONNECTED"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_given_up_after_two_and_a_half_heartbeats() {
    let silent = Step::Stream { pieces: vec![FIRST], hanging: true };
    let script = script(vec![silent, Step::Finished]);
    let told = told(&script).await;
    assert_eq!(told[2], "lost 1 1s: nothing came for 25 s");
    assert_eq!(script.opens.lock().unwrap()[1], ("k.1".to_owned(), 26));
}

#[tokio::test(start_paused = true)]
async fn the_first_open_is_tried_once_and_a_lost_stream_ten_times() {
    let unreachable = script(vec![Step::Refused]);
    assert_eq!(told(&unreachable).await, ["cannot open the stream"]);
    assert_eq!(unreachable.opens.lock().unwrap().len(), 1);

    let script = script(vec![stream_of(&[FIRST])]);
    let told = told(&script).await;
    let last = told.last().unwrap();
    assert!(last.contains("did not come back in 10 tries") && last.contains("connection refused"), "{last}");
    assert_eq!(script.opens.lock().unwrap().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_cannot_change_by_itself_is_final_and_a_busy_server_is_waited_for() {
    let gone = script(vec![stream_of(&[FIRST]), Step::Problem(404, None)]);
    assert_eq!(told(&gone).await.last().unwrap(), "cannot open the stream");

    let busy = script(vec![stream_of(&[FIRST]), Step::Problem(503, Some(40)), Step::Finished]);
    let told = told(&busy).await;
    assert_eq!(told[3], "lost 2 40s: POST /api/fund-events: 503 Title");
    assert_eq!(told[4], "Finished");
}

#[tokio::test(start_paused = true)]
async fn a_draining_server_says_when_to_come_back() {
    let drain = "retry: 4000\n\nevent: DRAINING\ndata: {}\n\n";
    let script = script(vec![stream_of(&[FIRST, drain]), Step::Finished]);
    assert_eq!(
        told(&script).await,
        ["CONNECTED", "PROCESSING", "DRAINING", "lost 1 4s: the server ended the stream", "Finished"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_loses_nothing() {
    let script = script(vec![stream_of(&[FIRST]), Step::Finished]);
    let mut stream = EventStream::new(&script, exact(), "");
    let mut told = 0;
    // 300 ms is shorter than the wait for the second open, so several waits are dropped on the way.
    for _ in 0..20 {
        if let Ok(Ok(Some(_))) = timeout(Duration::from_millis(300), stream.next()).await {
            told += 1;
        }
    }
    assert_eq!(told, 4, "CONNECTED, PROCESSING, lost, finished");
}
