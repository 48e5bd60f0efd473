//! What is done about which nodes.

use std::{collections::BTreeSet, time::Duration};

use fundbond_protocol::PodId;
use fundbond_store::{NodeSeen, Nodes};
use proptest::prelude::*;

use super::plan::{Hold, Memory, NODES_A_SWEEP, Plan, Reason, Rules, plan};

const LONG: Duration = Duration::from_hours(1);

const RULES: Rules =
    Rules { node_timeout: Duration::from_secs(30), together: Duration::from_secs(15), percent: 50 };

/// How long the breaker waits.
const SETTLE: Duration = Duration::from_mins(1);

fn pod(name: &str) -> PodId {
    PodId::parse(name).unwrap()
}

/// Nodes as `name`, `name dead` or `name buried`.
fn nodes(words: &[&str]) -> Nodes {
    nodes_under(LONG, words)
}

fn nodes_under(stable: Duration, words: &[&str]) -> Nodes {
    let seen = words.iter().map(|words| {
        let (name, standing) = words.split_once(' ').unwrap_or((words, "alive"));
        NodeSeen {
            pod: pod(name),
            health_age: (standing == "alive").then_some(Duration::ZERO),
            buried: standing == "buried",
            streams: 0,
        }
    });
    Nodes { life: "life".into(), stable, note: None, nodes: seen.collect() }
}

/// A leader, at its own time.
#[derive(Default)]
struct Leader {
    memory: Memory,
    now: Duration,
}

impl Leader {
    /// One that has seen these nodes before.
    fn that_saw(words: &[&str]) -> Self {
        let mut leader = Self::default();
        leader.sweeps(words);
        leader
    }

    /// Sweeps, five seconds after the last time.
    fn sweeps(&mut self, words: &[&str]) -> Plan {
        self.sees(&nodes(words))
    }

    fn sees(&mut self, nodes: &Nodes) -> Plan {
        self.now += Duration::from_secs(5);
        let (plan, memory) = plan(&RULES, &self.memory, nodes, self.now);
        self.memory = memory;
        plan
    }
}

fn bury(names: &[&str]) -> Plan {
    Plan { bury: names.iter().map(|name| pod(name)).collect(), ..Plan::default() }
}

fn sweep(names: &[&str]) -> Plan {
    Plan { sweep: names.iter().map(|name| pod(name)).collect(), ..Plan::default() }
}

fn waits(plan: &Plan) -> Option<Reason> {
    assert!(plan.hold.is_none() || plan.bury.is_empty() && plan.sweep.is_empty(), "{plan:?}");
    plan.hold.map(|hold| hold.reason)
}

#[test]
fn the_living_are_left_alone_and_one_dead_is_buried_and_swept() {
    let mut leader = Leader::that_saw(&["a", "b"]);
    assert_eq!(leader.sweeps(&["a", "b"]), Plan::default());
    assert_eq!(leader.sweeps(&["a", "b dead"]), bury(&["b"]), "one of two");
    assert_eq!(leader.sweeps(&["a", "b buried"]), sweep(&["b"]), "what is left of it");
    assert_eq!(leader.sweeps(&["a"]), Plan::default());
}

#[test]
fn two_of_four_are_buried_and_three_of_five_are_waited_for() {
    let mut leader = Leader::that_saw(&["a", "b", "c", "d"]);
    assert_eq!(leader.sweeps(&["a", "b", "c dead", "d dead"]), bury(&["c", "d"]));
    let mut leader = Leader::that_saw(&["a", "b", "c", "d", "e"]);
    assert_eq!(waits(&leader.sweeps(&["a", "b", "c dead", "d dead", "e dead"])), Some(Reason::ManyDead));
}

#[test]
fn how_many_are_waited_for_is_a_setting() {
    let seen = |words: &[&str], percent| {
        let rules = Rules { percent, ..RULES };
        let (_, memory) = plan(&rules, &Memory::default(), &nodes(&["a", "b", "c", "d"]), Duration::ZERO);
        plan(&rules, &memory, &nodes(words), Duration::from_secs(5)).0
    };
    let half = ["a", "b", "c dead", "d dead"];
    assert_eq!(waits(&seen(&half, 49)), Some(Reason::ManyDead));
    assert_eq!(waits(&seen(&half, 50)), None);
    assert_eq!(waits(&seen(&["a", "b", "c", "d dead"], 1)), None, "one death is believed");
    assert_eq!(
        waits(&seen(&["a dead", "b dead", "c dead", "d dead"], 100)),
        None,
        "all of it is not more than all"
    );
}

