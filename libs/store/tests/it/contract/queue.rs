//! How accepted tasks come to be run, once, whoever dies.

use std::time::Duration;

use fundbond_lease::Token;
use fundbond_protocol::PodId;
use fundbond_store::{
    Attempt, Backlog, Claimed, Claims, Emitted, HandedOver, Held, Message, NODE_TIMEOUT, Order, Ordered,
    RETENTION, Submitted,
};

use crate::scene::{Scene, cluster, connection, event, pod_id, submission, task};

pub(super) async fn claim(scene: &Scene, pod: &PodId, most: usize) -> Vec<Claimed> {
    match scene.store.claim(pod, &cluster("k"), most).await.unwrap() {
        Claims::Tasks(tasks) => tasks,
        other => panic!("{other:?}"),
    }
}

/// Claims one task and expects it to be there.
pub(super) async fn claim_one(scene: &Scene, pod: &PodId) -> Claimed {
    claim(scene, pod, 1).await.pop().expect("a task waits")
}

pub(super) fn names(claims: &[Claimed]) -> Vec<&str> {
    claims.iter().map(|claimed| claimed.submission.task.as_str()).collect()
}

pub(super) async fn hold(scene: &Scene, pod: &PodId, runs: &[(&str, Attempt)]) -> (Vec<String>, Vec<String>) {
    let runs: Vec<_> = runs.iter().map(|(name, attempt)| (task(name), *attempt)).collect();
    match scene.store.hold(pod, &cluster("k"), &runs).await.unwrap() {
        Held::Claims { lost, forgotten } => {
            let names = |ids: Vec<fundbond_protocol::TaskId>| ids.iter().map(ToString::to_string).collect();
            (names(lost), names(forgotten))
        }
        other => panic!("{other:?}"),
    }
}

pub(super) fn nothing() -> (Vec<String>, Vec<String>) {
    (Vec::new(), Vec::new())
}

/// Lets every pod but `survivors` die, buries `dead` and hands over what it had.
pub(super) async fn bury(scene: &Scene, dead: &PodId, survivors: &[&PodId]) -> HandedOver {
    scene.fixture.advance(NODE_TIMEOUT).await;
    for pod in survivors {
        scene.heartbeat(pod).await;
    }
    assert!(scene.store.bury(dead).await.unwrap());
    hand_over(scene, 1, dead).await
}

async fn hand_over(scene: &Scene, token: u64, dead: &PodId) -> HandedOver {
    match order(scene, token, dead).await {
        Ordered::Done(done) => done,
        Ordered::Late => panic!("nobody led later"),
    }
}

async fn order(scene: &Scene, token: u64, dead: &PodId) -> Ordered<HandedOver> {
    let order = Order { cluster: cluster("k"), token: Token(token) };
    scene.store.hand_over(&order, dead).await.unwrap()
}

pub(super) async fn emit_by(scene: &Scene, of: &str, step: &str, attempt: Attempt) -> Emitted {
    scene.store.emit(&event(of, step, "c").by(attempt)).await.unwrap()
}

pub(crate) async fn an_accepted_task_is_claimed_with_all_it_needs(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.submit("t", "c").await;
    let claimed = claim_one(scene, &pod).await;
    assert_eq!(claimed.submission, submission("t", "c"));
    assert_eq!(claimed.deaths, 0);
    assert!(claim(scene, &pod, 1).await.is_empty(), "it is claimed once");
}

pub(crate) async fn a_task_is_claimed_for_the_connection_it_belongs_to_now(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.submit("t", "c").await;
    scene.open(&pod, "page", &["t"]).await;
    assert_eq!(claim_one(scene, &pod).await.submission.connection, connection("page"));
}

pub(crate) async fn the_oldest_task_is_claimed_first(scene: &Scene) {
    let pod = scene.pod("a").await;
    for name in ["t1", "t2", "t3", "t4"] {
        scene.submit(name, "c").await;
    }
    assert_eq!(names(&claim(scene, &pod, 2).await), ["t1", "t2"]);
    assert_eq!(names(&claim(scene, &pod, 5).await), ["t3", "t4"]);
}

