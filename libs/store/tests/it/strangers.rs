//! What others write under names of ours. A step of Redis is not taken back where one of its commands fails, so each of
//! these must either fail before it writes or come to its end.

use fundbond_protocol::{UserId, keys};
use fundbond_store::{Emitted, Outcome, StoreError, UserSend};

use crate::{
    redis::{Redis, redis_fixture},
    scene::{Scene, at, connection, event, reset, states, task},
};

async fn scene() -> (Scene, std::sync::Arc<crate::redis::Server>) {
    let redis: Redis = redis_fixture().await;
    let server = redis.server.clone();
    (Scene::new(redis), server)
}

#[tokio::test]
async fn an_event_is_logged_and_readers_are_reset_where_the_log_was_overwritten() {
    let (scene, server) = scene().await;
    let log = keys::log(&connection("c"));
    for foreign in [vec!["SET", &log, "not a log"], vec!["XADD", &log, "999-0", "r", "not an event"]] {
        let pod = scene.pod("a").await;
        let of = format!("t-{}", foreign[0]);
        let stream = scene.open(&pod, "c", &[&of]).await;
        scene.run(&of, 1, "c").await;
        server.command::<()>(&["DEL", &log]).await.unwrap();
        server.command::<::redis::Value>(&foreign).await.unwrap();

        assert_eq!(scene.emit(&of, "2", "c").await, Emitted::Logged, "{foreign:?}");
        assert_eq!(scene.emit(&of, "2", "c").await, Emitted::Duplicate, "once");
        assert_eq!(scene.emit(&of, "end", "c").await, Emitted::Logged, "the end above all");
        let reading = scene.read("c", &at(&stream.reading.epoch, 1)).await;
        let known = states(reset(&reading).1);
        assert!(known.contains(&format!("{of}:end!")), "{known:?}");
        let again = scene.read("c", &at(&reading.epoch, reading.end)).await;
        assert!(matches!(again.outcome, Outcome::Entries(ref none) if none.is_empty()), "{again:?}");
    }
}

#[tokio::test]
async fn a_user_is_sent_events_where_the_log_was_overwritten() {
    let (scene, server) = scene().await;
    let user = UserId::parse("u").unwrap();
    let send = |id: &str| crate::contract::users::to("u", &[id]);
    let sent: Vec<UserSend> = vec![send("a"), send("b")];
    assert_eq!(scene.store.send(&sent[0]).await.unwrap().logged, 1);
    let log = keys::log(&fundbond_protocol::ConnectionId::of_user(&user));
    server.command::<()>(&["SET", &log, "not a log"]).await.unwrap();
    assert_eq!(scene.store.send(&sent[1]).await.unwrap().logged, 1);
    assert_eq!(server.command::<u32>(&["XLEN", &log]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_state_that_is_none_fails_out_of_contract_and_changes_nothing() {
    let (scene, server) = scene().await;
    let pod = scene.pod("a").await;
    scene.open(&pod, "c", &["t"]).await;
    server.command::<()>(&["SET", &keys::task_state(&task("t")), "not a state"]).await.unwrap();
    let refused = scene.store.emit(&event("t", "1", "c")).await;
    assert!(
        matches!(refused, Err(StoreError::Contract(ref why)) if why.contains("WRONGTYPE")),
        "{refused:?}"
    );
    server.command::<()>(&["DEL", &keys::task_state(&task("t"))]).await.unwrap();
    assert_eq!(scene.emit("t", "1", "c").await, Emitted::Logged, "and it goes on once that is gone");
}
