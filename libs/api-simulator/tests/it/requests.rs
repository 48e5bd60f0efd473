//! Making, reading, replacing, deleting.

use fundbond_api_simulator::{Outcome, Verb, rights};
use fundbond_crds::FundCluster;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::ConfigMap};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};

use crate::support::{NAMESPACE, begin, cluster, clusters, map, maps, refusal, typed};

#[tokio::test(start_paused = true)]
async fn what_is_made_is_read_back_with_all_that_only_the_server_says() {
    let (_simulator, client) = begin();
    let made = maps(&client).create(&PostParams::default(), &map("one", &json!({"a": "1"}))).await.unwrap();
    assert_eq!(made.uid().unwrap().len(), 36);
    assert_eq!(made.creation_timestamp().unwrap().0.to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(made.managed_fields()[0].manager.as_deref(), Some("unknown"));
    assert_eq!(maps(&client).get("one").await.unwrap(), made);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_given_once_and_the_server_completes_what_ends_openly() {
    let (_simulator, client) = begin();
    maps(&client).create(&PostParams::default(), &map("one", &json!({}))).await.unwrap();
    let again = refusal(maps(&client).create(&PostParams::default(), &map("one", &json!({}))).await);
    assert_eq!((again.code, again.reason.as_str()), (409, "AlreadyExists"));
    let open: ConfigMap = typed(json!({"metadata": {"generateName": "m-"}}));
    let some = maps(&client).create(&PostParams::default(), &open).await.unwrap();
    let other = maps(&client).create(&PostParams::default(), &open).await.unwrap();
    assert!(some.name_any().starts_with("m-") && some.name_any() != other.name_any());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_not_found() {
    let (_simulator, client) = begin();
    let absent = refusal(maps(&client).get("one").await);
    assert_eq!((absent.code, absent.reason.as_str()), (404, "NotFound"));
    assert_eq!(absent.message, "configmaps \"one\" not found");
    assert!(maps(&client).get_opt("one").await.unwrap().is_none());
    assert_eq!(refusal(maps(&client).delete("one", &DeleteParams::default()).await).code, 404);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_over_another_version_is_refused() {
    let (simulator, client) = begin();
    let first = maps(&client).create(&PostParams::default(), &map("one", &json!({"a": "1"}))).await.unwrap();
    simulator.hand("user").merge::<ConfigMap>(NAMESPACE, "one", &json!({"data": {"a": "2"}})).unwrap();
    let stale = refusal(maps(&client).replace("one", &PostParams::default(), &first).await);
    assert_eq!((stale.code, stale.reason.as_str()), (409, "Conflict"));
    let mut other = map("one", &json!({"a": "3"}));
    other.metadata.uid = Some("other".into());
    assert_eq!(refusal(maps(&client).replace("one", &PostParams::default(), &other).await).code, 409);
    let blind = map("one", &json!({"a": "3"}));
    let blind = maps(&client).replace("one", &PostParams::default(), &blind).await.unwrap();
    assert_eq!(blind.data.unwrap()["a"], "3");
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_made_by_replacing_it_and_never_replaced_blindly() {
    let (_simulator, client) = begin();
    let leases: Api<Lease> = Api::namespaced(client, NAMESPACE);
    let lease: Lease = typed(json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}));
    leases.replace("l", &PostParams::default(), &lease).await.unwrap();
    let blind = refusal(leases.replace("l", &PostParams::default(), &lease).await);
    assert_eq!((blind.code, blind.reason.as_str()), (422, "Invalid"));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_changes_nothing_is_no_write() {
    let (simulator, client) = begin();
    let api = maps(&client);
    let made = api.create(&PostParams::default(), &map("one", &json!({"a": "1"}))).await.unwrap();
    let revision = simulator.revision();
    tokio::time::advance(std::time::Duration::from_secs(90)).await;
    let same = api.replace("one", &PostParams::default(), &made).await.unwrap();
    let patched = Patch::Merge(json!({"data": {"a": "1"}}));
    let patched = api.patch("one", &PatchParams::default(), &patched).await.unwrap();
    assert_eq!((&same, &patched), (&made, &made));
    assert_eq!(simulator.revision(), revision);
    assert_eq!(simulator.trace().iter().filter(|entry| entry.changed).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_keeps_to_its_preconditions() {
    let (_simulator, client) = begin();
    let made = maps(&client).create(&PostParams::default(), &map("one", &json!({}))).await.unwrap();
    let wanted = |uid: &str, version: &str| DeleteParams {
        preconditions: Some(Preconditions { uid: Some(uid.into()), resource_version: Some(version.into()) }),
        ..DeleteParams::default()
    };
    let (uid, version) = (made.uid().unwrap(), made.resource_version().unwrap());
    assert_eq!(refusal(maps(&client).delete("one", &wanted("other", &version)).await).code, 409);
    assert_eq!(refusal(maps(&client).delete("one", &wanted(&uid, "1")).await).code, 409);
    maps(&client).delete("one", &wanted(&uid, &version)).await.unwrap();
    assert!(maps(&client).get_opt("one").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_holds_an_object_until_it_is_taken_out() {
    let (simulator, client) = begin();
    let mut held = map("one", &json!({}));
    held.metadata.finalizers = Some(vec!["fundbond.dev/x".into()]);
    maps(&client).create(&PostParams::default(), &held).await.unwrap();
    let waiting = maps(&client).delete("one", &DeleteParams::default()).await.unwrap();
    assert!(waiting.left().unwrap().metadata.deletion_timestamp.is_some());
    let revision = simulator.revision();
    assert!(maps(&client).delete("one", &DeleteParams::default()).await.unwrap().is_left());
    assert_eq!(simulator.revision(), revision, "it is being deleted already");
    let more = Patch::Merge(json!({"metadata": {"finalizers": ["fundbond.dev/x", "fundbond.dev/y"]}}));
    assert_eq!(refusal(maps(&client).patch("one", &PatchParams::default(), &more).await).code, 422);
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps(&client).patch("one", &PatchParams::default(), &none).await.unwrap();
    assert!(maps(&client).get_opt("one").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_list_of_many_pages_is_that_of_one_moment() {
    let (simulator, client) = begin();
    let user = simulator.hand("user");
    for number in 0..10 {
        user.create(&map(&format!("m{number}"), &json!({}))).unwrap();
    }
    let mut seen = Vec::new();
    let mut page = maps(&client).list(&ListParams::default().limit(4)).await.unwrap();
    assert_eq!(page.metadata.remaining_item_count, Some(6));
    // What happens in between is not in it.
    user.delete::<ConfigMap>(NAMESPACE, "m7").unwrap();
    user.create(&map("m55", &json!({}))).unwrap();
    user.merge::<ConfigMap>(NAMESPACE, "m8", &json!({"data": {"new": "1"}})).unwrap();
    let first = page.metadata.resource_version.clone();
    loop {
        assert_eq!(page.metadata.resource_version, first);
        assert!(page.items.iter().all(|map| map.data.clone().unwrap_or_default().is_empty()));
        seen.extend(page.items.iter().map(kube::ResourceExt::name_any));
        let Some(next) = page.metadata.continue_.filter(|next| !next.is_empty()) else { break };
        page = maps(&client).list(&ListParams::default().limit(4).continue_token(&next)).await.unwrap();
    }
    assert_eq!(seen, (0..10).map(|number| format!("m{number}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_goes_on_from_what_is_forgotten_has_expired() {
    let (simulator, client) = begin();
    for name in ["a", "b"] {
        simulator.hand("user").create(&map(name, &json!({}))).unwrap();
    }
    let page = maps(&client).list(&ListParams::default().limit(1)).await.unwrap();
    simulator.hand("user").create(&map("c", &json!({}))).unwrap();
    simulator.compact();
    let next = ListParams::default().limit(1).continue_token(&page.metadata.continue_.unwrap());
    assert_eq!(refusal(maps(&client).list(&next).await).code, 410);
}

#[tokio::test(start_paused = true)]
async fn lists_select_and_say_metadata_alone() {
    let (simulator, client) = begin();
    let user = simulator.hand("user");
    for (namespace, app) in [("one", "x"), ("two", "x"), ("two", "y")] {
        let labelled: ConfigMap =
            typed(json!({"metadata": {"name": app, "namespace": namespace, "labels": {"app": app}}}));
        user.create(&labelled).unwrap();
    }
    let all: Api<ConfigMap> = Api::all(client.clone());
    let chosen = all.list(&ListParams::default().labels("app=x")).await.unwrap();
    let places: Vec<_> = chosen.iter().map(|map| map.namespace().unwrap()).collect();
    assert_eq!(places, ["one", "two"]);
    let named = all.list_metadata(&ListParams::default().fields("metadata.name=y")).await.unwrap();
    assert_eq!(named.items[0].types.as_ref().unwrap().kind, "PartialObjectMetadata");
    assert_eq!(named.items[0].labels()["app"], "y");
}

#[tokio::test(start_paused = true)]
async fn a_custom_object_gets_its_defaults_and_loses_what_nobody_knows() {
    let (simulator, client) = begin();
    let made = clusters(&client).create(&PostParams::default(), &cluster("one")).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    let kept = &simulator.objects()["fundclusters.fundbond.dev/funds/one"];
    assert_eq!(kept["spec"]["pods"]["replicas"], 2);
    let unknown = Patch::Merge(json!({"spec": {"unknown": 1}}));
    clusters(&client).patch("one", &PatchParams::default(), &unknown).await.unwrap();
    assert_eq!(simulator.objects()["fundclusters.fundbond.dev/funds/one"], *kept);
}

#[tokio::test(start_paused = true)]
async fn a_custom_object_is_judged_by_its_rules() {
    let (_simulator, client) = begin();
    clusters(&client).create(&PostParams::default(), &cluster("one")).await.unwrap();
    let moved = Patch::Merge(json!({"spec": {"route": {"value": "two"}}}));
    let moved = refusal(clusters(&client).patch("one", &PatchParams::default(), &moved).await);
    assert_eq!((moved.code, moved.reason.as_str()), (422, "Invalid"));
    assert!(moved.message.contains("FundCluster.fundbond.dev \"one\" is invalid"), "{}", moved.message);
}

#[tokio::test(start_paused = true)]
async fn the_status_and_the_rest_are_written_apart_and_only_the_spec_raises_the_generation() {
    let (simulator, client) = begin();
    let user = simulator.hand("user");
    user.create(&cluster("one")).unwrap();
    let both = Patch::Merge(json!({"spec": {"paused": true}, "status": {"streams": 7}}));
    clusters(&client).patch_status("one", &PatchParams::default(), &both).await.unwrap();
    let of = |simulator: &fundbond_api_simulator::Simulator| -> Value {
        simulator.objects()["fundclusters.fundbond.dev/funds/one"].clone()
    };
    let status = of(&simulator);
    assert_eq!((&status["spec"]["paused"], &status["status"]["streams"]), (&json!(false), &json!(7)));
    assert_eq!(status["metadata"]["generation"], 1);
    let both = Patch::Merge(json!({"spec": {"paused": true}, "status": {"streams": 8}}));
    clusters(&client).patch("one", &PatchParams::default(), &both).await.unwrap();
    let spec = of(&simulator);
    assert_eq!((&spec["spec"]["paused"], &spec["status"]["streams"]), (&json!(true), &json!(7)));
    assert_eq!(spec["metadata"]["generation"], 2);
    user.merge::<FundCluster>(NAMESPACE, "one", &json!({"metadata": {"labels": {"a": "b"}}})).unwrap();
    assert_eq!(of(&simulator)["metadata"]["generation"], 2);
}

#[tokio::test(start_paused = true)]
async fn the_trace_tells_who_asked_what_and_what_came_of_it() {
    let (simulator, client) = begin();
    maps(&client).create(&PostParams::default(), &map("one", &json!({}))).await.unwrap();
    let _ = maps(&simulator.client("other")).get("two").await;
    simulator.hand("user").create(&map("two", &json!({}))).unwrap();
    let trace = simulator.take_trace();
    let told: Vec<_> =
        trace.iter().map(|entry| (&*entry.identity, entry.verb, entry.outcome, entry.changed)).collect();
    assert_eq!(
        told,
        [
            ("operator", Verb::Create, Outcome::Answered(201), true),
            ("other", Verb::Get, Outcome::Answered(404), false),
        ]
    );
    let rights = rights(&trace);
    assert!(rights.contains(&(Verb::Create, String::new(), "configmaps".to_owned())));
    assert!(simulator.trace().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_seed_is_one_run() {
    let run = || async {
        let (simulator, client) = begin();
        maps(&client).create(&PostParams::default(), &map("one", &json!({}))).await.unwrap();
        simulator.objects()
    };
    assert_eq!(run().await, run().await);
}