#[test]
fn a_longer_silence_is_waited_for_longer() {
    let rules = Rules { node_timeout: Duration::from_secs(45), ..RULES };
    let (plan, _) = plan(
        &rules,
        &Memory::default(),
        &nodes_under(Duration::from_secs(70), &["a", "b dead"]),
        Duration::ZERO,
    );
    assert_eq!(plan.hold.map(|hold| hold.remaining), Some(Duration::from_secs(20)));
}

#[test]
fn deaths_that_are_seen_by_two_sweeps_count_together() {
    let mut leader = Leader::that_saw(&["a", "b", "c", "d"]);
    assert_eq!(leader.sweeps(&["a", "b", "c", "d dead"]), bury(&["d"]));
    assert_eq!(leader.sweeps(&["a", "b", "c dead"]), bury(&["c"]), "two of four");
    assert_eq!(waits(&leader.sweeps(&["a", "b dead"])), Some(Reason::ManyDead), "three of four");
    // Further apart they have nothing to do with each other.
    let mut leader = Leader::that_saw(&["a", "b", "c", "d"]);
    assert_eq!(leader.sweeps(&["a", "b", "c", "d dead"]), bury(&["d"]));
    for _ in 0..4 {
        leader.sweeps(&["a", "b", "c"]);
    }
    assert_eq!(leader.sweeps(&["a", "b", "c dead"]), bury(&["c"]));
    for _ in 0..4 {
        leader.sweeps(&["a", "b"]);
    }
    assert_eq!(leader.sweeps(&["a", "b dead"]), bury(&["b"]), "one of two, however many died before");
}

#[test]
fn what_waited_for_a_minute_is_done_ten_at_a_time() {
    let names: Vec<String> = (0..24).map(|number| format!("pod-{number:02}~a")).collect();
    let alive: Vec<&str> = std::iter::once("z").chain(names.iter().map(String::as_str)).collect();
    let dead: Vec<String> = names.iter().map(|name| format!("{name} dead")).collect();
    let mut left: Vec<&str> = std::iter::once("z").chain(dead.iter().map(String::as_str)).collect();
    let mut leader = Leader::that_saw(&alive);
    for _ in 0..12 {
        let plan = leader.sweeps(&left);
        assert_eq!(waits(&plan), Some(Reason::ManyDead));
        assert!(plan.hold.unwrap().remaining <= SETTLE);
    }
    let mut taken_on = Vec::new();
    for _ in 0..3 {
        let plan = leader.sweeps(&left);
        assert_eq!(plan.hold, None);
        taken_on.push(plan.bury.len());
        left.retain(|words| {
            !plan.bury.iter().any(|pod| words.split_once(' ').is_some_and(|w| w.0 == pod.as_str()))
        });
    }
    assert_eq!(taken_on, [NODES_A_SWEEP, NODES_A_SWEEP, 4]);
    assert_eq!(leader.sweeps(&["z"]), Plan::default());
    // And then it is closed for the next time.
    leader.sweeps(&["z", "y", "x", "w"]);
    assert_eq!(waits(&leader.sweeps(&["z", "y dead", "x dead", "w dead"])), Some(Reason::ManyDead));
}

#[test]
fn the_dead_and_the_buried_are_ten_together() {
    let named = |kind: char, count: usize| (0..count).map(move |number| format!("{kind}{number:02}"));
    let alive: Vec<String> = named('l', 20).chain(named('d', 6)).collect();
    let seen: Vec<String> = named('l', 20)
        .chain(named('d', 6).map(|name| name + " dead"))
        .chain(named('b', 8).map(|name| name + " buried"))
        .collect();
    let words = |names: &[String]| -> Nodes { nodes(&names.iter().map(String::as_str).collect::<Vec<_>>()) };
    let mut leader = Leader::default();
    leader.sees(&words(&alive));
    let plan = leader.sees(&words(&seen));
    assert_eq!((plan.bury.len(), plan.sweep.len()), (6, NODES_A_SWEEP - 6));
}

#[test]
fn who_left_in_order_does_not_make_the_dead_fewer() {
    let mut leader = Leader::that_saw(&["a", "b", "c", "d", "e", "f"]);
    assert_eq!(leader.sweeps(&["a", "b", "c"]), Plan::default());
    assert_eq!(waits(&leader.sweeps(&["a", "b dead", "c dead"])), Some(Reason::ManyDead), "two of three");
}

