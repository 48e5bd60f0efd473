use fundbond_crds::labels;
use serde_json::{Value, json};

use super::*;

const CLUSTERS: WatchId = WatchId(0);
const MAPS: WatchId = WatchId(1);

fn cluster(version: u64) -> DynamicObject {
    serde_json::from_value(json!({
        "metadata": {"name": "desk", "namespace": "funds", "uid": "u", "resourceVersion": version.to_string()},
        "spec": {"route": {"value": "desk"}},
    }))
    .unwrap()
}

fn map(name: &str, version: u64, more: &Value) -> Whole {
    let mut metadata = json!({
        "name": name, "namespace": "funds", "uid": format!("uid-{name}"), "resourceVersion": version.to_string(),
        "labels": {"app.kubernetes.io/instance": "desk"},
        "ownerReferences": [{"apiVersion": "fundbond.dev/v1alpha1", "kind": "FundCluster", "name": "desk", "uid": "u", "controller": true}],
    });
    metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": metadata})).unwrap()
}

fn desk() -> Key {
    Key::new("funds", "desk")
}

impl Cache {
    fn told(&self, name: &str, version: u64) -> Option<Key> {
        self.child(MAPS, false, Kind::ConfigMap, &map(name, version, &json!({})))
    }

    fn listed(&self, objects: &[(&str, u64)]) -> Vec<Key> {
        self.list_begins(MAPS);
        for (name, version) in objects {
            self.child(MAPS, true, Kind::ConfigMap, &map(name, *version, &json!({})));
        }
        self.list_ends(MAPS)
    }

    fn answered(&self, name: &str, version: u64) {
        self.answered_child(MAPS, &desk(), Kind::ConfigMap, &map(name, version, &json!({}))).unwrap();
    }

    fn gone(&self, name: &str, version: u64) -> Option<Key> {
        self.child_gone(MAPS, Kind::ConfigMap, &map(name, version, &json!({})))
    }

    fn versions(&self) -> Vec<(String, u64)> {
        let mut versions: Vec<_> =
            self.known(&desk()).children.iter().map(|seen| (seen.name.to_string(), seen.version)).collect();
        versions.sort();
        versions
    }
}

fn all(versions: &[(&str, u64)]) -> Vec<(String, u64)> {
    versions.iter().map(|(name, version)| ((*name).to_owned(), *version)).collect()
}

#[test]
fn an_older_word_does_not_undo_a_newer_one() {
    let cache = Cache::new(2);
    assert_eq!(cache.told("a", 5), Some(desk()));
    cache.answered("a", 9);
    assert_eq!(cache.told("a", 7), None, "older than the answer to an own write");
    assert_eq!(cache.told("a", 9), None, "its echo");
    assert_eq!(cache.versions(), all(&[("a", 9)]));
    assert_eq!(cache.gone("a", 8), None, "that was an earlier life");
    assert_eq!(cache.gone("a", 10), Some(desk()));
    assert_eq!(cache.versions(), []);
}

#[test]
fn an_answer_that_the_watch_has_gone_past_brings_nothing_back() {
    let cache = Cache::new(2);
    cache.told("a", 5);
    cache.gone("a", 8);
    cache.answered("a", 7);
    assert_eq!(cache.versions(), [], "it was deleted after that answer");
    cache.answered("a", 9);
    assert_eq!(cache.versions(), all(&[("a", 9)]), "it was made again");
}

#[test]
fn what_a_list_does_not_name_is_gone() {
    let cache = Cache::new(2);
    cache.told("a", 5);
    cache.told("b", 6);
    assert_eq!(cache.listed(&[("a", 5)]), [desk()]);
    assert_eq!(cache.versions(), all(&[("a", 5)]));
    assert_eq!(cache.listed(&[("a", 5)]), [], "and nothing is touched where nothing is new");
}

#[test]
fn what_was_made_while_it_was_listed_stays() {
    let cache = Cache::new(2);
    cache.list_begins(MAPS);
    cache.child(MAPS, true, Kind::ConfigMap, &map("a", 5, &json!({})));
    cache.answered("b", 6);
    cache.list_ends(MAPS);
    assert_eq!(cache.versions(), all(&[("a", 5), ("b", 6)]));
}

