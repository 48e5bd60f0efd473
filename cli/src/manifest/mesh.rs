//! The same routing by somebody else's proxies: for sites that bring a mesh or an ingress controller of their own.
//!
//! Flow: a FundCluster becomes a [`plan`] (which users to which pods, how spread), which [`istio`] or [`kong`] writes in its
//! own words. What cannot be said there is in [`Mesh::left_out`]: it is never dropped without a word.

mod digits;
mod istio;
mod kong;
mod plan;

use fundbond_crds::{FundCluster, labels};
use fundbond_desired::{Child, Site};
use serde_json::{Value, json};

use super::ManifestError;

pub use istio::istio;
pub use kong::kong;

/// Objects for a mesh.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mesh {
    /// The objects, in the order in which they are applied.
    pub objects: Vec<Value>,
    /// What the FundCluster asks for and the mesh cannot do.
    pub left_out: Vec<String>,
    /// What is different, and what else is needed.
    pub notes: Vec<String>,
}

/// Where the objects are attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The namespace of the Gateway, if it is another one.
    pub namespace: Option<String>,
    /// The Gateway.
    pub gateway: String,
    /// One of its listeners.
    pub listener: Option<String>,
    /// Hosts that requests are for; every one where there are none.
    pub hostnames: Vec<String>,
}

impl Attached {
    /// To the Gateway that the command line names, else to the first one that `cluster` names.
    ///
    /// # Errors
    /// Nobody names one.
    pub fn of(
        cluster: &FundCluster,
        gateway: Option<&str>,
        hostnames: &[String],
        target: &'static str,
    ) -> Result<Self, ManifestError> {
        let hostnames = hostnames.to_vec();
        if let Some(gateway) = gateway {
            let (namespace, gateway) = match gateway.split_once('/') {
                Some((namespace, gateway)) => (Some(namespace.to_owned()), gateway),
                None => (None, gateway),
            };
            return Ok(Self { namespace, gateway: gateway.to_owned(), listener: None, hostnames });
        }
        let Some(parent) = cluster.spec.exposure.http_route.parent_refs.first() else {
            let name = cluster.metadata.name.clone().unwrap_or_default();
            return Err(ManifestError::NoGateway { name, target });
        };
        Ok(Self {
            namespace: parent.namespace.clone(),
            gateway: parent.name.clone(),
            listener: parent.section_name.clone(),
            hostnames,
        })
    }
}

/// The Services of the pods, each with its shard group.
fn services(cluster: &FundCluster) -> Vec<(Option<String>, String)> {
    // Images do not matter here.
    let site = Site::default();
    let children = fundbond_desired::children(cluster, &site, 1);
    let route = children.into_iter().find_map(|child| match child {
        Child::GatewayRoute(route) => Some(route),
        _ => None,
    });
    route
        .map(|route| route.spec.pods.into_iter().map(|pods| (pods.group, pods.service.name)).collect())
        .unwrap_or_default()
}

/// The head of an object. It is not the operator's, and does not say so.
fn head(cluster: &FundCluster, name: &str) -> Value {
    json!({
        "name": name,
        "namespace": cluster.metadata.namespace,
        "labels": {
            labels::INSTANCE: cluster.metadata.name,
            labels::PART_OF: labels::FUNDBOND,
        },
    })
}

#[cfg(test)]
mod tests;