pub(crate) async fn each_task_is_claimed_by_one_of_many_pods(scene: &Scene) {
    for number in 0..40 {
        scene.submit(&format!("t{number}"), "c").await;
    }
    let mut claims = Vec::new();
    for number in 0..8 {
        let (store, pod) = (scene.store.clone(), scene.pod(&format!("p{number}")).await);
        claims.push(tokio::spawn(async move { store.claim(&pod, &cluster("k"), 7).await.unwrap() }));
    }
    let mut all = Vec::new();
    for answer in claims {
        let Claims::Tasks(tasks) = answer.await.unwrap() else { panic!("every pod is well") };
        assert!(tasks.len() <= 7);
        all.extend(tasks.into_iter().map(|claimed| claimed.submission.task));
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 40);
}

pub(crate) async fn tasks_of_another_cluster_are_not_claimed(scene: &Scene) {
    let pod = pod_id("a");
    scene.store.heartbeat(&pod, &cluster("other")).await.unwrap();
    scene.submit("t", "c").await;
    let claims = scene.store.claim(&pod, &cluster("other"), 5).await.unwrap();
    assert_eq!(claims, Claims::Tasks(Vec::new()));
}

// Tells `claim_unasked`.
pub(crate) async fn a_pod_that_is_not_well_claims_nothing(scene: &Scene) {
    scene.submit("t", "c").await;
    let pod = pod_id("a");
    let here = cluster("k");
    let ask = || scene.store.claim(&pod, &here, 1);
    assert_eq!(ask().await.unwrap(), Claims::NoHealth);
    assert_eq!(scene.store.hold(&pod, &cluster("k"), &[]).await.unwrap(), Held::NoHealth);
    scene.store.bury(&pod).await.unwrap();
    assert_eq!(ask().await.unwrap(), Claims::Buried);
    assert_eq!(scene.store.hold(&pod, &cluster("k"), &[]).await.unwrap(), Held::Buried);
    assert_eq!(names(&claim(scene, &scene.pod("b").await, 1).await), ["t"]);
}

pub(crate) async fn more_tasks_than_may_wait_are_refused(scene: &Scene) {
    let pod = scene.pod("a").await;
    let submit = |name: &'static str| {
        let submission = submission(name, "c");
        async move { scene.store.submit(&submission, 2).await.unwrap() }
    };
    assert!(matches!(submit("t1").await, Submitted::New { .. }));
    assert!(matches!(submit("t2").await, Submitted::New { .. }));
    assert_eq!(submit("t3").await, Submitted::Full);
    assert_eq!(scene.store.task(&task("t3")).await.unwrap(), None, "it was not accepted");
    assert!(matches!(submit("t1").await, Submitted::Repeated { .. }), "what waits already is not refused");
    claim_one(scene, &pod).await;
    assert!(matches!(submit("t3").await, Submitted::New { .. }));
}

pub(crate) async fn a_claim_tells_the_pod_that_accepted_the_task(scene: &Scene) {
    let (acceptor, runner) = (scene.pod("acceptor").await, scene.pod("a").await);
    let mut ear = scene.listen(&acceptor).await;
    scene.submit("t", "c").await;
    claim_one(scene, &runner).await;
    assert!(scene.heard(&mut ear).await.contains(&Message::Claimed { task: task("t") }));
}

fn wakes(heard: &[Message]) -> usize {
    heard.iter().filter(|message| **message == Message::Work).count()
}

