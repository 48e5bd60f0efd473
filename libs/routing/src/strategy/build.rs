//! The strategy of a route, and what endpoints say about it.

use std::{collections::HashSet, fmt};

use fundbond_protocol::{ClusterId, FieldProblem};
use http::HeaderName;

use super::{Group, Groups, Hashing, Strategy};
use crate::{
    Rendezvous, ShardError, ShardTable,
    spec::{ConsistentHashSpec, ShardBy, ShardGroupSpec, ShardGroupsSpec, StrategyKind, StrategySpec},
};

/// What is wrong with a route, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<FieldProblem>);

impl Problems {
    /// One more.
    pub fn add(&mut self, field: String, message: impl Into<String>) {
        self.0.push(FieldProblem { field, message: message.into() });
    }

    /// What `result` holds; where it holds an error, one problem more.
    pub fn keep<T, E: fmt::Display>(
        &mut self,
        field: impl FnOnce() -> String,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.add(field(), error.to_string())).ok()
    }
}

impl Strategy {
    /// The strategy of a route to endpoints with these `names`, of which each says its group in `groups`. What is wrong is
    /// added to `problems`, each with its field below `at`.
    pub fn build(
        spec: StrategySpec,
        names: &[&str],
        groups: &[Option<String>],
        problems: &mut Problems,
        at: &str,
    ) -> Option<Self> {
        build(spec, names, groups, problems, at)
    }
}

fn build(
    spec: StrategySpec,
    names: &[&str],
    groups: &[Option<String>],
    problems: &mut Problems,
    at: &str,
) -> Option<Strategy> {
    let StrategySpec { kind, consistent_hash, shard_groups } = spec;
    if consistent_hash.is_some() && kind != StrategyKind::ConsistentHash {
        misplaced(format!("{at}.strategy.consistentHash"), StrategyKind::ConsistentHash, problems);
    }
    if kind != StrategyKind::ShardGroups {
        if shard_groups.is_some() {
            misplaced(format!("{at}.strategy.shardGroups"), StrategyKind::ShardGroups, problems);
        }
        for (index, _) in groups.iter().enumerate().filter(|(_, group)| group.is_some()) {
            misplaced(format!("{at}.endpoints[{index}].group"), StrategyKind::ShardGroups, problems);
        }
    }
    match kind {
        StrategyKind::RoundRobin => Some(Strategy::RoundRobin),
        StrategyKind::LeastStreams => Some(Strategy::LeastStreams),
        StrategyKind::ClientIp => Some(Strategy::ClientIp(rendezvous(kind, names, problems, at))),
        StrategyKind::ConsistentHash => {
            let spec = consistent_hash.unwrap_or_default();
            let rendezvous = rendezvous(kind, names, problems, at);
            hashing(&spec, rendezvous, problems, at).map(Strategy::ConsistentHash)
        }
        StrategyKind::ShardGroups => {
            let field = format!("{at}.strategy.shardGroups");
            let Some(spec) = shard_groups else {
                problems.add(field, "is needed by kind ShardGroups: say which users belong to which group");
                return None;
            };
            let of_endpoints = members(&spec.groups, groups, problems, at);
            shards(spec, of_endpoints, problems, &field).map(Strategy::ShardGroups)
        }
    }
}

fn misplaced(field: String, kind: StrategyKind, problems: &mut Problems) {
    problems
        .add(field, format!("is only for strategy.kind {}: take it out or change the kind", kind.as_str()));
}

/// Endpoints are known by their names, which therefore differ: of two with one name the second would get nothing.
fn rendezvous(kind: StrategyKind, names: &[&str], problems: &mut Problems, at: &str) -> Rendezvous {
    let mut known = HashSet::new();
    for (index, name) in names.iter().enumerate() {
        if !known.insert(name) {
            let message = format!(
                "{name:?} names two endpoints: strategy.kind {} knows them by their names, give each its own",
                kind.as_str()
            );
            problems.add(format!("{at}.endpoints[{index}].name"), message);
        }
    }
    Rendezvous::new(names.iter().copied())
}

