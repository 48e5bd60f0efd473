//! Watches, and a watcher on top of one.

use std::{pin::pin, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    ResourceExt as _,
    api::{WatchEvent, WatchParams},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::json;

use crate::support::{NAMESPACE, begin, map, maps};

fn told(event: &WatchEvent<ConfigMap>) -> String {
    match event {
        WatchEvent::Added(map) => format!("added {}", map.name_any()),
        WatchEvent::Modified(map) => format!("modified {}", map.name_any()),
        WatchEvent::Deleted(map) => format!("deleted {}", map.name_any()),
        WatchEvent::Bookmark(bookmark) => format!("bookmark {}", bookmark.metadata.resource_version),
        WatchEvent::Error(status) => format!("error {}", status.code),
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_happens_from_where_it_was_asked_to() {
    let (simulator, client) = begin();
    let user = simulator.hand("user");
    user.create(&map("old", &json!({}))).unwrap();
    let from = simulator.revision().to_string();
    user.create(&map("one", &json!({}))).unwrap();
    let params = WatchParams::default().timeout(10).disable_bookmarks();
    let mut events = maps(&client).watch(&params, &from).await.unwrap().boxed();
    assert_eq!(told(&events.next().await.unwrap().unwrap()), "added one");
    user.merge::<ConfigMap>(NAMESPACE, "one", &json!({"data": {"a": "1"}})).unwrap();
    assert_eq!(told(&events.next().await.unwrap().unwrap()), "modified one");
    user.delete::<ConfigMap>(NAMESPACE, "one").unwrap();
    let gone = events.next().await.unwrap().unwrap();
    assert_eq!(told(&gone), "deleted one");
    let WatchEvent::Deleted(gone) = gone else { panic!("deleted") };
    assert_eq!(gone.resource_version().unwrap(), simulator.revision().to_string());
    let before = tokio::time::Instant::now();
    assert!(events.next().await.is_none(), "it ends when its time is over");
    assert_eq!(before.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn bookmarks_tell_how_far_a_watch_is_though_nothing_happens_to_it() {
    let (simulator, client) = begin();
    let params = WatchParams::default().timeout(90);
    let from = simulator.revision().to_string();
    let mut events = maps(&client).watch(&params, &from).await.unwrap().boxed();
    simulator.hand("user").create(&crate::support::cluster("one")).unwrap();
    let bookmark = events.next().await.unwrap().unwrap();
    assert_eq!(told(&bookmark), format!("bookmark {}", simulator.revision()));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_selected_no_more_is_deleted_for_the_watch() {
    let (simulator, client) = begin();
    let user = simulator.hand("user");
    let params = WatchParams::default().labels("app=x").timeout(10).disable_bookmarks();
    let mut events = maps(&client).watch(&params, &simulator.revision().to_string()).await.unwrap().boxed();
    user.create(&map("one", &json!({}))).unwrap();
    for app in [json!("x"), json!("y"), json!("x")] {
        user.merge::<ConfigMap>(NAMESPACE, "one", &json!({"metadata": {"labels": {"app": app}}})).unwrap();
    }
    let events: Vec<_> = events.by_ref().map_ok(|event| told(&event)).try_collect().await.unwrap();
    assert_eq!(events, ["added one", "deleted one", "added one"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_what_is_forgotten_is_told_that_it_expired() {
    let (simulator, client) = begin();
    let from = simulator.revision().to_string();
    simulator.hand("user").create(&map("one", &json!({}))).unwrap();
    simulator.compact();
    let params = WatchParams::default().timeout(10);
    let mut events = maps(&client).watch(&params, &from).await.unwrap().boxed();
    assert_eq!(told(&events.next().await.unwrap().unwrap()), "error 410");
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fell_too_far_behind_is_told_that_it_expired() {
    let (simulator, client) = begin();
    simulator.remember(3);
    let params = WatchParams::default().timeout(10);
    let mut events = maps(&client).watch(&params, &simulator.revision().to_string()).await.unwrap().boxed();
    for number in 0..4 {
        simulator.hand("user").create(&map(&format!("m{number}"), &json!({}))).unwrap();
    }
    assert_eq!(told(&events.next().await.unwrap().unwrap()), "error 410");
}

#[tokio::test(start_paused = true)]
async fn forgetting_what_was_seen_does_not_disturb_who_saw_it() {
    let (simulator, client) = begin();
    let user = simulator.hand("user");
    let params = WatchParams::default().timeout(10).disable_bookmarks();
    let mut events = maps(&client).watch(&params, &simulator.revision().to_string()).await.unwrap().boxed();
    user.create(&map("one", &json!({}))).unwrap();
    assert_eq!(told(&events.next().await.unwrap().unwrap()), "added one");
    user.create(&crate::support::cluster("one")).unwrap();
    simulator.compact();
    user.create(&map("two", &json!({}))).unwrap();
    assert_eq!(told(&events.next().await.unwrap().unwrap()), "added two");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_lists_watches_and_begins_anew_when_it_expired() {
    let (simulator, client) = begin();
    let user = simulator.hand("user");
    user.create(&map("one", &json!({}))).unwrap();
    let config = watcher::Config::default().page_size(1).timeout(20);
    let mut objects = pin!(watcher(maps(&client), config).default_backoff().applied_objects());
    let next = objects.next().await.unwrap().unwrap();
    assert_eq!(next.name_any(), "one");
    user.create(&map("two", &json!({}))).unwrap();
    assert_eq!(objects.next().await.unwrap().unwrap().name_any(), "two");
    simulator.remember(1);
    user.create(&map("three", &json!({}))).unwrap();
    user.create(&map("four", &json!({}))).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 4 {
        match objects.next().await.unwrap() {
            Ok(map) => seen.push(map.name_any()),
            Err(error) => {
                assert!(
                    error.to_string().contains("410") || error.to_string().contains("too old"),
                    "{error}"
                );
            }
        }
    }
    assert_eq!(seen, ["four", "one", "three", "two"]);
}
