//! What goes wrong, as it was planned.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fundbond_api_simulator::{Delivery, Entry, Event, Fault, Outcome, Plan, Simulator};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Client, ResourceExt as _,
    api::{PostParams, WatchEvent, WatchParams},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::support::{NAMESPACE, begin, map, maps, refusal};

/// The one fault that happens to every request.
fn always(fault: Fault) -> impl Plan {
    move |_: &Entry| Some(fault)
}

async fn create(client: &Client, name: &str) -> Result<ConfigMap, kube::Error> {
    maps(client).create(&PostParams::default(), &map(name, &json!({}))).await
}

/// Whether an answer comes within an hour.
async fn answered<T>(request: impl Future<Output = T>) -> bool {
    timeout(Duration::from_hours(1), request).await.is_ok()
}

fn there(simulator: &Simulator) -> usize {
    simulator.objects().len()
}

#[tokio::test(start_paused = true)]
async fn a_refusal_has_the_servers_words_and_nothing_is_done() {
    for (fault, code, reason) in [
        (Fault::Refuse(409), 409, "Conflict"),
        (Fault::Refuse(410), 410, "Expired"),
        (Fault::Refuse(500), 500, "InternalError"),
        (Fault::Refuse(503), 503, "ServiceUnavailable"),
        (Fault::Later(3), 429, "TooManyRequests"),
    ] {
        let (simulator, client) = begin();
        simulator.plan(always(fault));
        let refused = refusal(create(&client, "one").await);
        assert_eq!((refused.code, refused.reason.as_str()), (code, reason));
        if let Fault::Later(seconds) = fault {
            assert_eq!(u64::from(refused.details.unwrap().retry_after_seconds), seconds);
        }
        assert_eq!(there(&simulator), 0);
        assert_eq!(simulator.trace()[0].outcome, Outcome::Refused(code));
        simulator.plan_nothing();
        create(&client, "one").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_is_done_or_not_as_was_planned_and_never_answered() {
    for (fault, done) in [(Fault::Hang, false), (Fault::HangAfter, true)] {
        let (simulator, client) = begin();
        simulator.plan(always(fault));
        assert!(!answered(create(&client, "one")).await);
        assert_eq!(there(&simulator), usize::from(done));
        assert_eq!(simulator.trace()[0].outcome, Outcome::Hung { done });
        assert_eq!(simulator.trace()[0].changed, done);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_breaks_before_or_after_the_deed() {
    for (fault, done) in [(Fault::Drop, false), (Fault::DropAfter, true)] {
        let (simulator, client) = begin();
        simulator.plan(always(fault));
        let broken = create(&client, "one").await.unwrap_err();
        assert!(!matches!(broken, kube::Error::Api(_)), "{broken}");
        assert_eq!(there(&simulator), usize::from(done));
        assert_eq!(simulator.trace()[0].outcome, Outcome::Dropped { done });
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_of_then_and_a_late_deed_is_done_though_nobody_waits() {
    let (simulator, client) = begin();
    simulator.plan(always(Fault::Slow(Duration::from_secs(3))));
    let begin = Instant::now();
    create(&client, "one").await.unwrap();
    assert_eq!(begin.elapsed(), Duration::from_secs(3));
    simulator.plan(always(Fault::Late(Duration::from_secs(3))));
    assert!(timeout(Duration::from_secs(1), create(&client, "two")).await.is_err());
    assert_eq!(there(&simulator), 1);
    tokio::time::sleep(Duration::from_secs(3)).await; // sleep-ok: paused time, until the late deed
    assert_eq!(there(&simulator), 2);
}

#[tokio::test(start_paused = true)]
async fn a_plan_sees_each_request_with_its_number_and_its_name() {
    let (simulator, client) = begin();
    let seen = Arc::new(AtomicU64::new(0));
    let counted = seen.clone();
    simulator.plan(move |entry: &Entry| {
        assert_eq!(entry.number, counted.fetch_add(1, Ordering::Relaxed));
        (&*entry.name == "two").then_some(Fault::Refuse(500))
    });
    create(&client, "one").await.unwrap();
    refusal(create(&client, "two").await);
    create(&client, "three").await.unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn while_the_server_is_away_nothing_is_answered_and_nothing_happens() {
    let (simulator, client) = begin();
    let user = simulator.hand("user");
    let from = simulator.revision().to_string();
    let mut events = maps(&client).watch(&WatchParams::default(), &from).await.unwrap().boxed();
    let owner = user.create(&map("owner", &json!({}))).unwrap();
    let mut child = map("child", &json!({}));
    child.owner_references_mut().push(kube::Resource::owner_ref(&owner, &()).unwrap());
    user.create(&child).unwrap();
    assert!(events.next().await.unwrap().is_ok());
    user.delete::<ConfigMap>(NAMESPACE, "owner").unwrap();
    simulator.away(true);
    assert!(events.next().await.unwrap().is_err(), "watches break");
    assert!(create(&client, "one").await.is_err());
    tokio::time::sleep(Duration::from_mins(5)).await; // sleep-ok: paused time, the outage
    assert_eq!(there(&simulator), 1, "nor does the garbage collector reach it");
    assert_eq!(simulator.trace().last().unwrap().outcome, Outcome::Away);
    simulator.away(false);
    create(&client, "one").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await; // sleep-ok: paused time, the garbage collector's delay
    assert_eq!(simulator.objects().keys().collect::<Vec<_>>(), ["configmaps/funds/one"]);
}

/// Says of the event with that number how it is told.
struct Telling(u64, Delivery);

impl Plan for Telling {
    fn request(&mut self, _: &Entry) -> Option<Fault> {
        None
    }

    fn event(&mut self, event: &Event<'_>) -> Delivery {
        assert_eq!((event.resource, event.identity), ("configmaps", "operator"));
        if event.number == self.0 { self.1 } else { Delivery::Now }
    }
}

/// What a watch tells of three objects made one second after the other, and when.
async fn telling(delivery: Delivery) -> Vec<(String, u64)> {
    let (simulator, client) = begin();
    simulator.plan(Telling(1, delivery));
    let params = WatchParams::default().timeout(60).disable_bookmarks();
    let events = maps(&client).watch(&params, &simulator.revision().to_string()).await.unwrap();
    let begin = Instant::now();
    let making = async {
        for name in ["one", "two", "three"] {
            simulator.hand("user").create(&map(name, &json!({}))).unwrap();
            tokio::time::sleep(Duration::from_millis(600)).await; // sleep-ok: paused time, events apart
        }
    };
    let seen = pin!(events.map(|event| {
        let told = match event {
            Ok(WatchEvent::Added(map)) => map.name_any(),
            Ok(WatchEvent::Error(status)) => status.code.to_string(),
            Ok(_) => "?".to_owned(),
            Err(_) => "broken".to_owned(),
        };
        (told, u64::try_from(begin.elapsed().as_millis()).unwrap())
    }));
    futures::join!(making, seen.collect::<Vec<_>>()).1
}

#[tokio::test(start_paused = true)]
async fn events_are_told_as_was_planned() {
    let told = |events: &[(&str, u64)]| -> Vec<(String, u64)> {
        events.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect()
    };
    for (delivery, expected) in [
        (Delivery::Now, &[("one", 0), ("two", 600), ("three", 1200)][..]),
        (Delivery::Never, &[("one", 0), ("three", 1200)]),
        (Delivery::Twice, &[("one", 0), ("two", 600), ("two", 600), ("three", 1200)]),
        (Delivery::AfterNext, &[("one", 0), ("three", 1200), ("two", 1200)]),
        (Delivery::Late(Duration::from_secs(5)), &[("one", 0), ("two", 5600), ("three", 5600)]),
        (Delivery::Break, &[("one", 0), ("broken", 600)]),
        (Delivery::Expire, &[("one", 0), ("410", 600)]),
    ] {
        assert_eq!(telling(delivery).await, told(expected), "{delivery:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_waits_for_another_is_told_by_itself_in_the_end() {
    let (simulator, client) = begin();
    simulator.plan(Telling(0, Delivery::AfterNext));
    let params = WatchParams::default().timeout(60).disable_bookmarks();
    let mut events = maps(&client).watch(&params, &simulator.revision().to_string()).await.unwrap().boxed();
    simulator.hand("user").create(&map("one", &json!({}))).unwrap();
    let begin = Instant::now();
    assert!(events.try_next().await.unwrap().is_some());
    assert_eq!(begin.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_gets_over_broken_and_expired_watches() {
    for delivery in [Delivery::Break, Delivery::Expire] {
        let (simulator, client) = begin();
        simulator.plan(Telling(1, delivery));
        let mut objects =
            pin!(watcher(maps(&client), watcher::Config::default()).default_backoff().applied_objects());
        let mut seen = std::collections::BTreeSet::new();
        let making = async {
            for name in ["one", "two", "three"] {
                simulator.hand("user").create(&map(name, &json!({}))).unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await; // sleep-ok: paused time, events apart
            }
        };
        let seeing = async {
            while seen.len() < 3 {
                if let Some(Ok(map)) = objects.next().await {
                    seen.insert(map.name_any());
                }
            }
        };
        futures::join!(making, seeing);
    }
}
