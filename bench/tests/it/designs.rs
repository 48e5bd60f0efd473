//! Both designs of events bring every event where it belongs, on a real Redis and however they are loaded.

use std::time::Duration;

use fundbond_bench::{
    redis::{
        designs::{Pods, Shape},
        server::RedisServer,
    },
    stats::Side,
};
use fundbond_store::redis::Config;

async fn load(side: Side, pods: usize, shape: Shape) -> u64 {
    let server = RedisServer::start().await.unwrap();
    let streams = shape.streams(pods);
    let mut loaded = Pods::start(side, &Config::at(server.url()), pods, streams, 4).await.unwrap();
    let used = loaded.load(&server, shape).await.unwrap();
    assert!(used.cpu > Duration::ZERO && used.time > used.cpu / 10, "{used:?}");
    server.stop().await.unwrap();
    used.events
}

#[tokio::test]
async fn one_event_at_a_time_arrives() {
    for side in Side::BOTH {
        assert_eq!(load(side, 3, Shape::Alone { events: 20 }).await, 20, "{side:?}");
    }
}

#[tokio::test]
async fn events_of_many_tasks_at_once_arrive_on_each_of_their_streams() {
    for side in Side::BOTH {
        let crowd = Shape::Crowd { tasks: 5, events: 100 };
        // Each of ten tasks sends as many, so the last hundred is full.
        assert_eq!(load(side, 2, crowd).await, 100, "{side:?}");
    }
}

#[tokio::test]
async fn events_on_a_schedule_arrive() {
    for side in Side::BOTH {
        let paced = Shape::Paced { rate: 1_000, time: Duration::from_millis(100) };
        assert_eq!(load(side, 2, paced).await, 100, "{side:?}");
    }
}