fn hashing(
    spec: &ConsistentHashSpec,
    rendezvous: Rendezvous,
    problems: &mut Problems,
    at: &str,
) -> Option<Hashing> {
    let header = HeaderName::try_from(spec.header.as_str())
        .map_err(|_| format!("{:?} is not a header name; write for example user-id", spec.header));
    let header = problems.keep(|| format!("{at}.strategy.consistentHash.header"), header)?;
    Some(Hashing { header, applies_to: spec.applies_to, load_bound: spec.load_bound, rendezvous })
}

/// The endpoints of each group.
fn members(
    specs: &[ShardGroupSpec],
    groups: &[Option<String>],
    problems: &mut Problems,
    at: &str,
) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); specs.len()];
    let known = || specs.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", ");
    for (endpoint, group) in groups.iter().enumerate() {
        let field = || format!("{at}.endpoints[{endpoint}].group");
        let Some(group) = group else {
            problems.add(field(), format!("is needed by kind ShardGroups: one of {}", known()));
            continue;
        };
        match specs.iter().position(|spec| spec.name == *group) {
            Some(index) => members[index].push(endpoint),
            None => {
                problems.add(field(), format!("{group:?} is no group of the strategy: one of {}", known()));
            }
        }
    }
    members
}

fn shards(
    spec: ShardGroupsSpec,
    members: Vec<Vec<usize>>,
    problems: &mut Problems,
    at: &str,
) -> Option<Groups> {
    let mut names = HashSet::new();
    for (index, group) in spec.groups.iter().enumerate() {
        let field = || format!("{at}.groups[{index}].name");
        problems.keep(field, ClusterId::parse(&group.name));
        if !names.insert(&group.name) {
            problems.add(field(), format!("{:?} names two groups", group.name));
        }
    }
    let table = match spec.by {
        ShardBy::Range => ranges(&spec, problems, at)?,
        ShardBy::Modulo => {
            for (index, _) in spec.groups.iter().enumerate().filter(|(_, group)| group.users.is_some()) {
                let message = "is only for by: Range; by Modulo users are dealt out in turn: take it out";
                problems.add(format!("{at}.groups[{index}].users"), message);
            }
            problems.keep(|| format!("{at}.groups"), ShardTable::modulo(spec.groups.len()))?
        }
    };
    let groups = spec.groups.into_iter().zip(members);
    let groups = groups.map(|(group, endpoints)| Group { name: group.name.into(), endpoints }).collect();
    Some(Groups { table, fallback: spec.fallback, groups })
}

fn ranges(spec: &ShardGroupsSpec, problems: &mut Problems, at: &str) -> Option<ShardTable> {
    let field = |group: usize| format!("{at}.groups[{group}].users");
    let mut ranges = Vec::with_capacity(spec.groups.len());
    for (index, group) in spec.groups.iter().enumerate() {
        match group.users {
            Some(users) => ranges.push((users.from, users.to)),
            None => problems.add(field(index), "is needed by: Range; write for example {from: 0, to: 999}"),
        }
    }
    if ranges.len() < spec.groups.len() {
        return None;
    }
    let place = |error: ShardError| error.group().map_or_else(|| format!("{at}.groups"), field);
    let table = match ShardTable::ranges(ranges) {
        Ok(table) => table,
        Err(error) => {
            problems.add(place(error), error.to_string());
            return None;
        }
    };
    if !spec.allow_gaps {
        for (group, first, last) in table.gaps() {
            let users =
                if first == last { format!("user {first}") } else { format!("users {first} to {last}") };
            let message = format!(
                "in front of it {users} would be in no group: close the gap, or set allowGaps and choose a fallback"
            );
            problems.add(field(group), message);
        }
    }
    Some(table)
}
