//! Which pods live.

use fundbond_protocol::LastEventId;
use fundbond_store::{NODE_TIMEOUT, Node, RETENTION, Registered};

use crate::scene::{Scene, cluster, pod_id};

pub(crate) async fn a_pod_must_be_well_before_it_registers(scene: &Scene) {
    let pod = pod_id("a");
    assert_eq!(scene.register(&pod, "c", LastEventId::Start, &["t"]).await, Registered::NoHealth);
    let other = scene.pod("b").await;
    assert!(scene.open(&other, "c", &[]).await.tasks.is_empty(), "a refused stream attaches nothing");
}

pub(crate) async fn a_pod_lives_for_thirty_seconds_after_a_heartbeat(scene: &Scene) {
    let pod = scene.pod("a").await;
    for _ in 0..3 {
        scene.fixture.advance(NODE_TIMEOUT * 9 / 10).await;
        scene.open(&pod, "c", &[]).await;
        scene.heartbeat(&pod).await;
    }
    scene.fixture.advance(NODE_TIMEOUT).await;
    assert_eq!(scene.register(&pod, "c", LastEventId::Start, &[]).await, Registered::NoHealth);
    scene.heartbeat(&pod).await;
    scene.open(&pod, "c", &[]).await;
}

pub(crate) async fn a_pod_lives_for_as_long_as_its_last_word_says(scene: &Scene) {
    let pod = pod_id("a");
    for (lasts, after, age) in
        [(NODE_TIMEOUT * 4, NODE_TIMEOUT * 3, true), (NODE_TIMEOUT / 3, NODE_TIMEOUT / 2, false)]
    {
        scene.store.lives(&pod, &cluster("k"), lasts).await.unwrap();
        scene.fixture.advance(after).await;
        let seen = scene.store.nodes(&cluster("k")).await.unwrap().nodes;
        assert_eq!(
            seen[0].health_age.is_some_and(|age| age >= after && age < after * 2),
            age,
            "{lasts:?} {seen:?}"
        );
    }
}

pub(crate) async fn a_living_pod_cannot_be_buried(scene: &Scene) {
    let pod = scene.pod("a").await;
    assert!(!scene.store.bury(&pod).await.unwrap());
    scene.heartbeat(&pod).await;
}

pub(crate) async fn death_is_permanent(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.fixture.advance(NODE_TIMEOUT).await;
    assert!(scene.store.bury(&pod).await.unwrap());
    assert!(scene.store.bury(&pod).await.unwrap(), "it is dead now, whoever buried it");
    for _ in 0..2 {
        assert_eq!(scene.store.heartbeat(&pod, &cluster("k")).await.unwrap(), Node::Buried);
        assert_eq!(scene.register(&pod, "c", LastEventId::Start, &[]).await, Registered::Buried);
        scene.fixture.advance(RETENTION).await;
    }
}

pub(crate) async fn a_pod_that_leaves_holds_nothing(scene: &Scene) {
    let (pod, other) = (scene.pod("a").await, scene.pod("b").await);
    scene.open(&pod, "c1", &[]).await;
    scene.open(&pod, "c2", &[]).await;
    scene.open(&other, "c2", &[]).await;
    scene.store.leave(&pod, &cluster("k")).await.unwrap();
    assert_eq!(scene.holder_of("c1").await, None);
    assert_eq!(scene.holder_of("c2").await, Some(other));
    assert_eq!(scene.register(&pod, "c1", LastEventId::Start, &[]).await, Registered::NoHealth);
}

pub(crate) async fn one_death_is_nobody_elses(scene: &Scene) {
    let restarted = scene.pod("pod-a-1~new").await;
    assert!(scene.store.bury(&pod_id("pod-a-1~old")).await.unwrap());
    scene.heartbeat(&restarted).await;
    scene.open(&restarted, "c", &[]).await;
}
