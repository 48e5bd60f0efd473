//! What dead pods left, and how it goes without touching what is alive.

use std::time::Duration;

use fundbond_lease::Token;
use fundbond_store::{
    Asserted, Buried, FENCE, Forgotten, NODE_TIMEOUT, NodeSeen, Nodes, Order, Ordered, Outcome, RETENTION,
    StraySwept, Swept,
};

use crate::scene::{Loss, Scene, at, cluster, holder, pod_id};

pub(crate) fn order(token: u64) -> Order {
    Order { cluster: cluster("k"), token: Token(token) }
}

async fn nodes(scene: &Scene) -> Nodes {
    let mut nodes = scene.store.nodes(&cluster("k")).await.unwrap();
    nodes.nodes.sort_by(|a, b| a.pod.cmp(&b.pod));
    nodes
}

/// Each node, short: `a alive 2`, `b dead 1`, `c buried 0`.
async fn census(scene: &Scene) -> Vec<String> {
    let standing = |node: &NodeSeen| match (node.health_age, node.buried) {
        (Some(_), false) => "alive",
        (None, false) => "dead",
        (None, true) => "buried",
        (Some(_), true) => "undead",
    };
    let nodes = nodes(scene).await.nodes;
    nodes.iter().map(|node| format!("{} {} {}", node.pod, standing(node), node.streams)).collect()
}

async fn bury(scene: &Scene, token: u64, pod: &str) -> Ordered<Vec<Buried>> {
    scene.store.bury_nodes(&order(token), &[pod_id(pod)]).await.unwrap()
}

async fn sweep(scene: &Scene, token: u64, pod: &str, limit: usize) -> Ordered<Swept> {
    scene.store.sweep(&order(token), &pod_id(pod), limit).await.unwrap()
}

async fn forget(scene: &Scene, token: u64, pod: &str) -> Ordered<Forgotten> {
    scene.store.forget(&order(token), &pod_id(pod)).await.unwrap()
}

fn swept(deleted: u64, left: u64) -> Ordered<Swept> {
    Ordered::Done(Swept::Some { deleted, left })
}

/// Buries one pod, which must be dead for it.
async fn buried(scene: &Scene, token: u64, pod: &str) {
    assert_eq!(bury(scene, token, pod).await, Ordered::Done(vec![Buried::Dead]));
}

pub(crate) async fn the_nodes_of_a_cluster_are_seen_with_what_they_hold(scene: &Scene) {
    assert_eq!(census(scene).await, <[String; 0]>::default());
    let (one, two) = (scene.pod("a").await, scene.pod("b").await);
    scene.store.heartbeat(&pod_id("x"), &cluster("other")).await.unwrap();
    scene.open(&one, "c1", &[]).await;
    scene.open(&one, "c2", &[]).await;
    scene.open(&two, "c2", &[]).await;
    assert_eq!(census(scene).await, ["a alive 1", "b alive 1"]);
    scene.fixture.advance(NODE_TIMEOUT / 2).await;
    scene.heartbeat(&two).await;
    let seen = nodes(scene).await.nodes;
    let age = |index: usize| seen[index].health_age.unwrap();
    assert!(age(0) >= NODE_TIMEOUT / 2 && age(1) < NODE_TIMEOUT / 4, "{seen:?}");
    scene.fixture.advance(NODE_TIMEOUT / 2).await;
    assert_eq!(census(scene).await, ["a dead 1", "b alive 1"]);
    buried(scene, 1, "a").await;
    assert_eq!(census(scene).await, ["a buried 1", "b alive 1"]);
    scene.store.leave(&two, &cluster("k")).await.unwrap();
    assert_eq!(census(scene).await, ["a buried 1"]);
}

pub(crate) async fn a_cluster_remembers_its_dead_however_long_nobody_lives(scene: &Scene) {
    scene.pod("a").await;
    scene.fixture.advance(RETENTION * 3).await;
    scene.pod("b").await;
    assert_eq!(census(scene).await, ["a dead 0", "b alive 0"]);
}

pub(crate) async fn a_swept_pod_leaves_nothing(scene: &Scene) {
    let (dead, other) = (scene.pod("a").await, scene.pod("b").await);
    for stream in ["c1", "c2", "c3", "c4"] {
        scene.open(&dead, stream, &["t"]).await;
    }
    scene.open(&other, "c4", &[]).await;
    scene.fixture.advance(NODE_TIMEOUT).await;
    scene.heartbeat(&other).await;
    buried(scene, 1, "a").await;
    assert_eq!(forget(scene, 1, "a").await, Ordered::Done(Forgotten::Remains));
    assert_eq!(sweep(scene, 1, "a", 2).await, swept(2, 1));
    assert_eq!(sweep(scene, 1, "a", 2).await, swept(1, 0));
    assert_eq!(sweep(scene, 1, "a", 2).await, swept(0, 0));
    for stream in ["c1", "c2", "c3"] {
        assert_eq!(scene.holder_of(stream).await, None);
    }
    assert_eq!(scene.holder_of("c4").await, Some(other));
    assert_eq!(forget(scene, 1, "a").await, Ordered::Done(Forgotten::Done));
    assert_eq!(forget(scene, 1, "a").await, Ordered::Done(Forgotten::Done), "its answer may be lost");
    assert_eq!(census(scene).await, ["b alive 1"]);
}

