//! Deleting: at once, or when nothing holds the object any more.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    call::Call,
    failure::Failure,
    object::{Place, Stored, finalizers, metadata},
    resources::Resource,
    state::{Answer, Answered, State},
};

/// Holds an object until everything that belongs to it is gone.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// Holds an object until nothing belongs to it any more.
pub(crate) const ORPHAN: &str = "orphan";

/// What becomes of what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// What a deletion says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Deletion {
    pub(crate) propagation_policy: Option<Propagation>,
    preconditions: Preconditions,
    dry_run: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Preconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl State {
    pub(super) fn delete(&mut self, call: &Call) -> Result<Answer, Failure> {
        let resource = self.resource(call.kind);
        let name = &call.place.name;
        let deletion: Deletion = if call.body.is_empty() {
            Deletion::default()
        } else {
            let wrong =
                |error| Failure::bad_request(format!("the options of a deletion cannot be read: {error}"));
            serde_json::from_slice(&call.body).map_err(wrong)?
        };
        let stored = self.store.get(call.kind, &call.place).cloned();
        let stored = stored.ok_or_else(|| Failure::not_found(&resource, name))?;
        if let Some(uid) = &deletion.preconditions.uid
            && **uid != *stored.uid
        {
            let found = &stored.uid;
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {found}");
            return Err(Failure::conflict(&resource, name, &why));
        }
        if let Some(revision) = &deletion.preconditions.resource_version
            && *revision != stored.revision.to_string()
        {
            let found = stored.revision;
            let why = format!(
                "Precondition failed: ResourceVersion in precondition: {revision}, ResourceVersion in object meta: {found}"
            );
            return Err(Failure::conflict(&resource, name, &why));
        }
        if call.query.dry_run || !deletion.dry_run.is_empty() {
            return Ok(Answer { code: 200, body: deleted(&resource, &stored, name), changed: false });
        }
        Ok(self.remove(call.kind, &call.place, &stored, deletion.propagation_policy))
    }

    /// Deletes an object, or has it wait for those that hold it.
    pub(crate) fn remove(
        &mut self,
        kind: usize,
        place: &Place,
        stored: &Arc<Stored>,
        propagation: Option<Propagation>,
    ) -> Answer {
        let resource = self.resource(kind);
        let mut object = stored.value();
        let mut held: Vec<String> = finalizers(&object).into_iter().map(ToOwned::to_owned).collect();
        if let Some(propagation) = propagation {
            held.retain(|finalizer| finalizer != FOREGROUND && finalizer != ORPHAN);
            match propagation {
                Propagation::Background => {}
                Propagation::Foreground => held.push(FOREGROUND.to_owned()),
                Propagation::Orphan => held.push(ORPHAN.to_owned()),
            }
        }
        if held.is_empty() {
            self.take(kind, place);
            return Answer { code: 200, body: deleted(&resource, stored, &place.name), changed: true };
        }
        let unchanged = held == finalizers(&object);
        if stored.deleting && unchanged {
            return Answer { code: 200, body: Answered::Object(stored.clone()), changed: false };
        }
        let now = self.clock.stamp();
        let fields = metadata(&mut object);
        fields.insert("finalizers".to_owned(), json!(held));
        if !stored.deleting {
            fields.insert("deletionTimestamp".to_owned(), now.into());
            fields.insert("deletionGracePeriodSeconds".to_owned(), 0.into());
            if let Some(generation) = fields.get("generation").and_then(Value::as_i64) {
                fields.insert("generation".to_owned(), (generation + 1).into());
            }
        }
        let stored = self.put(kind, place.clone(), &object);
        Answer { code: 200, body: Answered::Object(stored), changed: true }
    }
}

/// What is answered where an object is gone.
fn deleted(resource: &Resource, stored: &Stored, name: &str) -> Answered {
    let mut details = json!({"name": name, "kind": resource.plural, "uid": &*stored.uid});
    if !resource.group.is_empty() {
        details["group"] = resource.group.as_str().into();
    }
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    Answered::Text(Bytes::from(status.to_string()))
}
