//! Accepting tasks, and what is known of them.

use std::sync::Arc;

use fundbond_protocol::Status;
use fundbond_store::{Submission, Submitted, TaskPage, TaskQuery};

use crate::scene::{Scene, cluster, connection, event, submission, task, told};

fn new(to: &str, stream_open: bool) -> Submitted {
    Submitted::New { connection: connection(to), stream_open }
}

fn repeated(to: &str, stream_open: bool) -> Submitted {
    Submitted::Repeated { connection: connection(to), stream_open }
}

fn all() -> TaskQuery {
    TaskQuery { cluster: cluster("k"), connection: None, status: None, limit: 100, cursor: None }
}

fn names(page: &TaskPage) -> Vec<&str> {
    page.items.iter().map(|record| record.task.as_str()).collect()
}

/// Every item of a query, page after page.
async fn list_all(scene: &Scene, mut query: TaskQuery) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let page = scene.store.list(&query).await.unwrap();
        found.extend(names(&page).into_iter().map(str::to_owned));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return found,
        }
    }
}

pub(crate) async fn a_task_is_accepted_once(scene: &Scene) {
    assert_eq!(scene.submit("t", "c").await, new("c", false));
    assert_eq!(scene.submit("t", "c").await, repeated("c", false));
    scene.emit("t", "end", "c").await;
    assert_eq!(scene.submit("t", "c").await, repeated("c", false));
}

pub(crate) async fn one_of_many_submissions_at_the_same_time_is_new(scene: &Scene) {
    let submissions: Vec<_> = (0..8)
        .map(|_| {
            let store = scene.store.clone();
            tokio::spawn(async move { store.submit(&submission("t", "c"), 10).await.unwrap() })
        })
        .collect();
    let mut answers = Vec::new();
    for submission in submissions {
        answers.push(submission.await.unwrap());
    }
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Submitted::New { .. })).count(), 1);
}

pub(crate) async fn the_same_id_with_another_request_is_refused(scene: &Scene) {
    scene.submit("t", "c").await;
    let other = Submission { fingerprint: [8; 32], ..submission("t", "c") };
    assert_eq!(scene.store.submit(&other, 10).await.unwrap(), Submitted::OtherRequest);
    assert_eq!(scene.submit("t", "c").await, repeated("c", false));
}

pub(crate) async fn the_same_id_in_another_cluster_is_refused(scene: &Scene) {
    scene.submit("t", "c").await;
    for fingerprint in [[7; 32], [8; 32]] {
        let other = Submission { cluster: cluster("other"), fingerprint, ..submission("t", "c") };
        assert_eq!(scene.store.submit(&other, 10).await.unwrap(), Submitted::OtherCluster(cluster("k")));
    }
    let elsewhere = TaskQuery { cluster: cluster("other"), ..all() };
    assert!(list_all(scene, elsewhere).await.is_empty());
}

pub(crate) async fn a_task_belongs_to_the_stream_that_asked_for_it_first(scene: &Scene) {
    let pod = scene.pod("a").await;
    scene.open(&pod, "page", &["t"]).await;
    assert_eq!(scene.submit("t", "c").await, new("page", true));
    let record = scene.store.task(&task("t")).await.unwrap().unwrap();
    assert_eq!(record.connection, connection("page"));
}

// Tells `no_told`.
pub(crate) async fn a_submission_says_whether_the_stream_is_open(scene: &Scene) {
    let pod = scene.pod("a").await;
    let stream = scene.open(&pod, "c", &[]).await;
    assert_eq!(scene.submit("t", "c").await, new("c", true));
    scene.close(&crate::scene::holder("c", &pod, &stream)).await;
    assert_eq!(scene.submit("t", "c").await, repeated("c", false));
}

pub(crate) async fn a_submission_tells_the_open_stream(scene: &Scene) {
    let pod = scene.pod("a").await;
    let mut ear = scene.listen(&pod).await;
    scene.open(&pod, "c", &[]).await;
    scene.submit("t", "c").await;
    scene.submit("t", "c").await;
    assert_eq!(told(&scene.heard(&mut ear).await, "c"), ["attached t"]);
}

pub(crate) async fn a_record_shows_the_latest_event(scene: &Scene) {
    scene.submit("t", "c").await;
    let accepted = scene.store.task(&task("t")).await.unwrap().unwrap();
    assert_eq!((accepted.latest, accepted.is_final), (None, false));
    assert_eq!((accepted.cluster, accepted.kind.as_str()), (cluster("k"), "portfolio-valuation"));
    assert_eq!(accepted.accepted_at, submission("t", "c").accepted_at);
    scene.run("t", 2, "c").await;
    let running = scene.store.task(&task("t")).await.unwrap().unwrap();
    assert_eq!((running.latest, running.is_final), (Some(event("t", "1", "c").json), false));
    scene.emit("t", "end", "c").await;
    let ended = scene.store.task(&task("t")).await.unwrap().unwrap();
    assert_eq!((ended.latest, ended.is_final), (Some(event("t", "end", "c").json), true));
}