pub(crate) async fn a_task_wakes_one_pod_with_room(scene: &Scene) {
    let pods = [scene.pod("a").await, scene.pod("b").await];
    let mut ears = [scene.listen(&pods[0]).await, scene.listen(&pods[1]).await];
    for pod in &pods {
        assert!(claim(scene, pod, 1).await.is_empty());
    }
    scene.submit("t1", "c").await;
    let first = [wakes(&scene.heard(&mut ears[0]).await), wakes(&scene.heard(&mut ears[1]).await)];
    assert_eq!(first[0] + first[1], 1, "one task wakes one pod");
    scene.submit("t2", "c").await;
    let second = [wakes(&scene.heard(&mut ears[0]).await), wakes(&scene.heard(&mut ears[1]).await)];
    assert_eq!([first[0] + second[0], first[1] + second[1]], [1, 1], "the next one wakes the other");
    // One that has all it can run is not woken.
    assert_eq!(claim(scene, &pods[0], 1).await.len(), 1);
    assert_eq!(claim(scene, &pods[1], 1).await.len(), 1);
    scene.submit("t3", "c").await;
    assert_eq!(wakes(&scene.heard(&mut ears[0]).await) + wakes(&scene.heard(&mut ears[1]).await), 0);
}

pub(crate) async fn the_pod_that_accepts_a_task_is_asked_first(scene: &Scene) {
    let (acceptor, other) = (scene.pod("acceptor").await, scene.pod("a").await);
    for pod in [&other, &acceptor] {
        assert!(claim(scene, pod, 1).await.is_empty());
    }
    let mut ear = scene.listen(&acceptor).await;
    scene.submit("t", "c").await;
    assert_eq!(wakes(&scene.heard(&mut ear).await), 1);
}

pub(crate) async fn a_pod_that_died_is_not_woken_in_place_of_one_that_lives(scene: &Scene) {
    let (dead, other) = (scene.pod("a").await, scene.pod("b").await);
    for pod in [&dead, &other] {
        assert!(claim(scene, pod, 1).await.is_empty());
    }
    scene.fixture.advance(NODE_TIMEOUT).await;
    scene.heartbeat(&other).await;
    let mut ear = scene.listen(&other).await;
    scene.submit("t", "c").await;
    assert_eq!(wakes(&scene.heard(&mut ear).await), 1);
}

pub(crate) async fn a_final_event_ends_the_claim_too(scene: &Scene) {
    let (pod, other) = (scene.pod("a").await, scene.pod("b").await);
    scene.submit("t", "c").await;
    let attempt = claim_one(scene, &pod).await.attempt;
    assert_eq!(emit_by(scene, "t", "end", attempt).await, Emitted::Logged);
    assert_eq!(scene.store.backlog(&cluster("k")).await.unwrap(), Backlog::default());
    assert_eq!(bury(scene, &pod, &[&other]).await, HandedOver::Done { tasks: 0, left: 0 });
    assert!(claim(scene, &other, 1).await.is_empty());
}

// Otherwise a pod that dies between the two takes the task with it.
// Tells `ack_early`.
pub(crate) async fn a_claim_lasts_until_the_final_event_is_logged(scene: &Scene) {
    let (pod, other) = (scene.pod("a").await, scene.pod("b").await);
    scene.submit("t", "c").await;
    let attempt = claim_one(scene, &pod).await.attempt;
    assert_eq!(emit_by(scene, "t", "0", attempt).await, Emitted::Logged);
    assert_eq!(bury(scene, &pod, &[&other]).await, HandedOver::Done { tasks: 1, left: 0 });
    assert_eq!(names(&claim(scene, &other, 1).await), ["t"]);
}

pub(crate) async fn a_task_that_ended_while_it_waited_is_never_claimed(scene: &Scene) {
    let pod = scene.pod("a").await;
    for name in ["t1", "t2", "t3"] {
        scene.submit(name, "c").await;
    }
    scene.store.end(&event("t1", "end", "c")).await.unwrap();
    scene.emit("t2", "end", "c").await;
    assert_eq!(scene.store.backlog(&cluster("k")).await.unwrap().waiting, 1);
    assert_eq!(names(&claim(scene, &pod, 3).await), ["t3"]);
}

