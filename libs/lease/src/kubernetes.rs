//! Leases as Kubernetes keeps them: `coordination.k8s.io/v1`.
//!
//! Flow: what was read is kept ([`object`]) -> a write changes of it what says who leads, and sends the rest as it was, so
//! that labels, owners and whatever else others put there stay -> the answer is kept in turn.
//!
//! Three things of a write keep two candidates apart, and none is ever left out. `resourceVersion`: the server refuses a
//! write over anything but that very writing. `uid`: a lease may be made by a replacement as well, so that one which was
//! deleted would come back under its old version. One request an attempt: the client of these leases never asks twice by
//! itself, or nobody would know when a renewal was sent. (A write over something that was never read here is two, for it
//! must be read first. No candidate does that.)
//!
//! Reads name no version, which is how the server is asked for what the majority agreed on and not for what it remembers.

mod error;
mod object;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client, Config,
    api::{ApiResource, DynamicObject, PostParams},
    config::InferConfigError,
    core::Status,
};

use crate::{
    Expected, LeaseError, LeaseStore, Stored, Timing, Version, Written,
    names::{LeaseName, Namespace, Owner},
};
pub use error::{KubernetesError, NoKubernetes};

/// No connection takes longer than an attempt may.
const CONNECT: Duration = Timing::USUAL.attempt;

/// A connection on which nothing came for so long is cut, so that one that died silently is not used again: more than an
/// attempt, which is over before, and more than the time between two.
const SILENCE: Duration = Duration::from_secs(5);

/// A Kubernetes to keep leases in.
#[derive(Clone)]
pub struct Kubernetes {
    client: Client,
    namespace: Namespace,
}

impl Kubernetes {
    /// That of the environment: of the kubeconfig, or of the pod this runs in.
    ///
    /// # Errors
    /// There is none, or it cannot be spoken to as it wants.
    pub async fn of_environment() -> Result<Self, NoKubernetes> {
        let config = Config::infer()
            .await
            .map_err(|error: InferConfigError| NoKubernetes::Nowhere(Box::new(error)))?;
        Self::of(config)
    }

    /// That of a configuration.
    ///
    /// # Errors
    /// It cannot be spoken to as it wants.
    pub fn of(mut config: Config) -> Result<Self, NoKubernetes> {
        // By default a request is made fifteen times over nearly three minutes, and waited for without end.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(SILENCE);
        config.reset_reader_on_write = true;
        let namespace = config.default_namespace.parse().map_err(NoKubernetes::Namespace)?;
        let client = Client::try_from(config).map_err(|error| NoKubernetes::Client(Box::new(error)))?;
        Ok(Self { client, namespace })
    }

    /// The namespace that is meant where none is named: that of the pod, or of the kubeconfig.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The lease of that name.
    pub fn lease(&self, namespace: &Namespace, name: &LeaseName) -> KubernetesLeases {
        KubernetesLeases::new(self.client.clone(), namespace, name)
    }
}

impl std::fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubernetes").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// One lease in Kubernetes.
pub struct KubernetesLeases {
    api: Api<DynamicObject>,
    namespace: Namespace,
    name: LeaseName,
    /// Whom one goes with that is made here.
    owner: Option<Owner>,
    /// For how long it says that its holder has it.
    lasts: Duration,
    /// What it was when it was last read or written.
    known: Mutex<Option<DynamicObject>>,
}

