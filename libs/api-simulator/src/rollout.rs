//! What the controller of Deployments and the nodes do, as far as others see it: the status.
//!
//! Flow: a Deployment has a generation that was not observed -> a moment later it is, with the pods of before still serving
//! -> after a while all its pods are ready, or, where they never become so, its deadline passes.

use serde_json::{Map, Value, json};
use tokio::time::Duration;

use crate::{
    background::Work,
    call::{Call, Patch, Query, Verb},
    object::{Stored, meta, metadata},
    state::State,
};

/// How long a new generation goes unnoticed.
const NOTICING: Duration = Duration::from_millis(50);

/// Numbers the templates that a Deployment had.
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";

/// What a Deployment is given time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Notice,
    Ready,
    Deadline,
}

impl State {
    /// Plans what follows from a write of a Deployment.
    pub(crate) fn roll_later(&mut self, kind: usize, before: Option<&Stored>, after: &Stored) {
        let kept = before.is_some_and(|before| before.generation == after.generation);
        if kind == self.deployments && !kept && !after.deleting && self.settings.rollouts.is_some() {
            self.plan(NOTICING, Work::Roll(after.uid.clone(), Step::Notice));
        }
    }

    /// Takes a step of the Deployment of that uid, if it is there still.
    pub(crate) fn roll(&mut self, uid: &str, step: Step) {
        let (Some(delay), Some((kind, place))) = (self.settings.rollouts, self.store.find(uid).cloned())
        else {
            return;
        };
        let Some(stored) = self.store.get(kind, &place).cloned() else { return };
        let mut object = stored.value();
        let never = self.settings.never_ready.contains(&format!("{}/{}", place.namespace, place.name));
        let (status, revision) = self.status(&object, step);
        object["status"] = status;
        metadata(&mut object).remove("managedFields");
        if let Some(revision) = revision {
            let annotations = metadata(&mut object).entry("annotations").or_insert_with(|| json!({}));
            annotations[REVISION] = revision.to_string().into();
        }
        if step == Step::Notice {
            let deadline =
                object.pointer("/spec/progressDeadlineSeconds").and_then(Value::as_u64).unwrap_or(600);
            let ready = Work::Roll(stored.uid.clone(), Step::Ready);
            let late = Work::Roll(stored.uid.clone(), Step::Deadline);
            self.unplan(&ready);
            self.unplan(&late);
            if never {
                self.plan(Duration::from_secs(deadline), late);
            } else {
                self.plan(delay, ready);
            }
        }
        let call = Call {
            verb: Verb::Update,
            kind,
            status: true,
            place,
            query: Query { manager: "kube-controller-manager".to_owned(), ..Query::default() },
            patch: Patch::Merge,
            metadata_only: false,
            body: object.to_string().into(),
        };
        // It is there, and nobody came between.
        let done = self.execute(&call);
        debug_assert!(done.is_ok(), "{done:?}");
    }

    /// The status after that step, and the number of the template if it is a new one.
    fn status(&mut self, object: &Value, step: Step) -> (Value, Option<u64>) {
        let number = |path: &str| object.pointer(path).and_then(Value::as_u64).unwrap_or_default();
        let wanted = object.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
        let known = object["metadata"]["annotations"][REVISION].as_str().and_then(|text| text.parse().ok());
        let template = object.pointer("/spec/template").cloned().unwrap_or_default();
        let uid = meta(object, "uid").unwrap_or_default();
        let new = self.templates.get(uid) != Some(&template);
        let revision = (new && step == Step::Notice).then(|| known.unwrap_or(0_u64) + 1);
        if new {
            self.templates.insert(uid.into(), template);
        }
        let had = number("/status/readyReplicas").min(wanted);
        let (updated, ready) = match step {
            // The first new pod is there, and does nothing yet; the old ones serve.
            Step::Notice if new => (wanted.min(1), had),
            Step::Notice | Step::Deadline => (number("/status/updatedReplicas").min(wanted), had),
            Step::Ready => (wanted, wanted),
        };
        let mut status = Map::new();
        status.insert("observedGeneration".into(), object["metadata"]["generation"].clone());
        for (name, count) in [
            ("replicas", wanted),
            ("updatedReplicas", updated),
            ("readyReplicas", ready),
            ("availableReplicas", ready),
            ("unavailableReplicas", wanted - ready),
        ] {
            if count > 0 {
                status.insert(name.into(), count.into());
            }
        }
        // A quarter of the pods may be missing.
        let available = ready >= wanted - wanted / 4;
        let enough = if available { "MinimumReplicasAvailable" } else { "MinimumReplicasUnavailable" };
        let (progressing, progress) = match step {
            Step::Notice if ready == wanted && updated == wanted => (true, "NewReplicaSetAvailable"),
            Step::Notice => (true, "ReplicaSetUpdated"),
            Step::Ready => (true, "NewReplicaSetAvailable"),
            Step::Deadline => (false, "ProgressDeadlineExceeded"),
        };
        let conditions = [("Available", available, enough), ("Progressing", progressing, progress)]
            .map(|condition| self.condition(object, condition));
        status.insert("conditions".into(), conditions.into_iter().collect());
        (status.into(), revision)
    }

    /// A condition, with the times it had if it is as it was.
    fn condition(&self, object: &Value, (kind, holds, reason): (&str, bool, &str)) -> Value {
        let word = if holds { "True" } else { "False" };
        let before = object.pointer("/status/conditions").and_then(Value::as_array);
        let before = before.into_iter().flatten().find(|condition| condition["type"] == kind);
        let now: Value = self.clock.stamp().into();
        let time = |name: &str, same: bool| match before {
            Some(before) if same => before[name].clone(),
            _ => now.clone(),
        };
        let same = before.is_some_and(|before| before["status"] == word);
        let unchanged = same && before.is_some_and(|before| before["reason"] == reason);
        json!({
            "type": kind, "status": word, "reason": reason, "message": reason,
            "lastTransitionTime": time("lastTransitionTime", same),
            "lastUpdateTime": time("lastUpdateTime", unchanged),
        })
    }
}