// Tells `queue_append`.
pub(crate) async fn the_tasks_of_a_dead_pod_wait_for_others_before_newer_ones(scene: &Scene) {
    let (dead, other) = (scene.pod("a").await, scene.pod("b").await);
    for name in ["t1", "t2", "t3"] {
        scene.submit(name, "c").await;
    }
    assert_eq!(claim(scene, &dead, 2).await.len(), 2);
    assert_eq!(bury(scene, &dead, &[&other]).await, HandedOver::Done { tasks: 2, left: 0 });
    assert_eq!(hand_over(scene, 1, &dead).await, HandedOver::Done { tasks: 0, left: 0 }, "once");
    let claims = claim(scene, &other, 5).await;
    assert_eq!(names(&claims), ["t1", "t2", "t3"]);
    assert_eq!(claims.iter().map(|claimed| claimed.deaths).collect::<Vec<_>>(), [1, 1, 0]);
}

pub(crate) async fn many_tasks_are_handed_over_a_hundred_at_a_time(scene: &Scene) {
    let (dead, other) = (scene.pod("a").await, scene.pod("b").await);
    for number in 0..130 {
        scene.submit(&format!("t{number}"), "c").await;
    }
    assert_eq!(claim(scene, &dead, 200).await.len(), 130);
    assert_eq!(bury(scene, &dead, &[&other]).await, HandedOver::Done { tasks: 100, left: 30 });
    assert_eq!(hand_over(scene, 1, &dead).await, HandedOver::Done { tasks: 30, left: 0 });
    assert_eq!(claim(scene, &other, 200).await.len(), 130);
}

pub(crate) async fn deaths_are_counted_task_by_task(scene: &Scene) {
    let survivor = scene.pod("s").await;
    scene.submit("t", "c").await;
    for number in 0..3 {
        let pod = scene.pod(&format!("p{number}")).await;
        assert_eq!(claim_one(scene, &pod).await.deaths, number);
        bury(scene, &pod, &[&survivor]).await;
    }
    assert_eq!(claim_one(scene, &survivor).await.deaths, 3);
}

pub(crate) async fn nothing_is_taken_from_a_pod_that_lives(scene: &Scene) {
    let (pod, other) = (scene.pod("a").await, scene.pod("b").await);
    scene.submit("t", "c").await;
    claim_one(scene, &pod).await;
    assert_eq!(hand_over(scene, 1, &pod).await, HandedOver::NotBuried);
    // Not even where it is silent: first it is declared dead, then it cannot come back.
    scene.fixture.advance(NODE_TIMEOUT).await;
    assert_eq!(hand_over(scene, 1, &pod).await, HandedOver::NotBuried);
    scene.heartbeat(&other).await;
    assert!(claim(scene, &other, 1).await.is_empty());
}

pub(crate) async fn a_leader_of_the_past_hands_nothing_over(scene: &Scene) {
    let (dead, other) = (scene.pod("a").await, scene.pod("b").await);
    scene.submit("t", "c").await;
    claim_one(scene, &dead).await;
    scene.fixture.advance(NODE_TIMEOUT).await;
    scene.heartbeat(&other).await;
    scene.store.bury(&dead).await.unwrap();
    let elsewhere = pod_id("elsewhere");
    assert_eq!(hand_over(scene, 8, &elsewhere).await, HandedOver::NotBuried);
    assert_eq!(order(scene, 7, &dead).await, Ordered::Late);
    assert!(claim(scene, &other, 1).await.is_empty());
    assert_eq!(hand_over(scene, 8, &dead).await, HandedOver::Done { tasks: 1, left: 0 });
}

