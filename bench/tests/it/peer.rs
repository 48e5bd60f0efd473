//! The peer keeps the contract that the client checks.

use std::{net::Ipv4Addr, time::Duration};

use fundbond_bench::{client::Client, fleet::Fleet, peer};
use tokio::net::TcpListener;

#[tokio::test]
async fn the_client_sees_every_event_of_tasks_that_follow_each_other() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let client = Client::new(listener.local_addr().unwrap());
    let serving = tokio::spawn(peer::serve(listener));
    let mut fleet = Fleet::open(&client, 3, Some(20)).await.unwrap();
    let handles = fleet.handles().to_vec();
    let load = async {
        for handle in handles.iter().cycle().take(6) {
            handle.start(&client, Duration::ZERO).await?;
            handle.finish().await;
        }
        Ok(())
    };
    fleet.during("six tasks", load).await.unwrap();
    // Twenty steps, a first and a last event each.
    assert_eq!(fleet.seen().events(), 6 * 22);
    assert_eq!(fleet.seen().take_latencies().len(), 6 * 22);
    assert!(fleet.seen().bytes() > 6 * 22 * 200);
    serving.abort();
}

#[tokio::test]
async fn a_task_for_a_stream_that_is_not_open_is_refused() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let client = Client::new(listener.local_addr().unwrap());
    let serving = tokio::spawn(peer::serve(listener));
    let fleet = Fleet::open(&client, 1, Some(1)).await.unwrap();
    let handle = fleet.handles()[0].clone();
    let elsewhere = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let other = Client::new(elsewhere.local_addr().unwrap());
    let other_serving = tokio::spawn(peer::serve(elsewhere));
    let error = handle.start(&other, Duration::ZERO).await.unwrap_err().to_string();
    assert!(error.contains("404 Not Found: no such stream"), "{error}");
    serving.abort();
    other_serving.abort();
}