// Else each ten of a zone that went away would wait for a minute of their own.
#[test]
fn a_wait_that_is_over_is_over_for_all_that_die_until_everything_is_swept() {
    fn with<'a>(living: &[&'a str], pods: &'a [String]) -> Vec<&'a str> {
        living.iter().copied().chain(pods.iter().map(String::as_str)).collect()
    }

    let names: Vec<String> = (0..24).map(|number| format!("pod-{number:02}~a")).collect();
    let dead: Vec<String> = names.iter().map(|name| format!("{name} dead")).collect();
    let living = ["v", "w", "x", "y", "z"];
    let mut leader = Leader::that_saw(&with(&living, &names));
    while leader.sweeps(&with(&living, &dead)).hold.is_some() {}
    assert_eq!(leader.sweeps(&with(&living, &dead[10..])).bury.len(), 10);
    let fewer = ["v", "w", "x dead", "y dead", "z dead"];
    let plan = leader.sweeps(&with(&fewer, &dead[20..]));
    assert_eq!((plan.hold, plan.bury.len()), (None, 7));
}

#[test]
fn who_died_before_the_breaker_closed_does_not_open_it_again() {
    let mut leader = Leader::that_saw(&["a", "b", "c", "d", "e"]);
    while leader.sweeps(&["a", "b", "c dead", "d dead", "e dead"]).hold.is_some() {}
    assert_eq!(leader.sweeps(&["a", "b dead"]), bury(&["b"]), "one more, while the wait is over");
    assert_eq!(leader.sweeps(&["a", "f"]), Plan::default(), "all is swept");
    assert_eq!(leader.sweeps(&["a", "f dead"]), bury(&["f"]), "one of two, and b is forgotten");
}

#[test]
fn nodes_that_come_back_close_the_breaker() {
    let mut leader = Leader::that_saw(&["a", "b", "c"]);
    assert_eq!(waits(&leader.sweeps(&["a", "b dead", "c dead"])), Some(Reason::ManyDead));
    assert_eq!(leader.sweeps(&["a", "b", "c dead"]), bury(&["c"]), "one was dead all the same");
}

#[test]
fn nodes_that_come_while_it_is_open_do_not_make_the_dead_fewer() {
    let mut leader = Leader::that_saw(&["a", "b", "c"]);
    for _ in 0..12 {
        let plan = leader.sweeps(&["a", "b dead", "c dead", "d", "e", "f", "g"]);
        assert_eq!(waits(&plan), Some(Reason::ManyDead));
    }
    assert_eq!(leader.sweeps(&["a", "b dead", "c dead", "d", "e", "f", "g"]), bury(&["b", "c"]));
}

#[test]
fn whoever_came_back_under_the_same_name_is_not_missing() {
    let mut leader = Leader::that_saw(&["pod-a~1", "pod-b~1", "pod-c~1"]);
    let seen = ["pod-a~1 dead", "pod-a~2", "pod-b~1 dead", "pod-b~2", "pod-c~1 dead", "pod-c~2"];
    assert_eq!(leader.sweeps(&seen), bury(&["pod-a~1", "pod-b~1", "pod-c~1"]));
}

#[test]
fn who_left_in_order_did_not_die() {
    let mut leader = Leader::that_saw(&["a", "b", "c", "d", "e"]);
    assert_eq!(leader.sweeps(&["a"]), Plan::default());
    assert_eq!(leader.sweeps(&["a dead"]), bury(&["a"]));
}

#[test]
fn a_new_leader_takes_everybody_for_alive_a_moment_ago() {
    let mut leader = Leader::default();
    assert_eq!(waits(&leader.sweeps(&["a", "b dead", "c dead"])), Some(Reason::ManyDead));
    let mut leader = Leader::default();
    assert_eq!(leader.sweeps(&["a", "b", "c dead"]), bury(&["c"]));
    let mut leader = Leader::default();
    assert_eq!(
        leader.sweeps(&["a", "b buried", "c buried"]),
        sweep(&["b", "c"]),
        "somebody judged them before"
    );
}

