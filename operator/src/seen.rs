//! What the operator keeps of an object that it has seen: as little as decides whether something is to be done.

use std::{fmt, sync::Arc};

use fundbond_crds::{GROUP, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{
    Resource,
    api::{ApiResource, DynamicObject},
    core::{DynamicResourceScope, PartialObjectMeta},
};
use serde::Deserialize;
use std::borrow::Cow;
use uuid::Uuid;

use crate::{
    fields::{Books, Fields},
    kinds::Kind,
    wanted::DIGEST,
};

/// Which FundCluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl Key {
    /// That of a name in a namespace.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// That of a FundCluster.
    pub(crate) fn of(meta: &ObjectMeta) -> Self {
        Self::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }

    /// Whose child an object is: its controller's, or that of its label where somebody took the controller away.
    pub(crate) fn of_child(meta: &ObjectMeta) -> Option<Self> {
        let label = || meta.labels.as_ref()?.get(labels::INSTANCE).map(String::as_str);
        let name = controller(meta).map(|owner| owner.name.as_str()).or_else(label)?;
        Some(Self::new(meta.namespace.as_deref().unwrap_or_default(), name))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The FundCluster that controls an object.
fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    owners.iter().find(|owner| {
        owner.controller == Some(true)
            && owner.kind == "FundCluster"
            && owner.api_version.split('/').next() == Some(GROUP)
    })
}

/// Which writing of an object: a greater one is later. 0 where the server counts in another way, and nothing is known.
pub(crate) fn version(meta: &ObjectMeta) -> u64 {
    meta.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

/// Which object it is, whatever its name: a sixth of what the text takes, for as long as it is a UUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Uid {
    Uuid([u8; 16]),
    Other(Box<str>),
}

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        // Only what is written again as it was read: two texts of one UUID are two uids for a server.
        let uuid = Uuid::try_parse(text).ok().filter(|uuid| uuid.hyphenated().to_string() == text);
        uuid.map_or_else(|| Self::Other(text.into()), |uuid| Self::Uuid(uuid.into_bytes()))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(bytes) => Uuid::from_bytes(*bytes).hyphenated().fmt(f),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// A child as it was seen last.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    pub(crate) name: Box<str>,
    pub(crate) uid: Uid,
    pub(crate) version: u64,
    /// The uid of the FundCluster that controls it.
    pub(crate) owner: Option<Uid>,
    /// What was applied, if it says so.
    pub(crate) digest: Option<u64>,
    /// What of it is the operator's.
    pub(crate) fields: Option<Fields>,
    /// What was applied and did not become the operator's all the same: a server that knows fewer fields takes no more of
    /// it, however often it is asked.
    pub(crate) settled: Option<(u64, Fields)>,
    /// Whether it is being deleted.
    pub(crate) leaving: bool,
    pub(crate) detail: Detail,
}

/// What is looked at of one kind and not of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    Nothing,
    /// Of a Deployment.
    Rollout(Box<Rollout>),
    /// Of a GatewayRoute: its own count of changes.
    Route(i64),
}

/// How far a Deployment is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rollout {
    /// Whether these are the pods that run tasks and hold streams.
    pub(crate) pods: bool,
    pub(crate) generation: i64,
    /// The generation that the numbers are about.
    pub(crate) observed: i64,
    /// As many as there should be.
    pub(crate) wanted: i32,
    pub(crate) total: i32,
    pub(crate) updated: i32,
    pub(crate) ready: i32,
    pub(crate) available: i32,
    /// Why it does not go on.
    pub(crate) failure: Option<Box<str>>,
}

impl Rollout {
    /// Whether all that is wanted is there, in its newest form, and nothing else.
    pub(crate) fn is_done(&self) -> bool {
        self.observed >= self.generation
            && self.updated >= self.wanted
            && self.total <= self.updated
            && self.available >= self.wanted
    }
}

impl Seen {
    /// Whether it was made by an operator, whatever became of it. A copy that somebody made of one, labels and all, is
    /// theirs.
    pub(crate) fn is_own(&self) -> bool {
        self.owner.is_some() || self.fields.is_some()
    }

    /// What is kept of an object; none of one that nobody's child is.
    pub(crate) fn of(kind: Kind, object: &Whole, books: &mut Books) -> Option<(Key, Self)> {
        let key = Key::of_child(&object.metadata)?;
        Some((key, Self::read(kind, object, books)))
    }

    /// What is kept of an object, whosever it is.
    pub(crate) fn read(kind: Kind, object: &Whole, books: &mut Books) -> Self {
        let meta = &object.metadata;
        let digest = meta.annotations.as_ref().and_then(|annotations| annotations.get(DIGEST));
        let detail = match kind {
            Kind::Deployment => Detail::Rollout(Box::new(object.rollout())),
            Kind::GatewayRoute => Detail::Route(object.spec.generation.unwrap_or_default()),
            _ => Detail::Nothing,
        };
        Self {
            kind,
            name: meta.name.as_deref().unwrap_or_default().into(),
            uid: meta.uid.as_deref().unwrap_or_default().into(),
            version: version(meta),
            owner: controller(meta).map(|owner| owner.uid.as_str().into()),
            digest: digest.and_then(|digest| u64::from_str_radix(digest, 16).ok()),
            fields: books.applied(meta.managed_fields.as_deref().unwrap_or_default()),
            settled: None,
            leaving: meta.deletion_timestamp.is_some(),
            detail,
        }
    }
}

/// An object of any kind, with those of its fields that are looked at.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Whole {
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    replicas: Option<i32>,
    generation: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: i64,
    replicas: i32,
    updated_replicas: i32,
    ready_replicas: i32,
    available_replicas: i32,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    about: String,
    status: String,
    reason: String,
    message: String,
}

impl Whole {
    fn rollout(&self) -> Rollout {
        let status = &self.status;
        let failed = status.conditions.iter().find(|condition| {
            matches!(
                (&*condition.about, &*condition.status),
                ("Progressing", "False") | ("ReplicaFailure", "True")
            )
        });
        let component = self.metadata.labels.as_ref().and_then(|labels| labels.get(labels::COMPONENT));
        Rollout {
            pods: component.is_some_and(|component| component == labels::PODS),
            generation: self.metadata.generation.unwrap_or_default(),
            observed: status.observed_generation,
            // What the server fills in where nobody says it.
            wanted: self.spec.replicas.unwrap_or(1),
            total: status.replicas,
            updated: status.updated_replicas,
            ready: status.ready_replicas,
            available: status.available_replicas,
            failure: failed.map(|condition| format!("{}: {}", condition.reason, condition.message).into()),
        }
    }
}

impl From<PartialObjectMeta<DynamicObject>> for Whole {
    fn from(head: PartialObjectMeta<DynamicObject>) -> Self {
        Self { metadata: head.metadata, spec: Spec::default(), status: Status::default() }
    }
}

impl Resource for Whole {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
