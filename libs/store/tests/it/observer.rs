//! What a store on a Redis tells of its work.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use fundbond_store::{
    Bus, LOCK_TIME, Locked, MemoryStore, Message, Observed, Observer, RedisStore, Registry, StepOutcome,
    Store, redis,
};

use crate::{
    redis::Server,
    scene::{DEADLINE, Loss, cluster, event, pod_id},
};

#[derive(Default)]
struct Heard(Mutex<BTreeMap<String, usize>>);

impl Heard {
    fn count(&self, what: impl Into<String>) {
        *self.0.lock().unwrap().entry(what.into()).or_default() += 1;
    }

    fn times(&self, what: &str) -> usize {
        self.0.lock().unwrap().get(what).copied().unwrap_or_default()
    }
}

impl Observer for Heard {
    fn step(&self, step: &'static str, outcome: StepOutcome, took: Duration) {
        assert!(redis::STEPS.contains(&step) && took < DEADLINE, "{step} {took:?}");
        self.count(format!("{step} {}", outcome.label()));
    }

    fn connected(&self) {
        self.count("connected");
    }

    fn disconnected(&self) {
        self.count("disconnected");
    }

    fn subscribed_again(&self) {
        self.count("subscribed again");
    }

    fn lock_contended(&self) {
        self.count("lock contended");
    }
}

#[tokio::test]
async fn every_step_and_every_loss_of_a_connection_is_told() {
    let server = Server::start();
    server.ready().await;
    let store = RedisStore::new(&redis::Config::at(server.url())).unwrap();
    let heard = Arc::new(Heard::default());
    store.observe(heard.clone());
    let (pod, home) = (pod_id("p~1"), cluster("k"));
    store.heartbeat(&pod, &home).await.unwrap();
    let mut subscription = store.subscribe(&pod).await.unwrap();
    for step in ["1", "2", "3"] {
        store.emit(&event("t", step, "c")).await.unwrap();
    }
    assert_eq!((heard.times("heartbeat done"), heard.times("connected")), (1, 1));
    // A task that nobody submitted: the short script finds it homeless, the long one gives it a home.
    assert_eq!((heard.times("emit done"), heard.times("emit-homeless done")), (3, 1));

    server.restart(Loss::Everything).await;
    let mut batch = Vec::new();
    let gap = async {
        while !batch.contains(&Message::Gap) {
            assert!(subscription.recv_many(&mut batch, 8).await > 0);
        }
    };
    tokio::time::timeout(DEADLINE, gap).await.expect("the pod is told of the gap");
    assert_eq!(heard.times("subscribed again"), 1);
    let answered = async {
        while store.heartbeat(&pod, &home).await.is_err() {
            // sleep-ok: the store waits before it connects again.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, answered).await.expect("the store comes back");
    assert_eq!((heard.times("disconnected"), heard.times("connected")), (1, 2));
    assert!(heard.times("heartbeat unreachable") >= 1);
}

/// A lock that two want: whoever counts is told of each time it was not to be had.
async fn contention(store: &dyn Store) {
    let heard = Arc::new(Heard::default());
    store.observe(heard.clone());
    let Locked::Taken(lock) = store.lock("key", "a", LOCK_TIME).await.unwrap() else { panic!("it is free") };
    assert_eq!(heard.times("lock contended"), 0);
    for times in 1..=3 {
        assert_eq!(store.lock("key", "b", LOCK_TIME).await.unwrap(), Locked::Held);
        assert_eq!(heard.times("lock contended"), times);
    }
    assert!(store.unlock(&lock).await.unwrap());
    assert!(matches!(store.lock("key", "b", LOCK_TIME).await.unwrap(), Locked::Taken(_)));
    assert_eq!(heard.times("lock contended"), 3);
}

#[tokio::test]
async fn a_lock_that_is_not_to_be_had_is_told() {
    let server = Server::start();
    server.ready().await;
    contention(&RedisStore::new(&redis::Config::at(server.url())).unwrap()).await;
    contention(&MemoryStore::new()).await;
}
