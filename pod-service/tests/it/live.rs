//! Settings that change while a pod runs.

use std::{fs, path::Path, sync::Arc, time::Duration};

use fundbond_pod_service::{LiveSettings, PodService, RunError, Settings};
use fundbond_store::MemoryStore;
use tokio::time::timeout;

use crate::client::{TestPod, config, settings, within};

/// Twenty heartbeats: a pod whose heartbeats are to stop has stopped by then.
const QUIET: Duration = Duration::from_secs(2);

/// Writes as whoever replaces a file: nobody sees half of it.
fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// Waits until so many edits came to that.
async fn edits(pod: &TestPod, outcome: &str, count: usize) {
    let line = format!("fund_live_settings_changes_total{{outcome=\"{outcome}\"}} {count}");
    within(&line, async {
        while !pod.metrics().await.contains(&line) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn is_shed(pod: &TestPod, connection: &str) -> bool {
    let mut stream = pod.open(connection, &[], None).await;
    stream.next().await.is_none()
}

#[tokio::test]
async fn an_edit_counts_at_once_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.yaml");
    write(&path, "maxStreams: 1\nheartbeat: {initialDelay: 100ms, interval: 100ms}\n");
    let config = fundbond_pod_service::Config { live_settings: Some(path.clone()), ..config(settings()) };
    let pod = TestPod::of(config, Arc::new(MemoryStore::new())).await;
    let mut stream = pod.listen("first", &[]).await;
    assert_eq!(stream.next().await.unwrap().name, "HEARTBEAT");
    assert!(is_shed(&pod, "second").await, "the file counts before the flags");

    write(&path, "maxStreams: many\n");
    edits(&pod, "refused", 1).await;
    assert!(is_shed(&pod, "second").await);
    fs::remove_file(&path).unwrap();
    edits(&pod, "refused", 2).await;
    assert!(is_shed(&pod, "second").await);

    write(&path, "heartbeat: {interval: 30m}\n");
    edits(&pod, "applied", 1).await;
    assert!(!is_shed(&pod, "second").await, "what the file says no more is as the flags have it");
    within("the open stream to have no more heartbeats", async {
        while timeout(QUIET, stream.next()).await.is_ok() {}
    })
    .await;
    pod.stop().await;
}

#[tokio::test]
async fn a_pod_does_not_start_on_settings_that_it_cannot_follow() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.yaml");
    let start = async || {
        let config = fundbond_pod_service::Config { live_settings: Some(path.clone()), ..config(settings()) };
        let error = PodService::bind(config, Arc::new(MemoryStore::new())).await.unwrap_err();
        assert!(matches!(error, RunError::Live(_)));
        fundbond_service_runtime::exit::chain(&error)
    };
    assert!(start().await.contains("settings.yaml"));
    write(&path, "maxStreamAge: 0s");
    let error = start().await;
    assert!(error.contains("maxStreamAge") && error.contains("longer than nothing"), "{error}");
}

#[test]
fn what_every_pod_does_is_what_the_flags_say() {
    assert_eq!(Settings::default().live, LiveSettings::USUAL);
}