pub(crate) async fn an_unknown_task_has_no_record(scene: &Scene) {
    let pod = scene.pod("a").await;
    assert_eq!(scene.store.task(&task("t")).await.unwrap(), None);
    scene.open(&pod, "c", &["t"]).await;
    assert_eq!(scene.store.task(&task("t")).await.unwrap(), None, "asked for, but never accepted");
    assert!(list_all(scene, all()).await.is_empty());
}

pub(crate) async fn tasks_are_listed_newest_first_in_stable_pages(scene: &Scene) {
    for name in ["t1", "t2", "t3", "t4", "t5"] {
        scene.submit(name, "c").await;
    }
    let first = scene.store.list(&TaskQuery { limit: 2, ..all() }).await.unwrap();
    assert_eq!(names(&first), ["t5", "t4"]);
    // What is accepted meanwhile comes before the first page and moves nothing.
    scene.submit("t6", "c").await;
    let second = scene.store.list(&TaskQuery { limit: 2, cursor: first.next, ..all() }).await.unwrap();
    assert_eq!(names(&second), ["t3", "t2"]);
    let third = scene.store.list(&TaskQuery { limit: 2, cursor: second.next, ..all() }).await.unwrap();
    assert_eq!((names(&third), third.next), (vec!["t1"], None));
    assert_eq!(list_all(scene, all()).await, ["t6", "t5", "t4", "t3", "t2", "t1"]);
    assert_eq!(list_all(scene, TaskQuery { limit: 6, ..all() }).await.len(), 6);
}

pub(crate) async fn tasks_are_listed_by_connection_and_status(scene: &Scene) {
    let pod = scene.pod("a").await;
    for (name, stream) in [("t1", "c1"), ("t2", "c2"), ("t3", "c1"), ("t4", "c1")] {
        scene.submit(name, stream).await;
    }
    scene.emit("t1", "end", "c1").await;
    scene.emit("t3", "0", "c1").await;
    let of = |name| TaskQuery { connection: Some(connection(name)), ..all() };
    let with = |status| TaskQuery { status: Some(status), ..all() };
    assert_eq!(list_all(scene, of("c1")).await, ["t4", "t3", "t1"]);
    assert_eq!(list_all(scene, with(Status::ACCEPTED)).await, ["t4", "t2"]);
    assert_eq!(list_all(scene, with(Status::PROCESSING)).await, ["t3"]);
    assert_eq!(list_all(scene, with(Status::COMPLETED)).await, ["t1"]);
    scene.open(&pod, "c2", &["t4"]).await;
    assert_eq!(list_all(scene, of("c2")).await, ["t4", "t2"], "where they belong now");
}

pub(crate) async fn a_filter_that_matches_little_is_followed_to_the_end(scene: &Scene) {
    scene.submit("needle", "c").await;
    for hay in 0..1_500 {
        scene.submit(&format!("hay-{hay}"), &format!("other-{hay}")).await;
    }
    let query = TaskQuery { connection: Some(connection("c")), limit: 1, ..all() };
    assert_eq!(list_all(scene, query).await, ["needle"]);
}

fn rows(values: &[&str]) -> Vec<Arc<str>> {
    values.iter().map(|value| Arc::from(*value)).collect()
}

pub(crate) async fn rows_are_kept_in_order_and_paged(scene: &Scene) {
    assert_eq!(scene.store.rows(&task("t"), 0, 10).await.unwrap(), None);
    scene.submit("t", "c").await;
    assert_eq!(scene.store.rows(&task("t"), 0, 10).await.unwrap(), None, "none yet");
    scene.store.put_rows(&task("t"), rows(&["1", "2", "3"])).await.unwrap();
    for (from, limit, want) in
        [(0, 10, &["1", "2", "3"][..]), (1, 1, &["2"]), (2, 5, &["3"]), (3, 5, &[]), (9, 1, &[])]
    {
        let page = scene.store.rows(&task("t"), from, limit).await.unwrap();
        assert_eq!(page, Some((rows(want), 3)), "{from} {limit}");
    }
}

pub(crate) async fn rows_are_replaced_as_a_whole(scene: &Scene) {
    scene.submit("t", "c").await;
    scene.store.put_rows(&task("t"), rows(&["1", "2", "3"])).await.unwrap();
    scene.store.put_rows(&task("t"), rows(&["4"])).await.unwrap();
    assert_eq!(scene.store.rows(&task("t"), 0, 10).await.unwrap(), Some((rows(&["4"]), 1)));
    scene.store.put_rows(&task("t"), Vec::new()).await.unwrap();
    assert_eq!(scene.store.rows(&task("t"), 0, 10).await.unwrap(), Some((Vec::new(), 0)), "an empty result");
}
