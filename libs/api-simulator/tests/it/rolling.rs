//! Deployments that are rolled out.

use std::time::Duration;

use fundbond_api_simulator::{Hand, Simulator};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use serde_json::{Value, json};

use crate::support::{NAMESPACE, begin, deployment, typed};

fn made(simulator: &Simulator, replicas: u32) -> Hand {
    let user = simulator.hand("user");
    let mut object = deployment("a");
    object["spec"]["replicas"] = replicas.into();
    user.create(&typed::<Deployment>(object)).unwrap();
    user
}

fn status(user: &Hand) -> DeploymentStatus {
    user.get::<Deployment>(NAMESPACE, "pods").unwrap().status.unwrap_or_default()
}

/// Replicas: all, updated, ready.
fn counts(user: &Hand) -> (i32, i32, i32) {
    let status = status(user);
    let of = |count: Option<i32>| count.unwrap_or_default();
    (of(status.replicas), of(status.updated_replicas), of(status.ready_replicas))
}

fn reasons(user: &Hand) -> Vec<String> {
    let conditions = status(user).conditions.unwrap_or_default();
    conditions
        .into_iter()
        .map(|condition| format!("{}={} {}", condition.type_, condition.status, condition.reason.unwrap()))
        .collect()
}

async fn after(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await; // sleep-ok: paused time, the controller's
}

#[tokio::test(start_paused = true)]
async fn a_deployment_is_noticed_then_ready() {
    let (simulator, _client) = begin();
    let user = made(&simulator, 2);
    assert_eq!(status(&user).observed_generation, None);
    after(100).await;
    assert_eq!(status(&user).observed_generation, Some(1));
    assert_eq!(counts(&user), (2, 1, 0));
    assert_eq!(
        reasons(&user),
        ["Available=False MinimumReplicasUnavailable", "Progressing=True ReplicaSetUpdated"]
    );
    after(3_000).await;
    assert_eq!(counts(&user), (2, 2, 2));
    assert_eq!(
        reasons(&user),
        ["Available=True MinimumReplicasAvailable", "Progressing=True NewReplicaSetAvailable"]
    );
    let object: Deployment = user.get(NAMESPACE, "pods").unwrap();
    assert_eq!(object.metadata.generation, Some(1), "its annotation raises nothing");
    assert_eq!(object.metadata.annotations.unwrap()["deployment.kubernetes.io/revision"], "1");
    let revision = simulator.revision();
    after(3_600_000).await;
    assert_eq!(simulator.revision(), revision, "then there is peace");
}

#[tokio::test(start_paused = true)]
async fn another_image_is_rolled_out_while_the_old_pods_serve() {
    let (simulator, _client) = begin();
    let user = made(&simulator, 2);
    after(5_000).await;
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "pod", "image": "b"}]}}}});
    user.merge::<Deployment>(NAMESPACE, "pods", &image).unwrap();
    after(100).await;
    assert_eq!((counts(&user), status(&user).observed_generation), ((2, 1, 2), Some(2)));
    after(3_000).await;
    assert_eq!(counts(&user), (2, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn more_replicas_come_later_and_fewer_at_once() {
    let (simulator, _client) = begin();
    let user = made(&simulator, 2);
    after(5_000).await;
    user.merge::<Deployment>(NAMESPACE, "pods", &json!({"spec": {"replicas": 4}})).unwrap();
    after(100).await;
    assert_eq!(counts(&user), (4, 2, 2));
    after(3_000).await;
    assert_eq!(counts(&user), (4, 4, 4));
    user.merge::<Deployment>(NAMESPACE, "pods", &json!({"spec": {"replicas": 1}})).unwrap();
    after(100).await;
    assert_eq!(counts(&user), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn pods_that_never_become_ready_let_the_deadline_pass() {
    let (simulator, _client) = begin();
    simulator.configure(|settings| {
        settings.never_ready.insert("funds/pods".to_owned());
    });
    let user = made(&simulator, 2);
    after(590_000).await;
    assert_eq!(counts(&user), (2, 1, 0));
    after(20_000).await;
    assert_eq!(reasons(&user)[1], "Progressing=False ProgressDeadlineExceeded");
}

#[tokio::test(start_paused = true)]
async fn without_a_controller_a_deployment_has_no_status() {
    let (simulator, _client) = begin();
    simulator.configure(|settings| settings.rollouts = None);
    let user = made(&simulator, 2);
    after(10_000).await;
    let object: Value = serde_json::to_value(status(&user)).unwrap();
    assert_eq!(object, json!({}));
}