// Tells `attempt_none`.
pub(crate) async fn an_earlier_run_is_refused_once_a_later_one_has_begun(scene: &Scene) {
    let (paused, other) = (scene.pod("a").await, scene.pod("b").await);
    scene.submit("t", "c").await;
    let earlier = claim_one(scene, &paused).await.attempt;
    assert_eq!(emit_by(scene, "t", "0", earlier).await, Emitted::Logged);
    bury(scene, &paused, &[&other]).await;
    assert_eq!(emit_by(scene, "t", "1", earlier).await, Emitted::Logged, "nobody else has begun");
    let later = claim_one(scene, &other).await.attempt;
    assert!(later > earlier);
    assert_eq!(emit_by(scene, "t", "2", earlier).await, Emitted::Superseded);
    assert_eq!(emit_by(scene, "t", "end", earlier).await, Emitted::Superseded);
    for said in ["0", "1"] {
        assert_eq!(emit_by(scene, "t", said, later).await, Emitted::Duplicate, "nothing is said twice");
    }
    assert_eq!(emit_by(scene, "t", "2", later).await, Emitted::Logged);
    assert_eq!(emit_by(scene, "t", "end", later).await, Emitted::Logged);
    assert_eq!(emit_by(scene, "t", "3", earlier).await, Emitted::AfterFinal);
}

pub(crate) async fn a_task_given_back_waits_at_its_old_place(scene: &Scene) {
    let (pod, other) = (scene.pod("a").await, scene.pod("b").await);
    for name in ["t1", "t2"] {
        scene.submit(name, "c").await;
    }
    let first = claim_one(scene, &pod).await.attempt;
    let give = |attempt| {
        let runs = [(task("t1"), attempt)];
        let pod = pod.clone();
        async move { scene.store.give_back(&pod, &runs).await.unwrap() }
    };
    give(first).await;
    let claims = claim(scene, &other, 5).await;
    assert_eq!(names(&claims), ["t1", "t2"]);
    assert_eq!(claims[0].deaths, 0, "nobody died");
    // Said again, it takes nothing from the run that began since.
    give(first).await;
    give(claims[0].attempt).await;
    assert!(claim(scene, &other, 5).await.is_empty());
    assert_eq!(hold(scene, &other, &[("t1", claims[0].attempt), ("t2", claims[1].attempt)]).await, nothing());
}

pub(crate) async fn a_task_that_has_ended_is_not_given_back(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.submit("t", "c").await;
    let attempt = claim_one(scene, &pod).await.attempt;
    scene.store.end(&event("t", "end", "c")).await.unwrap();
    scene.store.give_back(&pod, &[(task("t"), attempt)]).await.unwrap();
    assert!(claim(scene, &pod, 1).await.is_empty());
}

// Tells `claim_unrepeated`.
pub(crate) async fn a_claim_whose_answer_was_lost_waits_again(scene: &Scene) {
    let (pod, other) = (scene.pod("a").await, scene.pod("b").await);
    for name in ["t1", "t2"] {
        scene.submit(name, "c").await;
    }
    let known = claim_one(scene, &pod).await.attempt;
    claim_one(scene, &pod).await;
    assert_eq!(hold(scene, &pod, &[("t1", known)]).await, nothing());
    let again = claim(scene, &other, 5).await;
    assert_eq!(names(&again), ["t2"]);
    assert_eq!(again[0].deaths, 0);
}

pub(crate) async fn a_run_goes_on_under_the_new_id_of_its_pod(scene: &Scene) {
    let (old, other) = (scene.pod("a~1").await, scene.pod("b").await);
    scene.submit("t", "c").await;
    let attempt = claim_one(scene, &old).await.attempt;
    scene.fixture.advance(NODE_TIMEOUT).await;
    scene.heartbeat(&other).await;
    scene.store.bury(&old).await.unwrap();
    let new = scene.pod("a~2").await;
    assert_eq!(hold(scene, &new, &[("t", attempt)]).await, nothing());
    assert_eq!(hand_over(scene, 1, &old).await, HandedOver::Done { tasks: 0, left: 0 });
    assert!(claim(scene, &other, 1).await.is_empty());
    assert_eq!(emit_by(scene, "t", "end", attempt).await, Emitted::Logged);
    assert_eq!(scene.store.backlog(&cluster("k")).await.unwrap(), Backlog::default());
}

