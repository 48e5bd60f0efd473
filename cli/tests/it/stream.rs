//! `events tail`.

use serde_json::Value;

use crate::{
    fundctl::fundctl,
    server::{Reply, Server},
};

#[tokio::test]
async fn a_tail_prints_what_comes_and_ends_with_the_stream() {
    let text = "retry: 1000\n\n: hello\n\nid: k.0\nevent: CONNECTED\ndata: {\"a\":1}\n\n\
                event: HEARTBEAT\ndata: {}\n\nid: k.1\nevent: MINE\ndata: two\ndata: lines\n\n";
    let server = Server::start(vec![
        ("POST /api/fund-events", Reply::Stream { text: text.to_owned(), hold: false }),
        ("POST /api/fund-events", Reply::Empty(204)),
    ])
    .await;
    let run = fundctl(&["events", "tail", "desk7", "-o", "ndjson", "--server", &server.url]).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    let lines: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{run:?}");
    assert_eq!((&lines[0]["event"], &lines[0]["data"]["a"]), (&"CONNECTED".into(), &1.into()));
    assert_eq!((&lines[2]["id"], &lines[2]["data"]), (&"k.1".into(), &"two\nlines".into()));
    assert!(run.err.contains("finished"), "{run:?}");
    assert_eq!(server.asked()[1].header("last-event-id"), "k.1");
}

#[tokio::test]
async fn a_tail_continues_after_the_id_it_is_given() {
    let server = Server::start(vec![("POST /api/fund-events", Reply::Empty(204))]).await;
    let run = fundctl(&["events", "tail", "desk7", "--last-event-id", "k.9", "--server", &server.url]).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(server.asked()[0].header("last-event-id"), "k.9");
}

#[tokio::test]
async fn something_that_is_no_stream_is_refused() {
    let server = Server::start(vec![("POST /api/fund-events", Reply::Text(200, "welcome"))]).await;
    let run = fundctl(&["events", "tail", "desk7", "--server", &server.url]).await;
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("not an answer of a Fundbond server (status 200"), "{run:?}");
}
