use fundbond_crds::claim::Claim;
use serde_json::json;

use super::*;
use crate::{
    fixtures::{applied, cluster, done, site},
    plan::plan,
    seen::Key,
};

/// A FundCluster, and what is seen of its children at the start.
fn start() -> (FundCluster, Vec<Seen>, Standing) {
    let cluster = cluster(&json!({"pods": {"replicas": 3}}));
    let plan = plan(&cluster, &site(), &[], 0, false);
    let seen = plan.wanted.iter().map(|wanted| applied(wanted, 1)).collect();
    let deployments = vec!["desk-pods".into(), "desk-proxy".into()];
    (cluster, seen, Standing::Applied(Applied { deployments, route: 1 }))
}

fn status_of(
    cluster: &FundCluster,
    standing: &Standing,
    seen: &[Seen],
    rival: Option<&Rival>,
    now: Timestamp,
) -> FundClusterStatus {
    status(
        cluster,
        standing,
        &About { seen, rival, programmed: &|_| Some(Programmed::default()), report: None },
        now,
    )
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn condition<'a>(status: &'a FundClusterStatus, about: &str) -> Option<(&'a str, &'a str)> {
    let found = status.conditions.iter().find(|condition| condition.type_ == about)?;
    Some((&found.status, &found.reason))
}