impl std::fmt::Debug for KubernetesLeases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubernetesLeases")
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl KubernetesLeases {
    /// The lease of that name, asked for through `client`, which must not ask twice by itself; [`Kubernetes`] has one
    /// that does not.
    pub fn new(client: Client, namespace: &Namespace, name: &LeaseName) -> Self {
        let api = Api::namespaced_with(client, namespace.as_str(), &ApiResource::erase::<Lease>(&()));
        Self {
            api,
            namespace: namespace.clone(),
            name: name.clone(),
            owner: None,
            lasts: Timing::USUAL.expire,
            known: Mutex::new(None),
        }
    }

    /// The same lease, which says that its holder has it for `lasts`, in whole seconds. That is for people: candidates go by
    /// their own [`Timing`].
    #[must_use]
    pub fn lasting(self, lasts: Duration) -> Self {
        Self { lasts, ..self }
    }

    /// The same lease; where it is not there yet and is made here, it goes when `owner` does.
    #[must_use]
    pub fn owned_by(self, owner: Option<Owner>) -> Self {
        Self { owner, ..self }
    }

    fn known(&self) -> MutexGuard<'_, Option<DynamicObject>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what stands there now, and says which writing it is.
    fn keep(&self, object: DynamicObject) -> Result<Version, KubernetesError> {
        let version = self.version(&object)?;
        *self.known() = Some(object);
        Ok(version)
    }

    fn version(&self, object: &DynamicObject) -> Result<Version, KubernetesError> {
        object::version(object).map_err(|found| KubernetesError::Version { lease: self.place(), found })
    }

    fn place(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    async fn look(&self) -> Result<Option<DynamicObject>, KubernetesError> {
        match self.api.get(self.name.as_str()).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if is_gone(&status) => Ok(None),
            Err(error) => Err(self.failed("get", error)),
        }
    }

    async fn create(&self, holder: Option<&str>) -> Result<Written, KubernetesError> {
        let object =
            object::new(self.name.as_str(), self.owner.as_ref(), holder, self.lasts, Timestamp::now());
        match self.api.create(&PostParams::default(), &object).await {
            Ok(object) => self.keep(object).map(Written::Done),
            Err(kube::Error::Api(status)) if status.code == CONFLICT => Ok(Written::Conflict),
            Err(error) => Err(self.failed("create", error)),
        }
    }

    async fn replace(&self, holder: Option<&str>, version: Version) -> Result<Written, KubernetesError> {
        let blind = cfg!(feature = "bug-blind-renewal");
        let known = self.known().take_if(|known| !blind && object::version(known) == Ok(version));
        let known = match known {
            Some(known) => known,
            // Somebody who did not read it here before: without what else is in it, it cannot be written.
            None => match self.look().await? {
                Some(object) if blind || self.version(&object)? == version => object,
                _ => return Ok(Written::Conflict),
            },
        };
        let object = object::with_holder(known, holder, self.lasts, Timestamp::now());
        match self.api.replace(self.name.as_str(), &PostParams::default(), &object).await {
            Ok(object) => self.keep(object).map(Written::Done),
            // Deleted, and perhaps made anew.
            Err(kube::Error::Api(status)) if status.code == CONFLICT || is_gone(&status) => {
                Ok(Written::Conflict)
            }
            Err(error) => Err(self.failed("update", error)),
        }
    }

    fn failed(&self, verb: &'static str, error: kube::Error) -> KubernetesError {
        KubernetesError::of(verb, &self.namespace, &self.name, error)
    }
}

const CONFLICT: u16 = 409;

/// Whether it is the server that says there is no such lease. Others have that code for other things: a proxy that knows
/// no such address, a server without such an API.
fn is_gone(status: &Status) -> bool {
    status.reason == "NotFound" && status.details.as_ref().is_none_or(|details| details.kind == "leases")
}

#[async_trait]
impl LeaseStore for KubernetesLeases {
    async fn read(&self) -> Result<Option<Stored>, LeaseError> {
        let Some(object) = self.look().await? else {
            *self.known() = None;
            return Ok(None);
        };
        let holder = object::holder(&object);
        Ok(Some(Stored { holder, version: self.keep(object)? }))
    }

    async fn write(&self, holder: Option<&str>, expected: Expected) -> Result<Written, LeaseError> {
        Ok(match expected {
            Expected::Absent => self.create(holder).await?,
            Expected::Version(version) => self.replace(holder, version).await?,
        })
    }
}
