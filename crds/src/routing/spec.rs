//! How one of the pods is chosen, as hops and whoever asks what they will do read it.

use fundbond_routing::{
    LoadBound, LoadBoundError,
    spec::{ConsistentHashSpec, ShardGroupSpec, ShardGroupsSpec, StrategySpec, UsersSpec},
};

use super::{ConsistentHash, Routing, ShardGroups};

impl Routing {
    /// The strategy, as a route file has it.
    ///
    /// # Errors
    /// The load bound is none; the schema sees to that for what a server has taken.
    pub fn to_spec(&self) -> Result<StrategySpec, LoadBoundError> {
        Ok(StrategySpec {
            kind: self.strategy,
            consistent_hash: self.consistent_hash.as_ref().map(consistent_hash).transpose()?,
            shard_groups: self.shard_groups.as_ref().map(shard_groups),
        })
    }
}

fn consistent_hash(spec: &ConsistentHash) -> Result<ConsistentHashSpec, LoadBoundError> {
    Ok(ConsistentHashSpec {
        header: spec.header.clone(),
        applies_to: spec.applies_to,
        load_bound: LoadBound::new(spec.load_bound)?,
    })
}

fn shard_groups(spec: &ShardGroups) -> ShardGroupsSpec {
    // The schema has no negative users.
    let user = |user: i64| u64::try_from(user).unwrap_or_default();
    ShardGroupsSpec {
        by: spec.by,
        groups: spec
            .groups
            .iter()
            .map(|group| ShardGroupSpec {
                name: group.name.clone(),
                users: group.users.map(|users| UsersSpec { from: user(users.from), to: user(users.to) }),
            })
            .collect(),
        allow_gaps: spec.allow_gaps,
        fallback: spec.fallback,
    }
}
