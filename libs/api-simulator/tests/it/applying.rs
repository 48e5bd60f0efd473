//! Server-side apply.

use fundbond_crds::FundCluster;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::support::{NAMESPACE, begin, cluster, clusters, deployment, deployments, maps, refusal, typed};

/// Applies a configuration, as `manager`.
async fn apply(client: &Client, manager: &str, configuration: &Value) -> Result<Deployment, kube::Error> {
    let api: Api<Deployment> = deployments(client);
    let name = configuration["metadata"]["name"].as_str().unwrap();
    api.patch(name, &PatchParams::apply(manager), &Patch::Apply(configuration)).await
}

fn env(deployment: &Deployment) -> Vec<(String, Option<String>)> {
    let spec = deployment.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    let env = spec.containers[0].env.clone().unwrap_or_default();
    env.into_iter().map(|variable| (variable.name, variable.value)).collect()
}

fn labels(deployment: &Deployment) -> Vec<String> {
    deployment.metadata.labels.clone().unwrap_or_default().into_keys().collect()
}

#[tokio::test(start_paused = true)]
async fn an_apply_makes_the_object_and_owns_what_it_says() {
    let (_simulator, client) = begin();
    let made = apply(&client, "operator", &deployment("a")).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    assert_eq!(made.spec.as_ref().unwrap().replicas, Some(1), "a default");
    let fields = &made.metadata.managed_fields.as_ref().unwrap()[0];
    assert_eq!((fields.manager.as_deref(), fields.operation.as_deref()), (Some("operator"), Some("Apply")));
    assert_eq!(
        fields.fields_v1.as_ref().unwrap().0,
        json!({"f:spec": {
            "f:selector": {},
            "f:template": {
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"pod\"}": {
                    ".": {}, "f:image": {}, "f:name": {},
                    "f:env": {
                        "k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}},
                        "k:{\"name\":\"B\"}": {".": {}, "f:name": {}, "f:value": {}},
                    },
                    "f:ports": {"k:{\"containerPort\":9090,\"protocol\":\"TCP\"}": {
                        ".": {}, "f:containerPort": {}, "f:name": {},
                    }},
                }}},
            },
        }})
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_apply_again_changes_nothing_however_late() {
    let (simulator, client) = begin();
    simulator.configure(|settings| settings.rollouts = None);
    let made = apply(&client, "operator", &deployment("a")).await.unwrap();
    let revision = simulator.revision();
    tokio::time::advance(std::time::Duration::from_secs(100)).await;
    assert_eq!(apply(&client, "operator", &deployment("a")).await.unwrap(), made);
    assert_eq!(simulator.revision(), revision);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_applied_goes_and_what_others_have_stays() {
    let (_simulator, client) = begin();
    let mut first = deployment("a");
    first["metadata"]["labels"] = json!({"mine": "1", "ours": "1"});
    apply(&client, "operator", &first).await.unwrap();
    let other = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "pods", "labels": {"ours": "1", "theirs": "1"}},
    });
    apply(&client, "other", &other).await.unwrap();
    let mut second = deployment("a");
    second["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "B", "value": "2"}]);
    let second = apply(&client, "operator", &second).await.unwrap();
    assert_eq!(labels(&second), ["ours", "theirs"]);
    assert_eq!(env(&second), [("B".to_owned(), Some("2".to_owned()))]);
    assert_eq!(second.metadata.generation, Some(2));
}

#[tokio::test(start_paused = true)]
async fn who_changes_what_another_applied_is_told_unless_it_is_by_force() {
    let (_simulator, client) = begin();
    apply(&client, "operator", &deployment("a")).await.unwrap();
    let mut other = deployment("b");
    other["metadata"]["labels"] = json!({"x": "y"});
    let told = refusal(apply(&client, "other", &other).await);
    assert_eq!((told.code, told.reason.as_str()), (409, "Conflict"));
    let path = ".spec.template.spec.containers[name=\"pod\"].image";
    assert_eq!(told.message, format!("Apply failed with 1 conflict: conflict with \"operator\": {path}"));
    let causes = told.details.unwrap().causes;
    assert_eq!((causes[0].reason.as_str(), causes[0].field.as_str()), ("FieldManagerConflict", path));

    let params = PatchParams::apply("other").force();
    deployments(&client).patch("pods", &params, &Patch::Apply(&other)).await.unwrap();
    let back = refusal(apply(&client, "operator", &deployment("a")).await);
    assert!(back.message.contains("conflict with \"other\""), "{}", back.message);
}

#[tokio::test(start_paused = true)]
async fn whoever_writes_a_field_owns_it_from_then_on_and_only_that_field() {
    let (simulator, client) = begin();
    apply(&client, "operator", &deployment("a")).await.unwrap();
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "pod", "image": "b",
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "ports": [{"name": "http", "containerPort": 9090, "protocol": "TCP"}]}]}}}});
    simulator.hand("kubectl").merge::<Deployment>(NAMESPACE, "pods", &patch).unwrap();
    let told = refusal(apply(&client, "operator", &deployment("a")).await);
    assert_eq!(told.details.unwrap().causes.len(), 1);
    assert!(
        told.message.contains("conflict with \"kubectl\" using apps/v1 at 2026-01-01T00:00:00Z"),
        "{}",
        told.message
    );
    let forced = deployments(&client)
        .patch("pods", &PatchParams::apply("operator").force(), &Patch::Apply(&deployment("a")))
        .await
        .unwrap();
    let owners = forced.metadata.managed_fields.unwrap();
    let kubectl = owners.iter().find(|owner| owner.manager.as_deref() == Some("kubectl"));
    let left = kubectl.map(|owner| owner.fields_v1.clone().unwrap().0.to_string()).unwrap_or_default();
    assert!(!left.contains("f:image\""), "{left}");
}