#[test]
fn nobody_is_touched_in_the_first_minute_of_a_life_of_the_server() {
    let mut leader = Leader::that_saw(&["a", "b"]);
    for seconds in [0, 5, 30, 59] {
        let plan = leader.sees(&nodes_under(Duration::from_secs(seconds), &["a", "b dead"]));
        let remaining = SETTLE.saturating_sub(Duration::from_secs(seconds));
        assert_eq!(plan.hold, Some(Hold { reason: Reason::ServerChanged, remaining }));
        let plan = leader.sees(&nodes_under(Duration::from_secs(seconds), &["a", "b buried"]));
        assert_eq!(waits(&plan), Some(Reason::ServerChanged));
        let plan = leader.sees(&nodes_under(Duration::from_secs(seconds), &["a", "b"]));
        assert_eq!(plan, Plan::default(), "nothing waits where nothing is to be done");
    }
    assert_eq!(leader.sees(&nodes_under(SETTLE, &["a", "b dead"])), bury(&["b"]));
}

#[test]
fn a_breaker_that_is_open_waits_for_the_server_to_settle_too() {
    let mut leader = Leader::that_saw(&["a", "b", "c"]);
    let seen = ["a", "b dead", "c dead"];
    for _ in 0..11 {
        assert_eq!(waits(&leader.sweeps(&seen)), Some(Reason::ManyDead));
    }
    for seconds in (0..60).step_by(5) {
        let plan = leader.sees(&nodes_under(Duration::from_secs(seconds), &seen));
        assert_eq!(waits(&plan), Some(Reason::ServerChanged));
    }
    assert_eq!(leader.sees(&nodes_under(SETTLE, &seen)), bury(&["b", "c"]));
}

/// A node in any state, of a few names so that successors come up.
fn any_node() -> impl Strategy<Value = NodeSeen> {
    let name = (0..6_u8, 0..3_u8).prop_map(|(host, start)| pod(&format!("pod-{host}~{start}")));
    let age = proptest::option::of(0..30_000_u64);
    (name, age, proptest::bool::weighted(0.2)).prop_map(|(pod, age, buried)| NodeSeen {
        pod,
        health_age: age.map(Duration::from_millis),
        buried,
        streams: 1,
    })
}

fn any_nodes() -> impl Strategy<Value = Nodes> {
    let stable = prop_oneof![4 => Just(LONG), 1 => (0..120_u64).prop_map(Duration::from_secs)];
    (stable, proptest::collection::vec(any_node(), 0..12)).prop_map(|(stable, mut nodes)| {
        nodes.sort_by(|a, b| a.pod.cmp(&b.pod));
        nodes.dedup_by(|a, b| a.pod == b.pod);
        Nodes { life: "life".into(), stable, note: None, nodes }
    })
}

proptest! {
    #[test]
    fn nobody_with_health_is_ever_buried(seen in proptest::collection::vec(any_nodes(), 1..30)) {
        let mut leader = Leader::default();
        for nodes in &seen {
            let plan = leader.sees(nodes);
            let alive: BTreeSet<_> =
                nodes.nodes.iter().filter(|node| node.health_age.is_some()).map(|node| &node.pod).collect();
            prop_assert!(plan.bury.iter().all(|pod| !alive.contains(pod)), "{plan:?}");
            let buried: BTreeSet<_> =
                nodes.nodes.iter().filter(|node| node.buried).map(|node| &node.pod).collect();
            prop_assert!(plan.sweep.iter().all(|pod| buried.contains(pod)), "{plan:?}");
            prop_assert!(plan.bury.len() + plan.sweep.len() <= NODES_A_SWEEP);
            let waits = plan.hold.is_some();
            prop_assert!(!waits || plan.bury.is_empty() && plan.sweep.is_empty());
            prop_assert!(nodes.stable >= SETTLE || plan.bury.is_empty() && plan.sweep.is_empty());
        }
    }

    #[test]
    fn whatever_happened_before_the_dead_are_gone_in_the_end(seen in proptest::collection::vec(any_nodes(), 0..30)) {
        let mut leader = Leader::default();
        for nodes in &seen {
            leader.sees(nodes);
        }
        let mut left = vec!["a", "b dead", "c dead", "d dead", "e dead", "f buried"];
        for _ in 0..20 {
            let plan = leader.sweeps(&left);
            let gone: BTreeSet<_> = plan.bury.iter().chain(&plan.sweep).map(PodId::as_str).collect();
            left.retain(|words| !gone.contains(words.split(' ').next().unwrap()));
        }
        prop_assert_eq!(left, vec!["a"]);
    }
}