pub(crate) async fn only_a_buried_pod_is_swept_and_forgotten(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.open(&pod, "c", &[]).await;
    assert_eq!(bury(scene, 1, "a").await, Ordered::Done(vec![Buried::Alive]));
    assert_eq!(sweep(scene, 1, "a", 9).await, Ordered::Done(Swept::NotBuried));
    assert_eq!(forget(scene, 1, "a").await, Ordered::Done(Forgotten::NotBuried));
    scene.fixture.advance(NODE_TIMEOUT).await;
    assert_eq!(sweep(scene, 1, "a", 9).await, Ordered::Done(Swept::NotBuried), "not even without health");
    assert_eq!(scene.holder_of("c").await, Some(pod));
}

pub(crate) async fn several_pods_are_buried_at_once_and_each_is_judged_alone(scene: &Scene) {
    for pod in ["a", "b", "c"] {
        scene.pod(pod).await;
    }
    scene.fixture.advance(NODE_TIMEOUT).await;
    scene.pod("b").await;
    let pods = ["a", "b", "c"].map(pod_id);
    let dead = scene.store.bury_nodes(&order(1), &pods).await.unwrap();
    assert_eq!(dead, Ordered::Done(vec![Buried::Dead, Buried::Alive, Buried::Dead]));
    assert_eq!(scene.store.bury_nodes(&order(1), &[]).await.unwrap(), Ordered::Done(Vec::new()));
}

pub(crate) async fn an_order_is_refused_once_somebody_led_later(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.open(&pod, "c", &[]).await;
    scene.fixture.advance(NODE_TIMEOUT).await;
    buried(scene, 7, "a").await;
    assert_eq!(sweep(scene, 6, "a", 9).await, Ordered::Late);
    assert_eq!(bury(scene, 6, "a").await, Ordered::Late);
    assert_eq!(forget(scene, 6, "a").await, Ordered::Late);
    assert_eq!(scene.store.note_sweep(&order(6), "old").await.unwrap(), Ordered::Late);
    assert_eq!(scene.holder_of("c").await, Some(pod));
    let elsewhere = Order { cluster: cluster("other"), token: Token(1) };
    assert_eq!(
        scene.store.sweep(&elsewhere, &pod_id("z"), 9).await.unwrap(),
        Ordered::Done(Swept::NotBuried),
        "each cluster has its own leader"
    );
    assert_eq!(sweep(scene, 7, "a", 9).await, swept(1, 0));
    scene.fixture.advance(FENCE).await;
    assert_eq!(sweep(scene, 6, "a", 9).await, swept(0, 0), "nobody remembers for ever");
}

pub(crate) async fn a_leader_that_knows_better_overrules_a_token_from_elsewhere(scene: &Scene) {
    let store = &scene.store;
    let fence = async || store.fence(&cluster("k")).await.unwrap();
    assert_eq!(fence().await, None);
    assert!(!store.overrule(&order(3), Token(7)).await.unwrap(), "there is nothing to overrule");
    assert_eq!(fence().await, None);
    // As the clock of a Redis numbers leaders, and as a young Kubernetes does.
    let (old, new) = (1_795_000_000_000_000, 4_711);
    assert_eq!(store.note_sweep(&order(old), "").await.unwrap(), Ordered::Done(()));
    assert_eq!(store.note_sweep(&order(new), "").await.unwrap(), Ordered::Late);
    assert_eq!(fence().await, Some(Token(old)));
    assert!(!store.overrule(&order(new), Token(old - 1)).await.unwrap(), "that is not what stands there");
    assert_eq!(store.note_sweep(&order(new), "").await.unwrap(), Ordered::Late);
    assert!(store.overrule(&order(new), Token(old)).await.unwrap());
    assert_eq!(fence().await, Some(Token(new)));
    assert_eq!(store.note_sweep(&order(new), "").await.unwrap(), Ordered::Done(()));
    assert_eq!(
        store.note_sweep(&order(new - 1), "").await.unwrap(),
        Ordered::Late,
        "of its own kind it is the last"
    );
    assert_eq!(store.fence(&cluster("other")).await.unwrap(), None, "each cluster has its own");
    scene.fixture.advance(FENCE).await;
    assert_eq!(fence().await, None, "nobody remembers for ever");
}

pub(crate) async fn a_stream_of_a_pod_that_only_slept_is_taken_up_under_its_next_name(scene: &Scene) {
    let slept = scene.pod("pod-a~1").await;
    let stream = scene.open(&slept, "c", &["t"]).await;
    scene.fixture.advance(NODE_TIMEOUT).await;
    buried(scene, 1, "pod-a~1").await;
    assert_eq!(sweep(scene, 1, "pod-a~1", 9).await, swept(1, 0));
    let awake = scene.pod("pod-a~2").await;
    let position = at(&stream.reading.epoch, 0);
    let asserted = scene.reassert(&holder("c", &awake, &stream), position.clone(), &["t"]).await;
    assert!(matches!(asserted, Asserted::Held { end: 0, .. }), "{asserted:?}");
    assert_eq!(scene.holder_of("c").await, Some(awake.clone()));
    // Unless its client has gone elsewhere meanwhile.
    let other = scene.pod("pod-b~1").await;
    let taken = scene.resume(&other, "c", position.clone(), &[]).await;
    assert!(matches!(taken.reading.outcome, Outcome::Entries(_)));
    assert_eq!(scene.reassert(&holder("c", &awake, &stream), position, &["t"]).await, Asserted::Replaced);
}