#[tokio::test(start_paused = true)]
async fn replicas_that_are_not_applied_belong_to_who_scales() {
    let (simulator, client) = begin();
    apply(&client, "operator", &deployment("a")).await.unwrap();
    simulator.hand("hpa").merge::<Deployment>(NAMESPACE, "pods", &json!({"spec": {"replicas": 5}})).unwrap();
    let after = apply(&client, "operator", &deployment("b")).await.unwrap();
    assert_eq!(after.spec.unwrap().replicas, Some(5));
}

#[tokio::test(start_paused = true)]
async fn replicas_that_are_no_longer_applied_fall_back_to_the_default() {
    let (_simulator, client) = begin();
    let mut three = deployment("a");
    three["spec"]["replicas"] = 3.into();
    apply(&client, "operator", &three).await.unwrap();
    let after = apply(&client, "operator", &deployment("a")).await.unwrap();
    assert_eq!(after.spec.unwrap().replicas, Some(1));
}

#[tokio::test(start_paused = true)]
async fn items_of_others_stay_where_they_stood() {
    let (_simulator, client) = begin();
    apply(&client, "operator", &deployment("a")).await.unwrap();
    let other = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "pods"},
        "spec": {"template": {"spec": {"containers": [
            {"name": "pod", "env": [{"name": "C", "value": "3"}]},
        ]}}},
    });
    let after = apply(&client, "other", &other).await.unwrap();
    let names: Vec<_> = env(&after).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["A", "B", "C"]);
    let again = apply(&client, "operator", &deployment("b")).await.unwrap();
    let names: Vec<_> = env(&again).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["A", "B", "C"]);
}

#[tokio::test(start_paused = true)]
async fn one_item_twice_is_refused() {
    let (_simulator, client) = begin();
    let mut twice = deployment("a");
    twice["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "A"}, {"name": "A"}]);
    assert_eq!(refusal(apply(&client, "operator", &twice).await).code, 500);
}

#[tokio::test(start_paused = true)]
async fn an_apply_over_another_version_or_another_object_is_refused() {
    let (simulator, client) = begin();
    let with = |name: &str, value: &str| {
        let mut configuration = deployment("b");
        configuration["metadata"][name] = value.into();
        configuration
    };
    assert_eq!(refusal(apply(&client, "operator", &with("uid", "other")).await).code, 409);
    apply(&client, "operator", &deployment("a")).await.unwrap();
    let now = simulator.revision().to_string();
    apply(&client, "operator", &with("resourceVersion", &now)).await.unwrap();
    assert_eq!(refusal(apply(&client, "operator", &with("resourceVersion", &now)).await).code, 409);
    assert_eq!(refusal(apply(&client, "operator", &with("uid", "other")).await).code, 422);
}

#[tokio::test(start_paused = true)]
async fn an_apply_without_a_manager_is_refused() {
    let (_simulator, client) = begin();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}});
    let nobody = PatchParams { field_manager: None, ..PatchParams::default() };
    assert_eq!(refusal(maps(&client).patch("one", &nobody, &Patch::Apply(&map)).await).code, 422);
}

#[tokio::test(start_paused = true)]
async fn a_status_is_applied_by_its_own_owner_and_touches_nothing_else() {
    let (simulator, client) = begin();
    simulator.hand("user").create(&cluster("one")).unwrap();
    let status = |value: &Value| {
        let mut object = serde_json::to_value(cluster("one")).unwrap();
        object["spec"]["paused"] = true.into();
        object["status"] = value.clone();
        object["metadata"] = json!({"name": "one"});
        object
    };
    let params = PatchParams::apply("operator");
    let conditions = |kinds: &[&str]| -> Value {
        let condition = |kind: &&str| {
            json!({"type": kind, "status": "True", "reason": "R", "message": "",
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        kinds.iter().map(condition).collect()
    };
    let first = status(&json!({"conditions": conditions(&["Ready", "Paused"]), "streams": 3}));
    let api: Api<FundCluster> = clusters(&client);
    api.patch_status("one", &params, &Patch::Apply(&first)).await.unwrap();
    let second = status(&json!({"conditions": conditions(&["Ready"])}));
    let revision = simulator.revision();
    api.patch_status("one", &params, &Patch::Apply(&second)).await.unwrap();
    assert_eq!(simulator.revision(), revision + 1);
    api.patch_status("one", &params, &Patch::Apply(&second)).await.unwrap();
    assert_eq!(simulator.revision(), revision + 1);
    let kept = &simulator.objects()["fundclusters.fundbond.dev/funds/one"];
    assert_eq!(kept["spec"]["paused"], false);
    assert_eq!(kept["status"]["conditions"], conditions(&["Ready"]));
    assert_eq!(kept["status"].get("streams"), None);
    let owner = kept["metadata"]["managedFields"].as_array().unwrap();
    let owner = owner.iter().find(|owner| owner["manager"] == "operator").unwrap();
    assert_eq!(owner["subresource"], "status");
    assert!(owner["fieldsV1"].get("f:spec").is_none());
    let _: FundCluster = typed(kept.clone());
}
