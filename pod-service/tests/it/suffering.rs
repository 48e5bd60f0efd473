//! A pod whose store forgets, goes deaf, or declares it dead.

use std::sync::Arc;

use fundbond_lease::Token;
use fundbond_protocol::{ConnectionId, PodId};
use fundbond_store::{
    Forgotten, Housekeeping as _, MemoryStore, Order, Ordered, Registry as _, Swept, memory::Restart,
};

use crate::client::{TestPod, settings, task_event, within};

async fn pod() -> (TestPod, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    (TestPod::with(settings(), store.clone()).await, store)
}

#[tokio::test]
async fn a_store_that_restarted_is_told_as_reset_with_the_states_it_kept() {
    let (pod, store) = pod().await;
    let mut stream = pod.open("c", &[], None).await;
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
    pod.start_steps("t", "c", 2, 400).await;
    assert_eq!(stream.next_said().await.unwrap().name, "PROCESSING");
    store.restart(Restart::Keep);
    let reset = stream.next_said().await.unwrap();
    assert_eq!(reset.name, "RESET");
    assert_eq!(task_event(&reset).tasks.unwrap()[0].status.as_str(), "PROCESSING");
    let names: Vec<String> = stream.rest().await.into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["SUBTASK_COMPLETED", "SUBTASK_COMPLETED", "COMPLETED"]);
}

#[tokio::test]
async fn a_store_that_lost_everything_is_told_as_reset_and_the_task_still_ends_once() {
    let (pod, store) = pod().await;
    let mut stream = pod.open("c", &[], None).await;
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
    pod.start_steps("t", "c", 2, 400).await;
    assert_eq!(stream.next_said().await.unwrap().name, "PROCESSING");
    store.restart(Restart::LoseEverything);
    let names: Vec<String> = stream.rest().await.into_iter().map(|e| e.name).collect();
    assert_eq!(names[0], "RESET");
    assert_eq!(names.iter().filter(|n| *n == "COMPLETED").count(), 1, "{names:?}");
    assert_eq!(names.last().unwrap(), "COMPLETED");
}

#[tokio::test]
async fn messages_that_were_lost_are_read_from_the_log() {
    let (pod, store) = pod().await;
    let mut stream = pod.open("c", &[], None).await;
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
    pod.start_steps("t", "c", 40, 5).await;
    let mut names = Vec::new();
    while let Some(event) = stream.next_said().await {
        if names.len() % 10 == 3 {
            let (holder, _) = store.holder(&ConnectionId::parse("c").unwrap()).await.unwrap().unwrap();
            store.cut(&holder);
        }
        names.push((event.id.split_once('.').unwrap().1.parse::<usize>().unwrap(), event.name));
    }
    assert_eq!(names.len(), 42);
    assert!(names.iter().enumerate().all(|(index, (offset, _))| *offset == index + 1), "{names:?}");
}

#[tokio::test]
async fn a_pod_that_was_declared_dead_goes_on_as_somebody_else() {
    let (pod, store) = pod().await;
    let connection = ConnectionId::parse("c").unwrap();
    let mut stream = pod.open("c", &[], None).await;
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED");
    let (old, _) = store.holder(&connection).await.unwrap().unwrap();
    // No health and a grave in one breath, before the pod can say that it lives.
    store.restart(Restart::LoseEverything);
    assert!(store.bury(&old).await.unwrap());
    // Any open finds out; the older stream is re-asserted under the new id.
    let mut other = pod.open("other", &[], None).await;
    assert_eq!(other.next_said().await.unwrap().name, "CONNECTED");
    let new = next_holder(&store, &connection, &old).await;
    assert_eq!(new.display_id(), old.display_id());
    pod.start_steps("t", "c", 1, 0).await;
    assert_eq!(stream.rest().await.last().unwrap().name, "COMPLETED");
}

/// The pod that holds a stream, once that is another than `old`.
async fn next_holder(store: &MemoryStore, connection: &ConnectionId, old: &PodId) -> PodId {
    within("the re-assertion", async {
        loop {
            match store.holder(connection).await.unwrap() {
                Some((holder, _)) if holder != *old => return holder,
                _ => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_pod_that_was_asleep_while_it_was_swept_keeps_its_streams() {
    let (pod, store) = pod().await;
    let connection = ConnectionId::parse("c").unwrap();
    let mut stream = pod.listen("c", &[]).await;
    let (old, cluster) = store.holder(&connection).await.unwrap().unwrap();
    // All of it in one breath: the pod cannot say anything meanwhile.
    store.silence(&old);
    assert!(store.bury(&old).await.unwrap());
    let order = Order { cluster, token: Token(1) };
    assert_eq!(
        store.sweep(&order, &old, 100).await.unwrap(),
        Ordered::Done(Swept::Some { deleted: 1, left: 0 })
    );
    assert_eq!(store.forget(&order, &old).await.unwrap(), Ordered::Done(Forgotten::Done));
    // Any request finds the grave, and what was held is said again under the next name.
    pod.listen("other", &[]).await;
    let new = next_holder(&store, &connection, &old).await;
    assert_eq!(new.display_id(), old.display_id());
    pod.start_steps("t", "c", 1, 0).await;
    let names: Vec<String> = stream.rest().await.into_iter().map(|event| event.name).collect();
    assert!(!names.iter().any(|name| name == "REPLACED"), "nobody took it: {names:?}");
    assert_eq!(names.last().unwrap(), "COMPLETED");
}