fn pods(seen: &mut [Seen]) -> &mut Rollout {
    let found = seen.iter_mut().find_map(|seen| match &mut seen.detail {
        Detail::Rollout(rollout) if rollout.pods => Some(&mut **rollout),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn it_is_ready_once_everything_serves() {
    let (cluster, mut seen, standing) = start();
    let starting = status_of(&cluster, &standing, &seen, None, at(1));
    assert_eq!(condition(&starting, "Ready"), Some(("False", "PodsStarting")));
    assert_eq!(condition(&starting, "Reconciling"), Some(("True", "PodsStarting")));
    done(&mut seen);
    let ready = status_of(&cluster, &standing, &seen, None, at(1));
    assert_eq!(condition(&ready, "Ready"), Some(("True", "AllReady")));
    assert_eq!((condition(&ready, "Reconciling"), condition(&ready, "Stalled")), (None, None));
    assert_eq!((ready.pods.summary.as_deref(), ready.observed_generation), (Some("3/3"), Some(1)));
    assert!(ready.selector.unwrap().contains("app.kubernetes.io/component=pods"));
}

#[test]
fn nothing_is_said_twice_and_no_time_ticks() {
    let (mut cluster, mut seen, standing) = start();
    done(&mut seen);
    let first = status_of(&cluster, &standing, &seen, None, at(1));
    assert!(differs(None, &first));
    cluster.status = Some(first.clone());
    let second = status_of(&cluster, &standing, &seen, None, at(999));
    assert!(!differs(Some(&first), &second));
    // Somebody else's word is not ours to compare.
    let mut theirs = first.clone();
    theirs.conditions.push(Condition { type_: "Audited".into(), ..first.conditions[0].clone() });
    assert!(!differs(Some(&theirs), &second));
}

#[test]
fn a_condition_that_turns_says_when() {
    let (mut cluster, mut seen, standing) = start();
    cluster.status = Some(status_of(&cluster, &standing, &seen, None, at(1)));
    done(&mut seen);
    let ready = status_of(&cluster, &standing, &seen, None, at(50));
    let turned = |about: &str| {
        let found = ready.conditions.iter().find(|condition| condition.type_ == about).unwrap();
        found.last_transition_time.0.as_second()
    };
    assert_eq!((turned("Ready"), turned("Degraded")), (50, 1));
}

#[test]
fn pods_that_go_missing_are_no_rollout() {
    let (mut cluster, mut seen, standing) = start();
    done(&mut seen);
    cluster.status = Some(status_of(&cluster, &standing, &seen, None, at(1)));
    pods(&mut seen).available = 2;
    pods(&mut seen).ready = 2;
    let missing = status_of(&cluster, &standing, &seen, None, at(2));
    assert_eq!(condition(&missing, "Degraded"), Some(("True", "PodsMissing")));
    assert_eq!(condition(&missing, "Progressing"), Some(("False", "PodsMissing")));
    cluster.status = Some(missing);
    let still = status_of(&cluster, &standing, &seen, None, at(3));
    assert_eq!(condition(&still, "Degraded"), Some(("True", "PodsMissing")), "it stays so");
    // A newer spec makes a rollout of it.
    cluster.metadata.generation = Some(2);
    let rolling = status_of(&cluster, &standing, &seen, None, at(4));
    assert_eq!(condition(&rolling, "Progressing"), Some(("True", "PodsStarting")));
}

#[test]
fn pods_that_do_not_come_are_told_with_their_reason() {
    let (cluster, mut seen, standing) = start();
    pods(&mut seen).failure = Some("ProgressDeadlineExceeded: too slow".into());
    let failing = status_of(&cluster, &standing, &seen, None, at(1));
    for about in ["Degraded", "Stalled"] {
        assert_eq!(condition(&failing, about), Some(("True", "PodsFailing")));
    }
    assert!(failing.conditions[0].message.contains("too slow"));
}

#[test]
fn a_rival_is_named() {
    let (cluster, mut seen, standing) = start();
    done(&mut seen);
    let rival = Rival { key: Key::new("funds", "elder"), claim: Claim::Value("desk".into()) };
    let conflict = status_of(&cluster, &standing, &seen, Some(&rival), at(1));
    assert_eq!(condition(&conflict, "Ready"), Some(("False", "RouteConflict")));
    assert_eq!(condition(&conflict, "RoutesProgrammed"), Some(("False", "RouteConflict")));
    let said = &conflict.conditions[0].message;
    assert!(said.contains("funds/elder") && said.contains("the route value desk"), "{said}");
}

#[test]
fn what_is_wrong_with_a_spec_is_named_and_the_pods_stay() {
    let (cluster, mut seen, _) = start();
    done(&mut seen);
    let problem = FieldProblem { field: "spec.pods".into(), message: "must be so".into() };
    let invalid = status_of(&cluster, &Standing::Invalid(vec![problem]), &seen, None, at(1));
    assert_eq!(condition(&invalid, "Ready"), Some(("False", "InvalidSpec")));
    assert_eq!(invalid.conditions[0].message, "spec.pods: must be so");
    assert_eq!(invalid.pods.ready, 3);
}

#[test]
fn nothing_is_ready_while_something_of_before_has_to_leave() {
    let (cluster, mut seen, _) = start();
    done(&mut seen);
    let waits = status_of(&cluster, &Standing::Waits("Deployment desk-proxy".into()), &seen, None, at(1));
    assert_eq!(condition(&waits, "Ready"), Some(("False", "WaitsForDeletion")));
    assert_eq!(condition(&waits, "Reconciling"), Some(("True", "WaitsForDeletion")));
    assert!(
        waits.conditions[0].message.ends_with("Deployment desk-proxy"),
        "{}",
        waits.conditions[0].message
    );
}

#[test]
fn a_pause_leaves_the_word_on_readiness_as_it_was() {
    let (mut cluster, mut seen, standing) = start();
    let unknown = status_of(&cluster, &Standing::Paused, &[], None, at(1));
    assert_eq!(condition(&unknown, "Ready"), Some(("Unknown", "Paused")));
    done(&mut seen);
    cluster.status = Some(status_of(&cluster, &standing, &seen, None, at(1)));
    let paused = status_of(&cluster, &Standing::Paused, &seen, None, at(2));
    assert_eq!(condition(&paused, "Ready"), Some(("True", "Paused")));
    assert_eq!(condition(&paused, "Paused"), Some(("True", "Asked")));
}

#[test]
fn a_route_is_programmed_once_every_gateway_has_it() {
    let (mut cluster, seen, standing) = start();
    let told = |cluster: &FundCluster, standing: &Standing, programmed: Programmed| {
        let programmed = |_| Some(programmed.clone());
        let about = About { seen: &seen, rival: None, programmed: &programmed, report: None };
        status(cluster, standing, &about, at(1))
    };
    let of = |gateways, acknowledged, silent| Programmed { gateways, acknowledged, silent, refused: None };
    for (programmed, is, reason, message) in [
        (of(0, 0, 0), "Unknown", "NoGateways", "no gateway says which routes it has"),
        (of(2, 1, 0), "False", "Waiting", "1 of 2 gateways have the route"),
        (of(2, 1, 1), "Unknown", "GatewaysSilent", "1 of 2 gateways have the route, and 1 cannot be asked"),
        (of(1, 1, 0), "True", "Acknowledged", "1 of 1 gateway has the route"),
        (
            Programmed { refused: Some(("gw-a".into(), "no header".into())), ..of(2, 1, 0) },
            "False",
            "Refused",
            "gateway gw-a refuses the route: no header",
        ),
    ] {
        let (gateways, acknowledged) = (programmed.gateways, programmed.acknowledged);
        let status = told(&cluster, &standing, programmed);
        assert_eq!(condition(&status, "RoutesProgrammed"), Some((is, reason)));
        assert!(status.conditions.iter().any(|condition| condition.message == message), "{message}");
        assert_eq!(status.gateways, Some(GatewayAcknowledgement { generation: 1, acknowledged, gateways }));
    }
    let never = told(&cluster, &Standing::Paused, of(2, 2, 0));
    assert_eq!(condition(&never, "RoutesProgrammed"), Some(("Unknown", "NotApplied")), "there is none");
    cluster.status = Some(told(&cluster, &standing, of(2, 2, 0)));
    let paused = told(&cluster, &Standing::Paused, of(2, 2, 0));
    assert_eq!(condition(&paused, "RoutesProgrammed"), Some(("True", "Acknowledged")), "as it was left");
    let invalid = told(&cluster, &Standing::Refused("no".into()), of(2, 2, 0));
    assert_eq!(condition(&invalid, "RoutesProgrammed"), Some(("Unknown", "NotApplied")));
}

#[test]
fn as_long_as_gateways_were_not_heard_what_was_said_of_the_route_stands() {
    let (mut cluster, seen, standing) = start();
    let told = |cluster: &FundCluster, standing: &Standing, programmed: Option<Programmed>, second| {
        let programmed = |_| programmed.clone();
        let about = About { seen: &seen, rival: None, programmed: &programmed, report: None };
        status(cluster, standing, &about, at(second))
    };
    let say = |status: &FundClusterStatus| {
        let (is, reason) = condition(status, "RoutesProgrammed").unwrap();
        let GatewayAcknowledgement { generation, acknowledged, gateways } = status.gateways.clone().unwrap();
        (is.to_owned(), reason.to_owned(), (generation, acknowledged, gateways))
    };
    let said = |is: &str, reason: &str, counts| (is.to_owned(), reason.to_owned(), counts);
    let first = told(&cluster, &standing, None, 1);
    assert_eq!(say(&first), said("Unknown", "NotHeard", (1, 0, 0)), "nobody has said anything");

    let of = |gateways, acknowledged, silent, refused| Programmed { gateways, acknowledged, silent, refused };
    let refusal = Some(("gw-a".to_owned(), "no header".to_owned()));
    for before in [of(2, 2, 0, None), of(0, 0, 0, None), of(2, 1, 1, None), of(2, 1, 0, refusal)] {
        cluster.status = Some(told(&cluster, &standing, Some(before), 1));
        for standing in [&standing, &Standing::Paused] {
            let after = told(&cluster, standing, None, 2);
            let routes = |status: &FundClusterStatus| {
                let mut status = status.clone();
                status.conditions.retain(|said| said.type_ == "RoutesProgrammed");
                (status.conditions, status.gateways)
            };
            assert_eq!(routes(&after), cluster.status.as_ref().map(routes).unwrap());
        }
        assert!(!differs(cluster.status.as_ref(), &told(&cluster, &standing, None, 2)));
    }

    cluster.status = Some(told(&cluster, &standing, Some(of(2, 2, 0, None)), 1));
    cluster.metadata.generation = Some(2);
    let scaled = told(&cluster, &standing, None, 2);
    assert_eq!(say(&scaled), said("True", "Acknowledged", (1, 2, 2)), "it is the same route");
    assert!(scaled.conditions.iter().all(|said| said.observed_generation == Some(2)));
    let Standing::Applied(applied) = &standing else { panic!("it is applied") };
    let rerouted = Standing::Applied(Applied { route: 2, ..applied.clone() });
    assert_eq!(say(&told(&cluster, &rerouted, None, 2)), said("Unknown", "NotHeard", (2, 0, 2)));

    let refused = told(&cluster, &Standing::Refused("no".into()), None, 2);
    assert_eq!(say(&refused), said("Unknown", "NotApplied", (1, 2, 2)));
    cluster.status = Some(refused);
    let back = told(&cluster, &standing, None, 3);
    assert_eq!(say(&back), said("Unknown", "NotHeard", (1, 2, 2)), "it is applied again");
}
