//! One stream of ours, read by the npm package `eventsource-parser` and by Python's `httpx-sse`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use fundbond_protocol::{
    ConnectionId, PodId, Status, TaskEvent, TaskId,
    sse::{Event, Frame, Item, Parser, write_comment, write_retry},
};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};
use serde::Deserialize;

#[derive(Debug, Deserialize, PartialEq)]
struct Read {
    id: String,
    event: String,
    data: String,
    retry: Option<u64>,
}

/// A path that `cargo xtask test` prepares. Without it the test cannot say anything, so it fails.
fn prepared(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} is not set; run `cargo xtask test`, which prepares the foreign readers")
    });
    let path = PathBuf::from(path);
    assert!(path.exists(), "{variable}={} does not exist; run `cargo xtask test`", path.display());
    path
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential").join(name)
}

fn read_by(mut program: Command, chunk: usize, bytes: &[u8]) -> Vec<Read> {
    let program = program.arg(chunk.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = program.spawn().unwrap_or_else(|error| panic!("{program:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{program:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    // Lines end in LF alone: `str::lines` would also be content with that, but U+2028 must not split.
    text.split('\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ours(bytes: &[u8]) -> Vec<Read> {
    let (mut parser, mut items) = (Parser::new(1 << 20), Vec::new());
    parser.feed(bytes, &mut items).unwrap();
    let mut retry = None;
    let mut read = Vec::new();
    for item in items {
        match item {
            Item::Retry(millis) => retry = Some(millis),
            Item::Event(Event { id, name, data }) => read.push(Read { id, event: name, data, retry }),
        }
    }
    read
}

/// A stream as a pod writes it, with texts from all over Unicode in its events.
fn stream() -> Vec<u8> {
    let mut runner = TestRunner::deterministic();
    let mut bytes = Vec::new();
    write_retry(&mut bytes, 1000);
    write_comment(&mut bytes, "fundbond");
    let connection = ConnectionId::parse("c").unwrap();
    let now = "2026-11-21T10:00:00Z".parse().unwrap();
    let pod = PodId::parse("pod-a-1~aaaaaaaa").unwrap();
    let connected = TaskEvent::of_stream(&connection, 1, Status::CONNECTED, now).from_pod(&pod);
    let frame = |bytes: &mut Vec<u8>, id: Option<&str>, event: &TaskEvent| {
        Frame { id, event: Some(event.status.as_str()), data: Some(&event.to_json()) }.write(bytes).unwrap();
    };
    frame(&mut bytes, Some("k.0"), &connected);
    for offset in 1..=200 {
        let text = super::round_trip::text().new_tree(&mut runner).unwrap().current();
        let event = TaskEvent::of_task(&TaskId::parse("t").unwrap(), offset, Status::SUBTASK_COMPLETED, now)
            .with_message(text.clone())
            .with_progress(offset, 200);
        frame(&mut bytes, Some(&format!("k.{offset}")), &event);
        if offset % 20 == 0 {
            write_retry(&mut bytes, offset);
            write_comment(&mut bytes, &text);
            let beat = TaskEvent::of_stream(&connection, offset, Status::HEARTBEAT, now);
            frame(&mut bytes, None, &beat);
        }
        // A sender's own text, not JSON, with its line breaks. Empty data is dispatched by nobody, and one of the
        // two readers cannot tell it from none, so it stays out. Form feeds and Unicode separators end a line for
        // neither.
        if !text.is_empty() {
            Frame { data: Some(&text), ..Frame::default() }.write(&mut bytes).unwrap();
        }
    }
    bytes
}

fn compare(program: impl Fn() -> Command) {
    let bytes = stream();
    let expected = ours(&bytes);
    assert!(expected.len() > 300);
    for chunk in [1, 7, 4096, bytes.len()] {
        let read = read_by(program(), chunk, &bytes);
        for (index, (read, expected)) in read.iter().zip(&expected).enumerate() {
            assert_eq!(read, expected, "event {index} in chunks of {chunk}");
        }
        assert_eq!(read.len(), expected.len(), "in chunks of {chunk}");
    }
}

#[test]
fn the_npm_package_eventsource_parser_reads_our_stream_as_we_do() {
    let modules = prepared("FUNDBOND_NODE_MODULES");
    compare(|| {
        let mut node = Command::new("node");
        node.arg(script("read.mjs")).env("FUNDBOND_NODE_MODULES", &modules);
        node
    });
}

#[test]
fn python_httpx_sse_reads_our_stream_as_we_do() {
    let python = prepared("FUNDBOND_PYTHON");
    compare(|| {
        let mut command = Command::new(&python);
        command.arg(script("read.py"));
        command
    });
}
