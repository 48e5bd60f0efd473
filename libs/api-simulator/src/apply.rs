//! Server-side apply: who owns which field, what a configuration makes of an object, and who is in its way.
//!
//! Flow of an apply: the configuration is laid over the object -> what its manager applied last time and does not now is
//! taken out, unless somebody else has it -> whoever owned what changes is asked (409) or loses it. Of any other write:
//! what changes is the writer's from then on, and nobody else's.
//!
//! Nothing here knows of a store, a clock or HTTP.

mod compare;
pub(crate) mod managers;
mod merge;

use serde_json::Value;

use self::{
    compare::{Difference, places, with_named},
    managers::{Manager, Managers},
    merge::{merged, remove},
};
use crate::{fields::Fields, shape::Shape};
pub(crate) use merge::Mismatch;

/// Somebody owns what would change: who, and where.
#[derive(Debug)]
pub(crate) struct Conflict {
    pub(crate) manager: String,
    pub(crate) path: String,
}

/// What keeps a configuration from being applied.
#[derive(Debug)]
pub(crate) enum Refused {
    Conflicts(Vec<Conflict>),
    Mismatch(Mismatch),
}

/// What nobody owns, as it is not the writers' to say.
fn stripped() -> Fields {
    let mut fields = Fields::default();
    for path in [&["apiVersion"][..], &["kind"], &["metadata"]] {
        fields.extend(&Fields::at(path));
    }
    for name in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ] {
        fields.extend(&Fields::at(&["metadata", name]));
    }
    fields
}

/// Who writes, and what the server takes back of anything they write there.
pub(crate) struct Writer<'a> {
    pub(crate) shape: &'a Shape,
    pub(crate) manager: Manager,
    pub(crate) reset: &'a Fields,
    pub(crate) now: String,
}

impl Writer<'_> {
    /// What comes of `live` when `configuration` is applied to it, and who owns what then.
    pub(crate) fn apply(
        &self,
        live: &Value,
        configuration: &Value,
        mut managers: Managers,
        force: bool,
    ) -> Result<(Value, Managers), Refused> {
        let mut new = merged(self.shape, live.clone(), configuration, "").map_err(Refused::Mismatch)?;
        let mut fields = places(self.shape, configuration);
        fields.here = false;
        fields.cut(self.reset);
        let own = managers.iter().position(|manager| manager.is(&self.manager));
        let last = own.map(|index| managers.remove(index));
        let mut current = Manager { fields, ..self.manager.clone() };
        if let Some(last) = &last
            && !last.fields.is_within(&current.fields)
        {
            self.prune(&mut new, &last.fields, &current.fields, &managers);
        }
        self.take(live, &new, &mut managers, force)?;
        current.fields.subtract(&stripped());
        let unchanged = last.as_ref().is_some_and(|last| last.fields == current.fields);
        current.time = match last {
            Some(last) if unchanged && new == *live => last.time,
            _ => self.now.clone(),
        };
        if !current.fields.is_empty() {
            managers.push(current);
        }
        Ok((new, managers))
    }

    /// Takes out what was applied last time and is not now, unless somebody else has it.
    fn prune(&self, new: &mut Value, last: &Fields, current: &Fields, others: &Managers) {
        let last = with_named(self.shape, last);
        let all = with_named(self.shape, &places(self.shape, new));
        let mut pruned = new.clone();
        remove(self.shape, &mut pruned, &last);
        // What somebody has comes back, with what it stands in.
        let mut kept = with_named(self.shape, current);
        for other in others {
            kept.extend(&with_named(self.shape, &other.fields));
        }
        kept.extend(&with_named(self.shape, &places(self.shape, &pruned)));
        let mut gone = all.clone();
        gone.subtract(&kept);
        let mut back = new.clone();
        remove(self.shape, &mut back, &gone);
        // Of the rest goes only what was this manager's.
        let mut gone = all;
        gone.subtract(&with_named(self.shape, &places(self.shape, &back)));
        remove(self.shape, new, &gone.common(&last));
    }

    /// Takes what changes away from everybody else.
    fn take(&self, old: &Value, new: &Value, managers: &mut Managers, force: bool) -> Result<(), Refused> {
        let difference = Difference::between(self.shape, old, new).without(self.reset);
        Self::take_of(&difference, managers, force)
    }

    fn take_of(difference: &Difference, managers: &mut Managers, force: bool) -> Result<(), Refused> {
        let written = difference.written();
        if !force {
            let conflicts = managers.iter().flat_map(|manager| {
                let paths = manager.fields.common(&written).paths();
                paths.into_iter().map(|path| Conflict { manager: manager.told(), path })
            });
            let conflicts: Vec<_> = conflicts.collect();
            if !conflicts.is_empty() {
                return Err(Refused::Conflicts(conflicts));
            }
        }
        for manager in managers.iter_mut() {
            manager.fields.subtract(&written);
            manager.fields.subtract(&difference.removed);
        }
        managers.retain(|manager| !manager.fields.is_empty());
        Ok(())
    }

    /// Who owns what after any other write than an apply made `new` of `old`.
    pub(crate) fn update(&self, old: &Value, new: &Value, mut managers: Managers) -> Managers {
        let difference = Difference::between(self.shape, old, new).without(self.reset);
        let mut fields = difference.written();
        fields.subtract(&stripped());
        // That cannot conflict: nobody is asked.
        let _: Result<(), Refused> = Self::take_of(&difference, &mut managers, true);
        if fields.is_empty() {
            return managers;
        }
        match managers.iter_mut().find(|manager| manager.is(&self.manager)) {
            Some(own) => {
                own.fields.extend(&fields);
                own.time.clone_from(&self.now);
            }
            None => managers.push(Manager { fields, time: self.now.clone(), ..self.manager.clone() }),
        }
        managers
    }
}
