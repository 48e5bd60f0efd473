//! What to do about the nodes that were seen: no IO and no clock.
//!
//! A node without health is buried and swept. Before that, the breaker asks whether it is believable: where many nodes
//! look dead at once, it is more often the store or the network that is ill, and a pod that is buried by mistake has to
//! take a new name and say everything again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fundbond_protocol::PodId;
use fundbond_store::{NodeSeen, Nodes};

/// How many nodes a sweep takes on. They are ten orders of some milliseconds; a leader that took on hundreds at once would
/// be late for its own renewal.
pub const NODES_A_SWEEP: usize = 10;

/// By what is decided who is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A pod that says nothing for so long counts as dead.
    pub node_timeout: Duration,
    /// Deaths so close together may have one reason.
    pub together: Duration,
    /// Where more than this share of the nodes died together, in percent, the breaker waits.
    pub percent: usize,
}

impl Rules {
    /// How long the breaker waits, and how long a life of the server must last before anybody is buried under it. Whoever
    /// lives has said so by then, twice.
    pub fn settle(&self) -> Duration {
        self.node_timeout.saturating_mul(2)
    }
}

/// What the leader remembers from sweep to sweep. Each leadership begins with none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Nodes that were alive of late.
    known: BTreeMap<PodId, Known>,
    breaker: Breaker,
    started: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    /// When it was last seen alive.
    alive_at: Duration,
    dead: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Breaker {
    #[default]
    Closed,
    /// Many died, and this is how long ago that was noticed.
    Open { since: Duration },
    /// It has waited for its time: those nodes are dead.
    Spent,
}

/// Why nothing is done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The server began another life a short time ago, and pods have yet to say that they live.
    ServerChanged,
    /// So many nodes look dead that it may be a mistake.
    ManyDead,
}

/// A sweep that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What for.
    pub reason: Reason,
    /// How much longer, if nothing changes.
    pub remaining: Duration,
}

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be declared dead, then swept, then forgotten.
    pub bury: Vec<PodId>,
    /// Dead already: to be swept and forgotten.
    pub sweep: Vec<PodId>,
    /// Why there is nothing to do although somebody looks dead, if that is so.
    pub hold: Option<Hold>,
}

fn lives(node: &NodeSeen) -> bool {
    node.health_age.is_some() && !node.buried
}

/// What to do about `seen`, at `now` of the leader's own clock, and what to remember.
pub fn plan(rules: &Rules, memory: &Memory, seen: &Nodes, now: Duration) -> (Plan, Memory) {
    let settle = rules.settle();
    let mut memory = memory.clone();
    memory.learn(rules, seen, now);
    let many = memory.many_died(rules, seen);
    let looks_dead = |node: &&NodeSeen| node.health_age.is_none() && !node.buried;
    let mut dead: Vec<PodId> = seen.nodes.iter().filter(looks_dead).map(|node| node.pod.clone()).collect();
    let mut buried: Vec<PodId> =
        seen.nodes.iter().filter(|node| node.buried).map(|node| node.pod.clone()).collect();

    let unsettled = settle.saturating_sub(seen.stable);
    memory.breaker = match memory.breaker {
        Breaker::Closed if many => Breaker::Open { since: now },
        Breaker::Open { .. } if !many => Breaker::Closed,
        Breaker::Open { since } if now.saturating_sub(since) >= settle && unsettled.is_zero() => {
            Breaker::Spent
        }
        Breaker::Spent if dead.is_empty() && buried.is_empty() => {
            memory.known.retain(|_, known| !known.dead);
            Breaker::Closed
        }
        as_before => as_before,
    };
    if !matches!(memory.breaker, Breaker::Open { .. }) {
        memory.welcome(seen.nodes.iter().filter(|node| lives(node)), now);
    }
    let hold = match memory.breaker {
        // Who is alive shows only when everybody had the time to say so.
        _ if !unsettled.is_zero() => Some(Hold { reason: Reason::ServerChanged, remaining: unsettled }),
        Breaker::Open { since } => {
            let remaining = settle.saturating_sub(now.saturating_sub(since));
            Some(Hold { reason: Reason::ManyDead, remaining })
        }
        Breaker::Closed | Breaker::Spent => None,
    };
    if hold.is_some() {
        let hold = hold.filter(|_| !dead.is_empty() || !buried.is_empty());
        return (Plan { hold, ..Plan::default() }, memory);
    }
    dead.truncate(NODES_A_SWEEP);
    buried.truncate(NODES_A_SWEEP - dead.len());
    (Plan { bury: dead, sweep: buried, hold: None }, memory)
}

impl Memory {
    /// Brings what is known up to date. While the breaker is open, what was known before stands: else the dead would be
    /// forgotten by the time they are counted again.
    fn learn(&mut self, rules: &Rules, seen: &Nodes, now: Duration) {
        let by_pod: BTreeMap<&PodId, &NodeSeen> = seen.nodes.iter().map(|node| (&node.pod, node)).collect();
        let open = matches!(self.breaker, Breaker::Open { .. });
        self.known.retain(|pod, known| {
            match by_pod.get(pod) {
                Some(node) if lives(node) => *known = Known { alive_at: now, dead: false },
                Some(_) => known.dead = true,
                // Swept by us, or gone in order.
                None if !known.dead => return false,
                None => {}
            }
            open || !known.dead || now.saturating_sub(known.alive_at) <= rules.together
        });
        // Nobody knows what a new leader would have seen before: who is not buried was alive a short time ago.
        if !std::mem::replace(&mut self.started, true) {
            self.welcome(seen.nodes.iter().filter(|node| !node.buried), now);
        }
    }

    /// Knows these nodes from now on.
    fn welcome<'a>(&mut self, nodes: impl Iterator<Item = &'a NodeSeen>, now: Duration) {
        for node in nodes {
            self.known.entry(node.pod.clone()).or_insert(Known { alive_at: now, dead: !lives(node) });
        }
    }

    /// Whether more than the share of those who were alive of late are dead, and more than one. Who came back under the same
    /// readable name is not missing.
    fn many_died(&self, rules: &Rules, seen: &Nodes) -> bool {
        let names: BTreeSet<&str> =
            seen.nodes.iter().filter(|node| lives(node)).map(|node| node.pod.display_id()).collect();
        let counted =
            self.known.iter().filter(|(pod, known)| !known.dead || !names.contains(pod.display_id()));
        let (mut all, mut dead) = (0, 0);
        for (_, known) in counted {
            all += 1;
            dead += usize::from(known.dead);
        }
        dead >= 2 && dead * 100 > all * rules.percent
    }
}
