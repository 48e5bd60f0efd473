//! The lease of the cluster's housekeeper, where it is not in the store.

use std::sync::Arc;

use fundbond_lease::{
    LeaseStore,
    kubernetes::{Kubernetes, NoKubernetes},
    names::{BadName, LeaseName, Namespace},
};
use fundbond_protocol::ClusterId;

use crate::{
    config::{LeaseMisplaced, LeasePlace, Program},
    housekeeping::lease_name,
};

/// A lease that cannot be where it is said to be.
#[derive(Debug, thiserror::Error)]
pub enum LeaseRefused {
    /// It does not go with the store.
    #[error(transparent)]
    Misplaced(#[from] LeaseMisplaced),
    /// There is no Kubernetes.
    #[error("--lease kubernetes cannot be")]
    Nowhere(#[from] NoKubernetes),
    /// The cluster's id makes no name for it.
    #[error("the cluster id {cluster:?} makes no name for a lease in Kubernetes: give --lease-name")]
    Nameless {
        /// Which.
        cluster: ClusterId,
        /// Why not.
        #[source]
        source: BadName,
    },
}

/// The lease that `program` names, if it is not in the store.
///
/// Whether it may be read and written is found out later, and said in the log until it is so: a pod does its work
/// without.
///
/// # Errors
/// See [`LeaseRefused`].
pub async fn open(program: &Program) -> Result<Option<Arc<dyn LeaseStore>>, LeaseRefused> {
    program.lease.fits(&program.store)?;
    if program.lease != LeasePlace::Kubernetes {
        return Ok(None);
    }
    let kubernetes = Kubernetes::of_environment().await?;
    let namespace = program.namespace.as_ref().unwrap_or(kubernetes.namespace());
    let lasts = program.config.settings.housekeeping.lease_duration;
    let name = match &program.lease_name {
        Some(name) => name.clone(),
        None => name_of(&program.config.cluster_id, namespace)?,
    };
    tracing::info!(lease = %format_args!("{namespace}/{name}"), "the housekeeper is elected by a lease in Kubernetes");
    Ok(Some(Arc::new(
        kubernetes.lease(namespace, &name).lasting(lasts).owned_by(program.lease_owner.clone()),
    )))
}

/// The name of the lease of a cluster. Ids of clusters that are made in Kubernetes begin with the namespace, which need not
/// be said twice; any other id is taken whole, so that no two clusters share a lease unawares.
fn name_of(cluster: &ClusterId, namespace: &Namespace) -> Result<LeaseName, LeaseRefused> {
    let whole = lease_name(cluster);
    let within = whole.strip_prefix(namespace.as_str()).and_then(|rest| rest.strip_prefix('.'));
    let nameless = |source| LeaseRefused::Nameless { cluster: cluster.clone(), source };
    within.unwrap_or(&whole).parse().map_err(nameless)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(cluster: &str) -> Result<String, LeaseRefused> {
        let name = name_of(&ClusterId::parse(cluster).unwrap(), &"desk".parse().unwrap());
        name.map(|name| name.to_string())
    }

    #[test]
    fn a_cluster_has_one_lease_in_its_namespace() {
        assert_eq!(name("desk.bonds").unwrap(), "bonds-housekeeper");
        assert_eq!(name("cluster1").unwrap(), "cluster1-housekeeper");
        assert_eq!(name("other.bonds").unwrap(), "other.bonds-housekeeper");
        assert_eq!(name("desktop.bonds").unwrap(), "desktop.bonds-housekeeper");
        assert_eq!(name("desk").unwrap(), "desk-housekeeper");
        assert_eq!(name("desk.a.b").unwrap(), "a.b-housekeeper");
    }

    #[test]
    fn a_cluster_whose_id_makes_no_name_is_told_to_give_one() {
        let error = name("Cluster_1").unwrap_err();
        assert!(error.to_string().contains("give --lease-name"), "{error}");
    }
}
