//! Whose turn it is.

use std::sync::Arc;

use fundbond_routing::{LeastStreams, RoundRobin};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{Aim, Carried, Route, RouteTable, Signals, Strategy};

/// An endpoint that a request may be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its place in the route.
    pub endpoint: usize,
    /// Whether the endpoint of the request's key was passed over because it had its share.
    pub spilled: bool,
}

/// What the strategy of one route remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Turn {
    /// Of all endpoints.
    all: RoundRobin,
    /// Of each group's own.
    groups: Vec<RoundRobin>,
}

impl Turn {
    fn new(strategy: &Strategy) -> Self {
        Self { all: RoundRobin::default(), groups: vec![RoundRobin::default(); strategy.groups().len()] }
    }
}

/// Whose turn it is, for every route of a table, and the randomness of the strategies that draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picker {
    turns: Vec<Turn>,
    random: SmallRng,
}

impl Picker {
    /// The picker of `table`; routes that `previous` knows by name keep their turn, so that frequent
    /// edits do not send everything to the first endpoint. The same `seed` draws the same.
    pub fn new(table: &RouteTable, previous: Option<(&RouteTable, &Picker)>, seed: u64) -> Self {
        let carried = previous.map(|(before, picker)| (Carried::between(before, table), before, picker));
        let turn = |(place, route): (usize, &Arc<Route>)| {
            let known = carried.as_ref().and_then(|(carried, before, picker)| {
                let at = carried.of_name(place, &route.name)?;
                let turn = picker.turns.get(at)?;
                let turns_as_before = carried.same(place).is_some()
                    || before.routes().get(at)?.strategy.turns_as(&route.strategy);
                turns_as_before.then(|| turn.clone())
            });
            known.unwrap_or_else(|| Turn::new(&route.strategy))
        };
        Self {
            turns: table.routes().iter().enumerate().map(turn).collect(),
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// One of the endpoints of `route` for which `usable` holds, or none where it holds for none that may take the request.
    pub(super) fn pick(
        &mut self,
        route: usize,
        strategy: &Strategy,
        aim: Aim,
        signals: &[Signals],
        usable: impl Fn(usize) -> bool,
    ) -> Option<Choice> {
        let turn = self.turns.get_mut(route)?;
        let load = |endpoint: usize| signals.get(endpoint).map_or(usize::MAX, Signals::load);
        let endpoint = match (strategy, aim) {
            (Strategy::LeastStreams, _) => {
                let draw = |below: usize| self.random.random_range(0..below);
                LeastStreams.pick(signals.len(), usable, load, draw)
            }
            (Strategy::ClientIp(rendezvous), Aim::Key(key)) => rendezvous.pick(key, usable),
            (Strategy::ConsistentHash(hashing), Aim::Key(key)) => {
                let picked = hashing.rendezvous.pick_bounded(key, hashing.load_bound, usable, load)?;
                return Some(Choice { endpoint: picked.endpoint, spilled: picked.spilled });
            }
            (Strategy::ShardGroups(groups), Aim::Group(group)) => {
                let members = groups.members(group);
                let turn = turn.groups.get_mut(group)?;
                let picked =
                    turn.pick(members.len(), |member| members.get(member).copied().is_some_and(&usable))?;
                members.get(picked).copied()
            }
            _ => turn.all.pick(signals.len(), usable),
        };
        endpoint.map(|endpoint| Choice { endpoint, spilled: false })
    }
}
