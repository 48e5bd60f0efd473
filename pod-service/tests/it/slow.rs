//! A client that stops reading.

use std::sync::Arc;

use fundbond_protocol::sse::Parser;
use fundbond_store::{MemoryStore, memory};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};

use crate::client::{TestPod, offset, settings, within};

/// Bytes that a pod holds for readers.
fn queued(metrics: &str) -> usize {
    let line = metrics.lines().find_map(|line| line.strip_prefix("fund_stream_queue_bytes "));
    line.unwrap().parse().unwrap()
}

/// One client stops reading a log of 60,000 events, more than the kernel's buffers take: the pod holds no
/// more than a queue for it, serves its neighbour meanwhile, cuts it, and resume brings the rest without a gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_costs_little_memory_harms_nobody_and_is_repaired_by_resume() {
    const EVENTS: u32 = 60_000;
    let config = memory::Config { log_floor: EVENTS as usize + 10, ..memory::Config::default() };
    let pod = TestPod::with(settings(), Arc::new(MemoryStore::with(config))).await;
    pod.start_steps("busy", "slow", EVENTS, 0).await;
    pod.until_final("busy").await;

    let socket = TcpSocket::new_v4().unwrap();
    // A small window makes the kernel's buffers fill soon.
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let mut slow = socket.connect(pod.address).await.unwrap();
    let request = "GET /api/fund-events/slow HTTP/1.1\r\nhost: pod\r\n\r\n";
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 256];
    let read = within("the head", slow.read(&mut first)).await.unwrap();

    let mut neighbour = pod.open("neighbour", &["small"], None).await;
    pod.start_steps("small", "neighbour", 200, 1).await;
    let seen = neighbour.rest().await;
    assert_eq!(seen.len(), 203);
    assert_eq!(seen.last().unwrap().name, "COMPLETED");

    let mut held = 0;
    within("the cut", async {
        let slow = r#"fund_stream_ends_total{reason="slow"} 1"#;
        loop {
            let metrics = pod.metrics().await;
            held = held.max(queued(&metrics));
            if metrics.contains(slow) {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!((1 << 14..1 << 20).contains(&held), "{held} bytes wait for a client that does not read");

    // What was on its way still arrives; then the connection is gone.
    let mut bytes = first[..read].to_vec();
    let _ = within("the end", slow.read_to_end(&mut bytes)).await;
    assert!(!bytes.ends_with(b"0\r\n\r\n"), "a cut is not an orderly end");
    // Chunk sizes stand between some frames and make an unknown field there; the last whole id is intact.
    let mut items = Vec::new();
    let mut parser = Parser::new(1 << 20);
    parser.feed(&bytes, &mut items).unwrap();
    let last = parser.last_event_id().to_owned();
    let position: u64 = last.split_once('.').unwrap().1.parse().unwrap();
    assert!((1..u64::from(EVENTS)).contains(&position), "{last}");

    let rest = pod.open("slow", &[], Some(&last)).await.rest().await;
    let offsets: Vec<u64> = rest[1..].iter().map(offset).collect();
    assert_eq!(offsets, (position + 1..=u64::from(EVENTS) + 2).collect::<Vec<_>>());
    assert_eq!(rest.last().unwrap().name, "COMPLETED");
    pod.stop().await;
}