#[test]
fn a_server_that_was_set_back_is_believed() {
    let cache = Cache::new(2);
    cache.told("a", 500);
    cache.listed(&[("a", 20)]);
    assert_eq!(cache.versions(), all(&[("a", 20)]));
}

#[test]
fn a_fund_cluster_that_goes_touches_who_waits_for_its_route() {
    let cache = Cache::new(2);
    assert_eq!(cache.cluster(CLUSTERS, false, &cluster(5)), [desk()]);
    assert_eq!(cache.cluster(CLUSTERS, false, &cluster(5)), [], "nothing new");
    let mut other = cluster(6);
    other.metadata.name = Some("other".into());
    other.metadata.uid = Some("v".into());
    cache.cluster(CLUSTERS, false, &other);
    assert_eq!(cache.known(&Key::new("funds", "other")).rival.unwrap().key, desk());
    let mut touched = cache.cluster_gone(CLUSTERS, &cluster(9));
    touched.sort();
    assert_eq!(touched, [desk(), Key::new("funds", "other")]);
    assert!(cache.known(&Key::new("funds", "other")).rival.is_none());
}

#[test]
fn an_answered_fund_cluster_counts_unless_a_watch_knows_better() {
    let cache = Cache::new(2);
    assert_eq!(cache.answered_cluster(CLUSTERS, &cluster(5)), []);
    assert!(cache.cluster_of(&desk()).is_some());
    cache.cluster_gone(CLUSTERS, &cluster(8));
    cache.answered_cluster(CLUSTERS, &cluster(7));
    assert!(cache.cluster_of(&desk()).is_none());
}

#[test]
fn a_child_without_its_label_or_without_its_owner_is_still_found() {
    let cache = Cache::new(2);
    let whole = |more: Value| cache.child(MAPS, false, Kind::ConfigMap, &map("a", 5, &more));
    assert_eq!(whole(json!({"labels": {}})), Some(desk()));
    cache.gone("a", 6);
    assert_eq!(whole(json!({"ownerReferences": []})), Some(desk()));
    assert_eq!(whole(json!({"ownerReferences": [], "labels": {}})), None);
}

#[test]
fn what_is_not_this_fund_clusters_is_not_kept() {
    let cache = Cache::new(2);
    let answered = |key: &Key, more: Value| {
        cache.answered_child(MAPS, key, Kind::ConfigMap, &map("a", 5, &more)).is_some()
    };
    let other = Key::new("funds", "other");
    assert!(!answered(&other, json!({})), "another one owns it");
    assert!(!answered(&desk(), json!({"ownerReferences": []})), "labels are easily said");
    assert!(!answered(&desk(), json!({"ownerReferences": [], "labels": {}})));
    assert!(cache.versions().is_empty());
    // The books say who applied it, whatever was taken away from it since.
    let books = json!([{"manager": labels::OPERATOR, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}}]);
    let orphan = json!({"ownerReferences": [], "managedFields": books});
    assert!(!answered(&other, orphan.clone()), "it is of another name");
    assert!(answered(&desk(), orphan));
    assert!(answered(&desk(), json!({"ownerReferences": [], "labels": {}, "managedFields": books})));
    assert_eq!(cache.versions(), all(&[("a", 5)]));
}

#[test]
fn it_is_complete_once_every_watch_has_listed() {
    let cache = Cache::new(2);
    cache.listed(&[]);
    assert!(!cache.is_complete());
    cache.list_begins(CLUSTERS);
    cache.list_ends(CLUSTERS);
    assert!(cache.is_complete());
}

#[test]
fn nothing_is_kept_of_what_is_gone() {
    let cache = Cache::new(2);
    cache.cluster(CLUSTERS, false, &cluster(5));
    cache.told("a", 6);
    cache.gone("a", 7);
    cache.cluster_gone(CLUSTERS, &cluster(8));
    assert_eq!((cache.keys(), cache.sizes()), (vec![], (0, 0)));
}
