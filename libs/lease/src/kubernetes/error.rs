//! Why a lease in Kubernetes could not be read or written, and what to do about it.

use kube::core::Status;

use crate::{
    LeaseError,
    names::{BadName, LeaseName, Namespace},
};

/// No Kubernetes to keep leases in.
#[derive(Debug, thiserror::Error)]
pub enum NoKubernetes {
    /// Neither a kubeconfig nor a service account.
    #[error(
        "no Kubernetes is known here: run in a pod with a service account, or name a kubeconfig by KUBECONFIG"
    )]
    Nowhere(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The namespace of the configuration is none.
    #[error("the configuration of Kubernetes names no namespace")]
    Namespace(#[source] BadName),
    /// Certificates, credentials or proxies that cannot be used.
    #[error("Kubernetes cannot be spoken to as its configuration says")]
    Client(#[source] Box<kube::Error>),
}

/// Why a lease in Kubernetes could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// The rules do not allow it.
    #[error(
        "may not {verb} the lease {name} in namespace {namespace}: let a Role there allow get, create and update on \
         leases of coordination.k8s.io, and bind it to the service account"
    )]
    Forbidden {
        /// What was asked for.
        verb: &'static str,
        /// Where.
        namespace: Namespace,
        /// Which lease.
        name: LeaseName,
        /// What the server says.
        #[source]
        status: Box<Status>,
    },
    /// The server does not know who asks.
    #[error(
        "Kubernetes does not know who asks for the lease {lease}: is the token of the service account mounted, and of \
         this Kubernetes?"
    )]
    Unknown {
        /// Which.
        lease: String,
        /// What the server says.
        #[source]
        status: Box<Status>,
    },
    /// There is no such namespace.
    #[error("there is no namespace {namespace} for the lease {name}: create it, or name another one")]
    NoNamespace {
        /// Which.
        namespace: Namespace,
        /// Which lease.
        name: LeaseName,
        /// What the server says.
        #[source]
        status: Box<Status>,
    },
    /// The server says no in another way.
    #[error("Kubernetes answered {} to {verb} the lease {lease}", status.code)]
    Refused {
        /// What was asked for.
        verb: &'static str,
        /// Which.
        lease: String,
        /// What the server says.
        #[source]
        status: Box<Status>,
    },
    /// Writings that cannot be put in order.
    #[error(
        "the resourceVersion {found:?} of the lease {lease} is no number, so that of two leaders nobody could tell the \
         later: keep the lease elsewhere than in this Kubernetes"
    )]
    Version {
        /// Which.
        lease: String,
        /// What stands there.
        found: String,
    },
    /// No answer, or none that can be read.
    #[error("Kubernetes gives no answer to {verb} the lease {lease}")]
    Silent {
        /// What was asked for.
        verb: &'static str,
        /// Which.
        lease: String,
        /// How that came.
        #[source]
        source: Box<kube::Error>,
    },
}

impl KubernetesError {
    pub(super) fn of(
        verb: &'static str,
        namespace: &Namespace,
        name: &LeaseName,
        error: kube::Error,
    ) -> Self {
        let lease = format!("{namespace}/{name}");
        let (namespace, name) = (namespace.clone(), name.clone());
        match error {
            kube::Error::Api(status) => match status.code {
                401 => Self::Unknown { lease, status },
                403 => Self::Forbidden { verb, namespace, name, status },
                404 if is_namespace(&status) => Self::NoNamespace { namespace, name, status },
                _ => Self::Refused { verb, lease, status },
            },
            source => Self::Silent { verb, lease, source: Box::new(source) },
        }
    }
}

fn is_namespace(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|details| details.kind == "namespaces")
}

impl From<KubernetesError> for LeaseError {
    fn from(error: KubernetesError) -> Self {
        Self(Box::new(error))
    }
}