pub(crate) async fn a_run_handed_over_goes_on_if_nobody_has_begun_another(scene: &Scene) {
    let (old, other) = (scene.pod("a~1").await, scene.pod("b").await);
    scene.submit("t", "c").await;
    let attempt = claim_one(scene, &old).await.attempt;
    bury(scene, &old, &[&other]).await;
    let new = scene.pod("a~2").await;
    assert_eq!(hold(scene, &new, &[("t", attempt)]).await, nothing());
    assert!(claim(scene, &other, 1).await.is_empty(), "it does not wait any more");
}

pub(crate) async fn a_run_is_told_that_its_task_is_lost(scene: &Scene) {
    let (old, other) = (scene.pod("a~1").await, scene.pod("b").await);
    for name in ["taken", "ended"] {
        scene.submit(name, "c").await;
    }
    let claims = claim(scene, &old, 2).await;
    bury(scene, &old, &[&other]).await;
    claim_one(scene, &other).await;
    scene.emit("ended", "end", "c").await;
    let new = scene.pod("a~2").await;
    let runs = [("taken", claims[0].attempt), ("ended", claims[1].attempt)];
    assert_eq!(hold(scene, &new, &runs).await.0, ["taken", "ended"]);
}

// Tells `queue_ttl`.
pub(crate) async fn an_accepted_task_lives_until_it_has_ended(scene: &Scene) {
    scene.submit("waits", "c").await;
    scene.submit("runs", "c").await;
    for _ in 0..3 {
        scene.fixture.advance(RETENTION / 2).await;
    }
    let pod = scene.pod("a").await;
    let claims = claim(scene, &pod, 5).await;
    assert_eq!(names(&claims), ["waits", "runs"]);
    assert_eq!(claims[0].submission.body, submission("waits", "c").body);
    scene.fixture.advance(RETENTION + Duration::from_hours(1)).await;
    assert_eq!(emit_by(scene, "runs", "end", claims[1].attempt).await, Emitted::Logged);
    scene.fixture.advance(RETENTION).await;
    assert_eq!(scene.store.task(&task("runs")).await.unwrap(), None, "then a day more");
    assert!(scene.store.task(&task("waits")).await.unwrap().is_some());
}

pub(crate) async fn a_pod_that_leaves_gives_back_what_it_runs(scene: &Scene) {
    let (pod, other) = (scene.pod("a").await, scene.pod("b").await);
    scene.submit("t", "c").await;
    claim_one(scene, &pod).await;
    scene.store.leave(&pod, &cluster("k")).await.unwrap();
    let claimed = claim_one(scene, &other).await;
    assert_eq!(claimed.deaths, 0);
}

pub(crate) async fn the_backlog_says_what_waits_and_what_runs(scene: &Scene) {
    let pod = scene.pod("a").await;
    let backlog = || async { scene.store.backlog(&cluster("k")).await.unwrap() };
    assert_eq!(backlog().await, Backlog::default());
    for name in ["t1", "t2", "t3"] {
        scene.submit(name, "c").await;
    }
    claim_one(scene, &pod).await;
    let now = backlog().await;
    assert_eq!((now.waiting, now.claimed), (2, 1));
    assert!(now.oldest.unwrap() < Duration::from_mins(1), "{now:?}");
}

pub(crate) async fn a_task_that_ended_before_it_was_accepted_is_not_run(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.open(&pod, "c", &["t"]).await;
    scene.emit("t", "end", "c").await;
    assert!(matches!(scene.submit("t", "c").await, Submitted::New { .. }));
    assert!(claim(scene, &pod, 1).await.is_empty());
    scene.fixture.advance(RETENTION).await;
    assert_eq!(scene.store.task(&task("t")).await.unwrap(), None);
}