pub(crate) async fn a_new_life_of_the_server_is_known_from_its_first_sight(scene: &Scene) {
    scene.pod("a").await;
    let first = nodes(scene).await;
    assert_eq!(first.stable, Duration::ZERO, "nothing is known of the time before");
    scene.open(&pod_id("a"), "c", &[]).await;
    let later = nodes(scene).await;
    assert_eq!(later.life, first.life);
    scene.fixture.restart(Loss::Nothing).await;
    let again = nodes(scene).await;
    assert_ne!(again.life, first.life);
    assert_eq!(again.stable, Duration::ZERO);
}

pub(crate) async fn the_note_of_a_sweep_is_read_with_the_nodes(scene: &Scene) {
    assert_eq!(nodes(scene).await.note, None);
    assert_eq!(scene.store.note_sweep(&order(1), "{\"a\":1}").await.unwrap(), Ordered::Done(()));
    assert_eq!(nodes(scene).await.note.as_deref(), Some("{\"a\":1}"));
    scene.fixture.restart(Loss::Nothing).await;
    assert_eq!(nodes(scene).await.note.as_deref(), Some("{\"a\":1}"), "as old as it is");
}

async fn strays(scene: &Scene) -> Vec<fundbond_store::Stray> {
    let (mut found, mut cursor) = (Vec::new(), 0);
    loop {
        let page = scene.store.strays(cursor, 3).await.unwrap();
        found.extend(page.strays);
        match page.next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    found.sort();
    found.dedup();
    found
}

/// `connection owner:cluster` of each.
async fn stray_list(scene: &Scene) -> Vec<String> {
    let found = strays(scene).await;
    found.iter().map(|stray| format!("{} {}:{}", stray.connection, stray.owner, stray.cluster)).collect()
}

pub(crate) async fn a_registration_of_nobody_is_found_and_swept(scene: &Scene) {
    let pod = scene.pod("a").await;
    for number in 0..20 {
        scene.open(&pod, &format!("c{number}"), &[]).await;
    }
    scene.fixture.plant("ghost", "pod-1", "cluster-1").await;
    scene.fixture.plant("spectre", "pod-1", "cluster-1").await;
    scene.fixture.plant("held", "a", "k").await;
    assert_eq!(stray_list(scene).await, ["ghost pod-1:cluster-1", "spectre pod-1:cluster-1"]);
    // A dead node of a cluster is not nobody, wherever that cluster is.
    scene.fixture.advance(NODE_TIMEOUT).await;
    assert_eq!(stray_list(scene).await.len(), 2);

    let found = strays(scene).await;
    let taker = scene.pod("b").await;
    scene.open(&taker, "spectre", &[]).await;
    assert_eq!(
        scene.store.sweep_strays(&order(1), &found).await.unwrap(),
        Ordered::Done(StraySwept::Deleted(1)),
        "somebody took the other"
    );
    assert_eq!(scene.holder_of("ghost").await, None);
    assert_eq!(scene.holder_of("spectre").await, Some(pod_id("b")));
    assert!(scene.store.bury(&pod_id("pod-1")).await.unwrap());
    assert_eq!(scene.store.sweep_strays(&order(0), &found).await.unwrap(), Ordered::Late);
}

pub(crate) async fn a_stream_of_a_user_is_swept_like_any_other(scene: &Scene) {
    scene.fixture.plant("user:maria", "pod-1", "cluster-1").await;
    assert_eq!(stray_list(scene).await, ["user:maria pod-1:cluster-1"]);
    let found = strays(scene).await;
    let deleted = scene.store.sweep_strays(&order(1), &found).await.unwrap();
    assert_eq!(deleted, Ordered::Done(StraySwept::Deleted(1)));
    assert_eq!(stray_list(scene).await, <[String; 0]>::default());
}

pub(crate) async fn a_stray_whose_owner_shows_up_is_nobodys_no_more(scene: &Scene) {
    scene.fixture.plant("ghost", "pod-1", "k").await;
    let found = strays(scene).await;
    assert_eq!(found.len(), 1);
    scene.pod("pod-1").await;
    assert_eq!(stray_list(scene).await, <[String; 0]>::default());
    let known = Ordered::Done(StraySwept::Known);
    assert_eq!(scene.store.sweep_strays(&order(1), &found).await.unwrap(), known);
    scene.fixture.advance(NODE_TIMEOUT).await;
    assert_eq!(scene.store.sweep_strays(&order(1), &found).await.unwrap(), known, "it is a node now");
    assert_eq!(scene.holder_of("ghost").await, Some(pod_id("pod-1")));
}
