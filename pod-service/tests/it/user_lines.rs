//! Events for a user that come line by line: in order, once each, as fast as they are read.

use bytes::Bytes;
use fundbond_store::Message;
use futures::stream;
use http::Request;
use http_body_util::{Full, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    client::{Answer, TestPod, TestStream, exchange, read, send, within},
    users::{connect, open, pods},
};

/// A body that is written while it is sent.
struct Writer {
    pieces: mpsc::Sender<String>,
    answer: JoinHandle<Answer>,
}

impl Writer {
    fn to(pod: &TestPod) -> Self {
        let (pieces, receiver) = mpsc::channel::<String>(1);
        let pieces_of = stream::unfold(receiver, |mut receiver| async {
            let piece = receiver.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(piece))), receiver))
        });
        let request = Request::post("/api/sse/send").header("content-type", "application/x-ndjson");
        let request = request.body(StreamBody::new(pieces_of)).unwrap();
        let address = pod.address;
        Self { pieces, answer: tokio::spawn(async move { read(exchange(address, request).await).await }) }
    }

    async fn write(&self, text: &str) {
        within("a piece to be taken", self.pieces.send(text.to_owned())).await.unwrap();
    }

    async fn end(self) -> Answer {
        drop(self.pieces);
        within("an answer", self.answer).await.unwrap()
    }
}

fn line(number: u64) -> String {
    json!({"userId": "maria", "event": "token", "data": number}).to_string() + "\n"
}

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(line).collect()
}

async fn whole(pod: &TestPod, body: impl Into<Bytes>) -> Answer {
    let request =
        Request::post("/api/sse/send").header("content-type", "application/x-ndjson; charset=utf-8");
    send(pod.address, request.body(Full::new(body.into())).unwrap()).await
}

/// Reads numbers, each the next, up to `end`.
async fn expect(stream: &mut TestStream, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let event = stream.next_said().await.unwrap();
        assert_eq!((event.name.as_str(), event.data), ("token", number.to_string()), "{}", event.id);
    }
}

