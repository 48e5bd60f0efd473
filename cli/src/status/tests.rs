//! What a person reads at 80 columns.

use k8s_openapi::api::core::v1::Event;
use serde_json::{Value, json};

use super::*;
use crate::{golden, render::Style};

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn object(name: &str, more: Value) -> Standing {
    let mut object = json!({
        "apiVersion": "fundbond.dev/v1alpha1", "kind": "FundCluster",
        "metadata": {"name": name, "namespace": "funds", "generation": 4, "uid": "u",
                     "creationTimestamp": "2026-11-17T09:00:00Z"},
        "spec": {"route": {"header": "X-Cluster-Route", "value": name, "pathPrefix": "/api", "default": false},
                 "routing": {"strategy": "LeastStreams"}},
    });
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Standing::of(&serde_json::from_value(object).unwrap())
}

fn condition(about: &str, is: &str, reason: &str, message: &str) -> Value {
    json!({"type": about, "status": is, "reason": reason, "message": message,
           "lastTransitionTime": "2026-11-22T11:52:30Z", "observedGeneration": 4})
}

fn ready(name: &str) -> Standing {
    let status = json!({
        "observedGeneration": 4, "pods": {"desired": 3, "ready": 3, "updated": 3}, "streams": 1200, "backlog": 0,
        "leader": format!("{name}-pods-6c9f7d5b8-x2x7k"),
        "gateways": {"generation": 7, "acknowledged": 2, "gateways": 2},
        "conditions": [
            condition("Ready", "True", "AllReady", "3 of 3 pods are ready"),
            condition("Progressing", "False", "Done", ""),
            condition("Degraded", "False", "AsExpected", ""),
        ],
    });
    object(name, json!({"status": status}))
}

fn missing(name: &str) -> Standing {
    let message = "2 of 3 pods are ready, or the proxy is short of some";
    let status = json!({
        "observedGeneration": 4, "pods": {"desired": 3, "ready": 2, "updated": 3}, "streams": 812, "backlog": 17,
        "gateways": {"generation": 7, "acknowledged": 1, "gateways": 2},
        "conditions": [
            condition("Ready", "False", "PodsMissing", message),
            condition("Progressing", "False", "PodsMissing", ""),
            condition("Degraded", "True", "PodsMissing", message),
            condition("RoutesProgrammed", "False", "Waiting", "1 of 2 gateways have generation 7 of the route"),
        ],
    });
    object(name, json!({"status": status}))
}

fn conflict(name: &str) -> Standing {
    let message = "the route value desk already leads to FundCluster funds/desk, which is older: delete one of the \
                   two, or give this one another route";
    let status = json!({
        "observedGeneration": 4, "pods": {"desired": 2, "ready": 0, "updated": 0},
        "conditions": [
            condition("Ready", "False", "RouteConflict", message),
            condition("Stalled", "True", "RouteConflict", message),
        ],
    });
    object(name, json!({"status": status}))
}

fn edited(name: &str) -> Standing {
    Standing { generation: 5, ..ready(name) }.judged()
}

impl Standing {
    /// The same, with the verdict made anew.
    fn judged(mut self) -> Self {
        (self.ready, self.reason, self.message) = self.verdict(false);
        self
    }
}

fn many() -> Vec<Standing> {
    let mut many = vec![
        ready("desk"),
        missing("pension"),
        object("new", json!({})),
        conflict("desk-copy"),
        edited("hedge"),
        ready("apple"),
    ];
    super::sort(&mut many);
    many
}

#[test]
fn who_needs_somebody_comes_first() {
    let names: Vec<_> = many().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["desk-copy", "pension", "hedge", "new", "apple", "desk"]);
}

#[test]
fn a_table_of_one_namespace_fits_a_narrow_terminal() {
    let drawn = table(&many(), false, now(), Some(80), Style::PLAIN);
    assert!(drawn.text.lines().all(|line| line.chars().count() <= 80), "{}", drawn.text);
    golden::check("status.table.txt", &format!("{}\nleft out: {:?}\n", drawn.text, drawn.left_out));
}

#[test]
fn a_table_of_all_namespaces_leaves_out_what_is_asked_for_least() {
    let drawn = table(&many(), true, now(), Some(80), Style::PLAIN);
    assert!(drawn.text.lines().all(|line| line.chars().count() <= 80), "{}", drawn.text);
    golden::check("status.all.txt", &format!("{}\nleft out: {:?}\n", drawn.text, drawn.left_out));
    let wide = table(&many(), true, now(), None, Style::COLORED);
    assert_eq!(wide.left_out, Vec::<&str>::new(), "a file has room");
    golden::check("status.colored.txt", &format!("{}\n", wide.text));
}

#[test]
fn a_page_tells_everything_about_one() {
    let event = |reason: &str, kind: &str, at: &str, count: i32, message: &str| {
        let event = json!({
            "metadata": {"name": "e", "namespace": "funds"}, "involvedObject": {}, "type": kind, "reason": reason,
            "message": message, "eventTime": at, "series": {"count": count, "lastObservedTime": at},
        });
        serde_json::from_value::<Event>(event).unwrap()
    };
    let events = happened(vec![
        event("AllReady", "Normal", "2026-11-22T09:00:00.000000Z", 1, "3 of 3 pods are ready"),
        event("PodsMissing", "Warning", "2026-11-22T11:52:30.000000Z", 3, "2 of 3 pods are ready"),
    ]);
    let shown = |it: &Standing, events: &[Happened]| page(it, events, now(), Some(80), Style::PLAIN);
    let pages = [
        shown(&missing("pension"), &events),
        shown(&conflict("desk-copy"), &[]),
        shown(&object("new", json!({})), &[]),
    ];
    for page in &pages {
        assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    }
    golden::check("status.pages.txt", &pages.join("\n-----\n\n"));
}

#[test]
fn a_status_about_the_spec_before_is_not_known_to_be_ready() {
    let edited = edited("hedge");
    assert_eq!((edited.ready, edited.reason.as_str()), (Ready::Unknown, "NotObserved"));
    assert!(edited.message.contains("generation 5 yet"), "{}", edited.message);
}

#[test]
fn a_status_of_another_version_is_read_as_far_as_it_goes() {
    let strange = object("odd", json!({"status": {"conditions": "none", "observedGeneration": 4}}));
    assert_eq!((strange.ready, strange.reason.as_str()), (Ready::Unknown, "NotObserved"));
}

#[test]
fn ages_are_told_as_kubectl_does() {
    for (before, want) in [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (450, "7m30s"),
        (3_600, "60m"),
        (10_800, "3h"),
        (12_000, "3h20m"),
        (90_000, "25h"),
        (277_200, "3d5h"),
        (864_000, "10d"),
        (63_072_000, "2y"),
    ] {
        let then = now() - jiff::SignedDuration::from_secs(before);
        assert_eq!(age(Some(then), now()), want);
    }
    assert_eq!(age(None, now()), "-");
    assert_eq!(age(Some(now() + jiff::SignedDuration::from_secs(5)), now()), "0s", "clocks differ");
}
