use serde_json::{Value, json};

use super::*;

/// A FundCluster of this generation whose status is about `observed`, with such conditions.
fn standing(generation: i64, observed: i64, conditions: &[(&str, &str, &str)]) -> Standing {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(about, is, reason)| {
            json!({"type": about, "status": is, "reason": reason, "message": format!("it is {reason}"),
                   "lastTransitionTime": "2026-11-21T10:00:00Z", "observedGeneration": observed})
        })
        .collect();
    let object = json!({
        "apiVersion": "fundbond.dev/v1alpha1", "kind": "FundCluster",
        "metadata": {"name": "desk", "namespace": "funds", "generation": generation, "uid": "u1"},
        "status": {"observedGeneration": observed, "conditions": conditions},
    });
    Standing::of(&serde_json::from_value(object).unwrap())
}

fn waiting(goal: &str) -> Waiting {
    Waiting::new(goal.parse().unwrap(), false)
}

fn verdict(goal: &str, standing: &Standing) -> Verdict {
    waiting(goal).see(Some(standing)).0
}

#[test]
fn a_goal_is_a_condition_or_the_end() {
    for (text, want) in [
        ("condition=Ready", Some("Ready")),
        ("condition=ready", Some("Ready")),
        ("condition=Degraded=false", Some("Degraded=False")),
        ("condition=Mine=Unknown", Some("Mine=Unknown")),
        ("deleted", Some("deleted")),
        ("delete", Some("deleted")),
        ("condition=", None),
        ("condition=Ready=maybe", None),
        ("Ready", None),
        ("", None),
    ] {
        assert_eq!(text.parse::<Goal>().ok().map(|goal| goal.to_string()).as_deref(), want, "{text:?}");
    }
}

#[test]
fn what_is_said_about_the_spec_before_does_not_count() {
    let ready = [("Ready", "True", "AllReady")];
    assert_eq!(verdict("condition=Ready", &standing(4, 4, &ready)), Verdict::Done);
    assert_eq!(verdict("condition=Ready", &standing(5, 4, &ready)), Verdict::Wait);
    assert_eq!(verdict("condition=Ready=False", &standing(5, 4, &[("Ready", "False", "X")])), Verdict::Wait);
    let stalled = [("Ready", "False", "InvalidSpec"), ("Stalled", "True", "InvalidSpec")];
    assert_eq!(verdict("condition=Ready", &standing(5, 4, &stalled)), Verdict::Wait, "it was edited since");
}

#[test]
fn who_waits_in_vain_is_told_at_once() {
    for reason in ["InvalidSpec", "RouteConflict", "Refused", "PodsFailing"] {
        let stalled = standing(1, 1, &[("Ready", "False", reason), ("Stalled", "True", reason)]);
        assert_eq!(verdict("condition=Ready", &stalled), Verdict::InVain, "{reason}");
        assert_eq!(verdict("condition=RoutesProgrammed", &stalled), Verdict::InVain, "{reason}");
        // These may well come, or do not depend on the operator.
        assert_eq!(verdict("condition=Stalled", &stalled), Verdict::Done);
        assert_eq!(verdict("condition=Ready=False", &stalled), Verdict::Done);
        assert_eq!(verdict("condition=Stalled=False", &stalled), Verdict::Wait);
        assert_eq!(verdict("deleted", &stalled), Verdict::Wait);
        let mut patient = Waiting::new("condition=Ready".parse().unwrap(), true);
        assert_eq!(patient.see(Some(&stalled)).0, Verdict::Wait);
    }
    let paused = standing(1, 1, &[("Ready", "False", "Paused"), ("Paused", "True", "Asked")]);
    assert_eq!(verdict("condition=Ready", &paused), Verdict::InVain);
}

#[test]
fn only_another_reason_is_news() {
    let mut waiting = waiting("condition=Ready");
    let starting = standing(1, 1, &[("Ready", "False", "PodsStarting")]);
    let (verdict, news) = waiting.see(Some(&starting));
    assert_eq!((verdict, news.as_deref()), (Verdict::Wait, Some("PodsStarting: it is PodsStarting")));
    assert_eq!(waiting.see(Some(&starting)), (Verdict::Wait, None));
    let missing = standing(1, 1, &[("Ready", "False", "PodsMissing")]);
    assert!(waiting.see(Some(&missing)).1.is_some());
    assert_eq!(waiting.why().as_deref(), Some("PodsMissing: it is PodsMissing"));
    assert_eq!(waiting.see(Some(&standing(1, 1, &[("Ready", "True", "AllReady")]))), (Verdict::Done, None));
}

#[test]
fn one_that_is_not_there_is_gone_or_never_was() {
    assert_eq!(waiting("deleted").see(None).0, Verdict::Done);
    assert_eq!(waiting("condition=Ready").see(None).0, Verdict::Absent);
    let mut waiting = waiting("condition=Ready");
    waiting.see(Some(&standing(1, 1, &[])));
    assert_eq!(waiting.see(None).0, Verdict::InVain);
}

#[test]
fn another_one_of_that_name_is_not_the_one_that_was_waited_for() {
    let mut waiting = waiting("deleted");
    let first = standing(1, 1, &[]);
    assert_eq!(waiting.see(Some(&first)).0, Verdict::Wait);
    let second = Standing { uid: "u2".to_owned(), ..first };
    assert_eq!(waiting.see(Some(&second)).0, Verdict::Done);
}