fn accepted(answer: &Answer) -> (u16, u64) {
    (answer.status, answer.json()["accepted"].as_u64().unwrap_or_else(|| panic!("{}", answer.text)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_lines_arrive_in_order_through_another_pod() {
    let ([holder, other], _) = pods().await;
    let mut stream = connect(&holder, "maria").await;
    let sending = tokio::spawn(async move { whole(&other, lines(0..10_000)).await });
    expect(&mut stream, 0..10_000).await;
    let answer = sending.await.unwrap();
    assert_eq!((answer.status, answer.json()), (202, json!({"accepted": 10_000, "delivery": "remote"})));
}

#[tokio::test]
async fn each_line_is_sent_when_it_is_whole_and_not_before() {
    let ([holder, other], _) = pods().await;
    let mut stream = connect(&holder, "maria").await;
    let writer = Writer::to(&other);
    for number in 0..20 {
        let line = line(number);
        let (start, end) = line.split_at(10 + usize::try_from(number).unwrap());
        writer.write(start).await;
        writer.write(end).await;
        expect(&mut stream, number..number + 1).await;
    }
    // The last line needs no end.
    writer.write(line(20).trim_end()).await;
    let answer = writer.end().await;
    assert_eq!(accepted(&answer), (202, 21));
    expect(&mut stream, 20..21).await;
}

/// A client that reads nothing for a while is neither told that history is gone, nor sent anything twice.
// Tells `send_unpaced`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_goes_no_faster_than_the_stream_is_read() {
    let ([holder, other], _) = pods().await;
    let mut stream = connect(&holder, "maria").await;
    // Far more than the queue of a stream, the log, and the kernels of both sides hold.
    let filler = "x".repeat(16 * 1024);
    let body: String = (0..1_000)
        .map(|n| json!({"userId": "maria", "event": "token", "data": [n, filler]}).to_string() + "\n")
        .collect();
    let sending = tokio::spawn(async move { whole(&other, body).await });
    // sleep-ok: the client is slow on purpose, and still less than counts as gone.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(!sending.is_finished(), "the sender waits for the reader");
    for number in 0..1_000 {
        let event = stream.next_said().await.unwrap();
        let data: Value = serde_json::from_str(&event.data).unwrap_or_else(|_| panic!("{event:?}"));
        assert_eq!((event.name.as_str(), &data[0]), ("token", &json!(number)));
    }
    assert_eq!(accepted(&sending.await.unwrap()), (202, 1_000));
}

// Tells `lines_unmarked`.
#[tokio::test]
async fn steps_that_fail_or_whose_answer_is_lost_are_repeated_without_harm() {
    let ([holder, other], store) = pods().await;
    let mut stream = connect(&holder, "maria").await;
    let writer = Writer::to(&other);
    for round in 0..4 {
        if round % 2 == 0 {
            store.lose_answers("send", 2);
        } else {
            store.fail("send", 2);
        }
        writer.write(&lines(round * 100..round * 100 + 100)).await;
        expect(&mut stream, round * 100..round * 100 + 100).await;
    }
    assert_eq!(accepted(&writer.end().await), (202, 400));
}

/// Nobody knows how far the reader is: its sender goes on, and does not wait for ever.
#[tokio::test]
async fn a_holder_that_does_not_answer_does_not_hold_up_a_sender() {
    let ([holder, other], store) = pods().await;
    let mut stream = connect(&holder, "maria").await;
    store.lose_messages(|message| matches!(message, Message::Asked(_)));
    let sending = tokio::spawn(async move { whole(&other, lines(0..200)).await });
    expect(&mut stream, 0..200).await;
    assert_eq!(accepted(&sending.await.unwrap()), (202, 200));
}

#[tokio::test]
async fn lines_for_nobody_wait_and_the_stream_says_what_is_gone() {
    let ([pod], _) = pods().await;
    let answer = whole(&pod, lines(0..10)).await;
    assert_eq!(answer.json(), json!({"accepted": 10, "delivery": "offline"}));
    expect(&mut connect(&pod, "maria").await, 0..10).await;
    // Another user's are others; the last line says where the request went.
    let other = json!({"userId": "other", "data": 1}).to_string() + "\n";
    let answer = whole(&pod, format!("{other}{}{other}", lines(0..300))).await;
    assert_eq!(accepted(&answer), (202, 302));
    let mut late = open(&pod, "other", "").await;
    let names: Vec<String> = [late.next_said().await, late.next_said().await, late.next_said().await]
        .into_iter()
        .map(|event| event.unwrap().name)
        .collect();
    assert_eq!(names, ["CONNECTED", "MESSAGE", "MESSAGE"]);
    drop(late);
    let mut stream = open(&pod, "maria", "").await;
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
    assert_eq!(stream.next_said().await.unwrap().name, "RESET", "a log keeps 256");
    expect(&mut stream, 44..300).await;
}

#[tokio::test]
async fn a_bad_line_is_named_and_what_came_before_it_is_sent() {
    let ([pod], _) = pods().await;
    let mut stream = connect(&pod, "maria").await;
    let mut sent = 0;
    let too_long = format!(r#"{{"userId":"maria","data":"{}"}}"#, "x".repeat(600 * 1024));
    let too_large = format!(r#"{{"userId":"maria","data":"{}"}}"#, "x".repeat(300 * 1024));
    for (bad, field) in [
        ("{\"userId\":\"maria\",\"data\":", "line[7]"),
        ("{\"userId\":\"maria\",\"data\":1}}", "line[7]"),
        ("\u{0}", "line[7]"),
        ("[]", "line[7]"),
        ("{\"userId\":\"maria\"}", "line[7]"),
        ("{\"userId\":\"a:b\",\"data\":1}", "line[7].userId"),
        ("{\"userId\":\"maria\",\"data\":1,\"event\":\"RESET\"}", "line[7].event"),
        (too_large.as_str(), "line[7].data"),
        (too_long.as_str(), "line[7]"),
    ] {
        let body = format!("{}{bad}\n{}", lines(sent..sent + 6), lines(0..3));
        let answer = whole(&pod, body).await;
        let problem = answer.json();
        assert_eq!(accepted(&answer), (422, 6), "{}", answer.text);
        assert_eq!(problem["errors"][0]["field"], field, "{}", answer.text);
        assert_eq!(problem["type"], "urn:fundbond:problem:invalid-request");
        assert!(problem["detail"].as_str().unwrap().contains("events accepted before: 6"), "{problem}");
        sent += 6;
        expect(&mut stream, sent - 6..sent).await;
    }
    // Empty lines say nothing, and count.
    let answer = whole(&pod, format!("\n\r\n{}\n\nx\n", lines(sent..sent + 1))).await;
    assert_eq!(answer.json()["errors"][0]["field"], "line[6]", "{}", answer.text);
    assert_eq!(accepted(&answer), (422, 1));
    assert_eq!(whole(&pod, "").await.json(), json!({"accepted": 0}));
    expect(&mut stream, sent..sent + 1).await;
}

/// The answer is read although the sender has megabytes to go; and a body may be larger than others may.
#[tokio::test]
async fn a_long_body_is_taken_and_a_bad_line_early_in_it_is_answered() {
    let ([pod], _) = pods().await;
    let rest = lines(0..200_000);
    assert!(rest.len() > 8 * 1024 * 1024);
    let answer = whole(&pod, format!("{}no json\n{rest}", lines(0..3))).await;
    assert_eq!(accepted(&answer), (422, 3));
    assert_eq!(answer.json()["errors"][0]["field"], "line[4]");
    assert_eq!(accepted(&whole(&pod, rest).await), (202, 200_000));
}

#[tokio::test]
async fn lines_whose_sender_named_them_are_sent_once() {
    let ([pod], _) = pods().await;
    let mut stream = connect(&pod, "maria").await;
    let named = |n: u64| {
        json!({"userId": "maria", "event": "token", "data": n, "id": format!("n{n}")}).to_string() + "\n"
    };
    let first: String = (0..5).map(named).collect();
    let all: String = (0..10).map(named).collect();
    // The sender does not know how far the first attempt came, and sends all of it again.
    assert_eq!(accepted(&whole(&pod, first).await), (202, 5));
    assert_eq!(accepted(&whole(&pod, all).await), (202, 10));
    expect(&mut stream, 0..10).await;
    whole(&pod, lines(10..11)).await;
    expect(&mut stream, 10..11).await;
}
