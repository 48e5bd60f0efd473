//! What a pod counts of itself.

use std::sync::Arc;

use fundbond_store::{MemoryStore, memory};
use tokio::{io::AsyncWriteExt as _, net::TcpSocket};

use crate::client::{TestPod, settings, within};

/// The value of `series`, a name with its labels; none where it is not there.
fn value(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[tokio::test]
async fn a_task_and_its_stream_are_counted_and_the_events_timed() {
    let pod = TestPod::start().await;
    let mut stream = pod.open("c", &["t"], None).await;
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
    let open = pod.metrics().await;
    assert_eq!(value(&open, "fund_streams_open"), Some(1.0), "{open}");
    pod.start_steps("t", "c", 3, 0).await;
    assert_eq!(stream.rest().await.last().unwrap().name, "COMPLETED");
    within("the metrics of what has ended", async {
        loop {
            let text = pod.metrics().await;
            let is = |series: &str, expected: f64| value(&text, series) == Some(expected);
            if is(r#"fund_stream_ends_total{reason="finished"}"#, 1.0)
                && is("fund_streams_open", 0.0)
                && is("fund_stream_queue_bytes", 0.0)
                && is(r#"fund_stream_opens_total{outcome="start"}"#, 1.0)
                && is(r#"fund_events_written_total{status="COMPLETED"}"#, 1.0)
                && is(r#"fund_events_written_total{status="SUBTASK_COMPLETED"}"#, 3.0)
                && is(r#"fund_task_duration_seconds_count{kind="steps",status="COMPLETED"}"#, 1.0)
                && value(&text, "fund_event_lag_seconds_count").is_some_and(|count| count >= 1.0)
                && value(&text, "fund_event_lag_seconds_sum").is_some_and(|sum| sum < 60.0)
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    pod.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_wait_for_a_client_are_seen() {
    const EVENTS: u32 = 20_000;
    let config = memory::Config { log_floor: EVENTS as usize + 10, ..memory::Config::default() };
    let pod = TestPod::with(settings(), Arc::new(MemoryStore::with(config))).await;
    pod.start_steps("busy", "slow", EVENTS, 0).await;
    pod.until_final("busy").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let mut slow = socket.connect(pod.address).await.unwrap();
    slow.write_all(b"GET /api/fund-events/slow HTTP/1.1\r\nhost: pod\r\n\r\n").await.unwrap();
    within("bytes in the queue", async {
        while value(&pod.metrics().await, "fund_stream_queue_bytes").is_none_or(|bytes| bytes < 65_536.0) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(slow);
    within("an empty queue", async {
        while value(&pod.metrics().await, "fund_stream_queue_bytes") != Some(0.0) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    pod.stop().await;
}
