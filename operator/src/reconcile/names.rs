//! What there is by the names of children.
//!
//! Watches tell only of what has the operator's labels; and who applies takes over whatever is there, unless somebody else says
//! the very same fields. So where something is to be made, it is asked first what is there by that name. Nobody asks for what the
//! cache knows: an operator that starts anew finds everything there.

use std::collections::HashMap;

use super::Reconciler;
use crate::{
    failure::Failure,
    kinds::Kind,
    plan::{Plan, Step},
    seen::{Key, Seen},
};

/// What is there by the name of a child.
pub(super) enum There {
    Nothing,
    /// It, or what becomes it.
    Own(Seen),
    /// Something else.
    Others,
}

/// What cannot be made, and why.
pub(super) type Refused = HashMap<(Kind, Box<str>), String>;

/// What was found where something was to be made.
#[derive(Default)]
pub(super) struct Found {
    /// Children that no watch has told of.
    pub(super) own: Vec<Seen>,
    pub(super) refused: Refused,
}

impl Reconciler {
    /// Looks wherever something is to be made.
    pub(super) async fn find(&self, key: &Key, plan: &Plan) -> Result<Found, Failure> {
        let mut found = Found::default();
        for step in &plan.steps {
            let Step::Create(wanted) = step else { continue };
            let (kind, name) = (wanted.kind, &wanted.name);
            let why = match self.look_again(key, kind, name).await {
                Ok(There::Nothing) => continue,
                Ok(There::Own(seen)) => {
                    found.own.push(seen);
                    continue;
                }
                Ok(There::Others) => taken(kind),
                Err(failure) => lacking(kind, failure),
            };
            match why {
                Failure::Refused(why) => found.refused.insert((kind, name.clone()), why),
                failure => return Err(failure),
            };
        }
        Ok(found)
    }

    /// Reads afresh what is there by the name of a child.
    pub(super) async fn look_again(&self, key: &Key, kind: Kind, name: &str) -> Result<There, Failure> {
        let there = match self.server.child(kind, &key.namespace, name).await? {
            None => There::Nothing,
            Some(object) => match self.keep(key, kind, &object) {
                Some(seen) => return Ok(There::Own(seen)),
                None => There::Others,
            },
        };
        self.cache.child_not_found(key, kind, name);
        Ok(there)
    }
}

/// What is there is left as it is.
pub(super) fn taken(kind: Kind) -> Failure {
    Failure::Refused(format!(
        "there is a {} of that name which is not this FundCluster's: delete it, or give the FundCluster another name",
        kind.as_str()
    ))
}

/// The same failure, said better where the server does not know the kind.
pub(super) fn lacking(kind: Kind, failure: Failure) -> Failure {
    match (failure, kind.brought_by()) {
        (Failure::Absent(_), Some(who)) => {
            Failure::Refused(format!("the cluster has no such kind: install {who}, or do not ask for it"))
        }
        (failure, _) => failure,
    }
}
