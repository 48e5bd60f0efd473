//! Hands: what users and controllers do to objects, without a client, without faults, at once.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use kube::Resource;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    call::{Call, Patch, Query, Verb},
    failure::Failure,
    object::{Place, meta},
    rollout::REVISION,
    select::Selector,
    simulator::{Shared, Simulator},
    state::Answered,
};

/// Somebody's hands.
#[derive(Clone, Debug)]
pub struct Hand {
    shared: Arc<Shared>,
    name: String,
}

impl Hand {
    pub(crate) fn new(shared: Arc<Shared>, name: &str) -> Self {
        Self { shared, name: name.to_owned() }
    }

    /// Makes an object. Its `metadata.namespace` says where; `default` if nothing does.
    ///
    /// # Errors
    /// The server's refusal, as of all that follow.
    pub fn create<K: Kind>(&self, object: &K) -> Result<K, Failure> {
        self.write(Verb::Create, false, object, |_| {})
    }

    /// Replaces an object.
    pub fn replace<K: Kind>(&self, object: &K) -> Result<K, Failure> {
        self.write(Verb::Update, false, object, |_| {})
    }

    /// Replaces the status of an object.
    pub fn replace_status<K: Kind>(&self, object: &K) -> Result<K, Failure> {
        self.write(Verb::Update, true, object, |_| {})
    }

    /// Applies a configuration, by force.
    pub fn apply<K: Kind>(&self, object: &K) -> Result<K, Failure> {
        self.write(Verb::Patch, false, object, |call| {
            call.patch = Patch::Apply;
            call.query.force = true;
        })
    }

    /// Reads an object.
    pub fn get<K: Kind>(&self, namespace: &str, name: &str) -> Option<K> {
        self.try_get(namespace, name).ok()
    }

    fn try_get<K: Kind>(&self, namespace: &str, name: &str) -> Result<K, Failure> {
        let call = self.call::<K>(Verb::Get, namespace, name)?;
        read(&self.shared, &call)
    }

    /// Merges a patch into an object.
    pub fn merge<K: Kind>(&self, namespace: &str, name: &str, patch: &Value) -> Result<K, Failure> {
        let mut call = self.call::<K>(Verb::Patch, namespace, name)?;
        call.body = Bytes::from(patch.to_string());
        read(&self.shared, &call)
    }

    /// Merges a patch into the status of an object: `patch` is the status alone.
    pub fn merge_status<K: Kind>(&self, namespace: &str, name: &str, patch: &Value) -> Result<K, Failure> {
        let mut call = self.call::<K>(Verb::Patch, namespace, name)?;
        call.status = true;
        call.body = Bytes::from(json!({"status": patch}).to_string());
        read(&self.shared, &call)
    }

    /// Deletes an object, and what belongs to it a while later.
    pub fn delete<K: Kind>(&self, namespace: &str, name: &str) -> Result<(), Failure> {
        self.delete_with::<K>(namespace, name, &Value::Null)
    }

    /// Deletes an object with the server's options, such as `{"propagationPolicy": "Foreground"}`.
    pub fn delete_with<K: Kind>(&self, namespace: &str, name: &str, options: &Value) -> Result<(), Failure> {
        let mut call = self.call::<K>(Verb::Delete, namespace, name)?;
        if !options.is_null() {
            call.body = Bytes::from(options.to_string());
        }
        self.shared.with(|state| state.execute(&call)).map(|_| ())
    }

    /// All objects of a kind in a namespace (in all, where it is empty) with such labels.
    pub fn list<K: Kind>(&self, namespace: &str, labels: &str) -> Result<Vec<K>, Failure> {
        let mut call = self.call::<K>(Verb::List, namespace, "")?;
        call.query.selector = Selector::parse(labels, "")?;
        let list: Value = read(&self.shared, &call)?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.into_iter().map(understood).collect()
    }

