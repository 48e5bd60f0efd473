//! The garbage collector: what belongs to nobody any more is deleted.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    background::Work,
    object::{Place, Stored, finalizers, metadata},
    state::State,
    verbs::{FOREGROUND, ORPHAN, Propagation},
};

impl State {
    /// Plans to look at whatever a write may have left without an owner, or may have freed.
    pub(crate) fn collect_later(&mut self, before: Option<&Stored>, after: Option<&Stored>) {
        let Some(delay) = self.settings.garbage_collection else { return };
        let uids = match (before, after) {
            // Gone: what belonged to it, and who waits for it to go.
            (Some(before), None) => {
                let owners = before.owners.iter().map(|owner| owner.uid.clone());
                owners.chain([before.uid.clone()]).collect::<Vec<_>>()
            }
            (_, Some(after)) if after.deleting => vec![after.uid.clone()],
            // New owners, who may be gone already.
            (_, Some(after)) => {
                let owners = after.owners.iter().map(|owner| owner.uid.clone());
                owners.filter(|uid| self.store.find(uid).is_none()).collect()
            }
            (None, None) => Vec::new(),
        };
        for uid in uids {
            let dependents = self.store.has_dependents(&uid);
            if dependents || after.is_some() || self.store.find(&uid).is_some() {
                self.plan(delay, Work::Collect(uid));
            }
        }
    }

    /// Sees what the object of that uid means for what belongs to it.
    pub(crate) fn collect(&mut self, uid: &Arc<str>) {
        let Some((kind, place)) = self.store.find(uid).cloned() else {
            for (kind, place) in self.store.dependents(uid) {
                self.leave(kind, &place);
            }
            return;
        };
        let Some(stored) = self.store.get(kind, &place).cloned().filter(|stored| stored.deleting) else {
            return;
        };
        let object = stored.value();
        if finalizers(&object).contains(&ORPHAN) {
            for (kind, place) in self.store.dependents(uid) {
                self.disown(kind, &place, |owner| *owner == **uid);
            }
            self.let_go(kind, &place, &object, ORPHAN);
        } else if finalizers(&object).contains(&FOREGROUND) {
            let mut waiting = false;
            for (kind, place) in self.store.dependents(uid) {
                let Some(dependent) = self.store.get(kind, &place).cloned() else { continue };
                let blocking =
                    dependent.owners.iter().any(|owner| owner.uid == *uid && owner.block_owner_deletion);
                if !dependent.deleting {
                    let below = self.store.has_dependents(&dependent.uid);
                    let propagation = if below { Propagation::Foreground } else { Propagation::Background };
                    self.remove(kind, &place, &dependent, Some(propagation));
                }
                waiting |= blocking && self.store.get(kind, &place).is_some();
            }
            if !waiting {
                self.let_go(kind, &place, &object, FOREGROUND);
            }
        }
    }

    /// An owner of that object is gone: so is the object, unless somebody else owns it.
    fn leave(&mut self, kind: usize, place: &Place) {
        let Some(dependent) = self.store.get(kind, place).cloned() else { return };
        let owned = dependent.owners.iter().any(|owner| self.store.find(&owner.uid).is_some());
        if owned {
            let gone: Vec<_> = dependent.owners.iter().map(|owner| owner.uid.clone()).collect();
            let gone: Vec<_> = gone.into_iter().filter(|uid| self.store.find(uid).is_none()).collect();
            self.disown(kind, place, |owner| gone.iter().any(|gone| **gone == *owner));
        } else {
            self.remove(kind, place, &dependent, Some(Propagation::Background));
        }
    }

    /// Takes owners out of an object.
    fn disown(&mut self, kind: usize, place: &Place, gone: impl Fn(&str) -> bool) {
        let Some(stored) = self.store.get(kind, place).cloned() else { return };
        let mut object = stored.value();
        let fields = metadata(&mut object);
        if let Some(Value::Array(owners)) = fields.get_mut("ownerReferences") {
            owners.retain(|owner| !owner["uid"].as_str().is_some_and(&gone));
            if owners.is_empty() {
                fields.remove("ownerReferences");
            }
        }
        self.put(kind, place.clone(), &object);
    }

    /// Takes a finalizer out of an object, which is gone if it was the last.
    fn let_go(&mut self, kind: usize, place: &Place, object: &Value, finalizer: &str) {
        let mut held = finalizers(object);
        held.retain(|held| *held != finalizer);
        if held.is_empty() {
            self.take(kind, place);
            return;
        }
        let mut freed = object.clone();
        metadata(&mut freed).insert("finalizers".to_owned(), json!(held));
        self.put(kind, place.clone(), &freed);
    }
}
