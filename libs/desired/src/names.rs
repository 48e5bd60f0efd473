//! How objects are called after their FundCluster.

use fundbond_crds::FundCluster;
use fundbond_protocol::ids::MAX_ID_LENGTH;

/// Digits of a digest that stand for a name which is too long: 2^64 of them, and nobody chooses them.
const DIGITS: usize = 16;

/// The names of a FundCluster's objects.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    cluster: String,
    namespace: String,
}

impl Names {
    pub(crate) fn of(cluster: &FundCluster) -> Self {
        Self {
            cluster: cluster.metadata.name.clone().unwrap_or_default(),
            namespace: cluster.metadata.namespace.clone().unwrap_or_default(),
        }
    }

    /// The FundCluster itself, its ConfigMap, and the account of its pods.
    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The pods of all groups.
    pub(crate) fn all_pods(&self) -> String {
        format!("{}-pods", self.cluster)
    }

    /// The Deployment of pods and their Service; of one shard group where there are any.
    pub(crate) fn pods(&self, group: Option<&str>) -> String {
        match group {
            Some(group) => format!("{}-pods-{group}", self.cluster),
            None => self.all_pods(),
        }
    }

    pub(crate) fn headless(&self) -> String {
        format!("{}-pods-headless", self.cluster)
    }

    pub(crate) fn proxy(&self) -> String {
        proxy_service(&self.cluster)
    }

    /// The ConfigMap of what pods may be told anew.
    pub(crate) fn live(&self) -> String {
        format!("{}-live", self.cluster)
    }

    /// The Lease of the pod that keeps house.
    pub(crate) fn lease(&self) -> String {
        format!("{}-housekeeper", self.cluster)
    }

    pub(crate) fn cluster_id(&self) -> String {
        cluster_id(&self.namespace, &self.cluster)
    }
}

/// The Service of the proxy of a FundCluster of that name, and all else that is the proxy's.
pub fn proxy_service(cluster: &str) -> String {
    format!("{cluster}-proxy")
}

/// How a FundCluster is called in the store: `{namespace}.{name}`, which no other of the same Redis has. Where that is
/// longer than an id may be, its end gives way to a digest of all of it.
pub fn cluster_id(namespace: &str, name: &str) -> String {
    let id = format!("{namespace}.{name}");
    if id.len() <= MAX_ID_LENGTH {
        return id;
    }
    let digest = blake3::hash(id.as_bytes()).to_hex();
    format!("{}-{}", &id[..MAX_ID_LENGTH - DIGITS - 1], &digest[..DIGITS])
}

#[cfg(test)]
mod tests {
    use fundbond_protocol::ClusterId;

    use super::*;

    #[test]
    fn every_name_makes_an_id_and_different_names_different_ids() {
        assert_eq!(cluster_id("funds", "cluster1"), "funds.cluster1");
        let (namespace, name) = ("n".repeat(63), "c".repeat(40));
        let long = cluster_id(&namespace, &name);
        assert_eq!(ClusterId::parse(&long).unwrap().as_str(), long);
        assert_ne!(long, cluster_id(&namespace, &"c".repeat(39)));
        let (namespace, name) = ("n".repeat(32), "c".repeat(31));
        assert_eq!(cluster_id(&namespace, &name), format!("{namespace}.{name}"), "64 characters fit");
    }
}