    fn write<K: Kind>(
        &self,
        verb: Verb,
        status: bool,
        object: &K,
        change: impl FnOnce(&mut Call),
    ) -> Result<K, Failure> {
        let mut object =
            serde_json::to_value(object).map_err(|error| Failure::bad_request(error.to_string()))?;
        for (name, own) in [("apiVersion", K::version()), ("kind", K::kind())] {
            object[name] = own.into();
        }
        let namespace = meta(&object, "namespace").unwrap_or("default").to_owned();
        let name = meta(&object, "name").filter(|_| verb != Verb::Create).unwrap_or_default();
        let mut call = self.call::<K>(verb, &namespace, name)?;
        call.status = status;
        call.body = Bytes::from(object.to_string());
        change(&mut call);
        read(&self.shared, &call)
    }

    fn call<K: Kind>(&self, verb: Verb, namespace: &str, name: &str) -> Result<Call, Failure> {
        let (group, version, plural) = K::path();
        let kind = self.shared.resources.of_path(&group, &version, &plural);
        Ok(Call {
            verb,
            kind: kind.ok_or_else(Failure::no_such_path)?,
            status: false,
            place: Place::new(namespace, name),
            query: Query { manager: self.name.clone(), ..Query::default() },
            patch: Patch::Merge,
            metadata_only: false,
            body: Bytes::new(),
        })
    }
}

fn read<T: DeserializeOwned>(shared: &Shared, call: &Call) -> Result<T, Failure> {
    let answer = shared.with(|state| state.execute(call))?;
    let text = match answer.body {
        Answered::Object(stored) => stored.text.clone(),
        Answered::Text(text) => text,
    };
    serde_json::from_slice(&text).map_err(|error| Failure::bad_request(error.to_string()))
}

fn understood<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| Failure::bad_request(error.to_string()))
}

/// A type of Rust that is a kind of the server.
pub trait Kind: Serialize + DeserializeOwned {
    /// `apps/v1`.
    fn version() -> String;
    /// `Deployment`.
    fn kind() -> String;
    /// Group, version, plural.
    fn path() -> (String, String, String);
}

impl<K> Kind for K
where
    K: Resource<DynamicType = ()> + Serialize + DeserializeOwned,
{
    fn version() -> String {
        K::api_version(&()).into_owned()
    }

    fn kind() -> String {
        <K as Resource>::kind(&()).into_owned()
    }

    fn path() -> (String, String, String) {
        (K::group(&()).into_owned(), K::version(&()).into_owned(), K::plural(&()).into_owned())
    }
}

impl Simulator {
    /// All objects, by `deployments.apps/funds/one`, as they are kept.
    pub fn objects(&self) -> BTreeMap<String, Value> {
        let state = self.shared.state();
        let mut all = BTreeMap::new();
        for objects in state.store.kinds() {
            for (place, stored) in &objects.live {
                let name = format!("{}/{}/{}", objects.resource.qualified(), place.namespace, place.name);
                all.insert(name, stored.value());
            }
        }
        all
    }

    /// All objects without what differs from run to run although nothing is different: uids, versions, times, addresses,
    /// who wrote what. Owners are told by kind and name. Leases and events are left out, as they tick.
    pub fn lasting_objects(&self) -> BTreeMap<String, Value> {
        let mut all = self.objects();
        all.retain(|name, _| !name.starts_with("leases.") && !name.starts_with("events"));
        for object in all.values_mut() {
            settle(object);
        }
        all
    }
}

/// Takes out what is of one run alone.
fn settle(object: &mut Value) {
    // The next address that is free; that a Service wants none is its own word.
    let has_address = object["spec"]["clusterIP"].as_str().is_some_and(|address| address != "None");
    if let Some(spec) = object["spec"].as_object_mut().filter(|_| has_address) {
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
    if let Some(fields) = object["metadata"].as_object_mut() {
        for name in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "deletionTimestamp",
            "managedFields",
            "generation",
        ] {
            fields.remove(name);
        }
        if let Some(annotations) = fields.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(REVISION);
            if annotations.is_empty() {
                fields.remove("annotations");
            }
        }
        for owner in fields.get_mut("ownerReferences").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(owner) = owner.as_object_mut() {
                owner.remove("uid");
            }
        }
    }
    let conditions = object.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten().filter_map(Value::as_object_mut) {
        for name in ["lastTransitionTime", "lastUpdateTime", "lastHeartbeatTime", "observedGeneration"] {
            condition.remove(name);
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("observedGeneration");
    }
}
