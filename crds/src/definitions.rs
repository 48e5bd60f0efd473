//! The definitions of both kinds, as objects and as YAML.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, ValidationRule,
};
use kube_core::CustomResourceExt as _;

use crate::{FundCluster, GatewayRoute};

/// The first lines of each file.
const HEAD: &str = "# Made from crds/src by `cargo xtask reference`; not to be edited.\n";

/// What a FundCluster may be called. Its Services are called after it, and Kubernetes gives their names 63 characters, the
/// first a letter; the longest addition has 16 (`-pods-` and a shard group), and the rest is for additions to come.
const NAME: (&str, &str) = (
    "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 40",
    "metadata.name must begin with a letter, have only small letters, digits and '-', and at most 40 characters, \
     for its Services and Pods are called after it: choose another name",
);

/// Two FundClusters `desk` and `desk-proxy` would both have a ServiceAccount `desk-proxy`.
const OWN_NAMES: (&str, &str) = (
    "!self.metadata.name.matches('.-(pods|proxy|live|housekeeper)(-|$)')",
    "metadata.name must not have pods, proxy, live or housekeeper behind a '-', for what belongs to another FundCluster is \
     called so: choose another name",
);

/// The definition of FundClusters.
pub fn fund_cluster() -> CustomResourceDefinition {
    let mut definition = FundCluster::crd();
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        if let Some(schema) = schema {
            let rules = [NAME, OWN_NAMES].map(|(rule, message)| ValidationRule {
                rule: rule.into(),
                message: Some(message.into()),
                ..ValidationRule::default()
            });
            schema.x_kubernetes_validations = Some(rules.into());
        }
    }
    definition
}

/// The definition of GatewayRoutes.
pub fn gateway_route() -> CustomResourceDefinition {
    GatewayRoute::crd()
}

/// Both definitions.
pub fn definitions() -> [CustomResourceDefinition; 2] {
    [fund_cluster(), gateway_route()]
}

/// What the file of a definition is called: `fundclusters.yaml`.
pub fn file_name(definition: &CustomResourceDefinition) -> String {
    format!("{}.yaml", definition.spec.names.plural)
}

/// A definition as its file has it.
///
/// # Errors
/// None but a mistake in the types: a definition has nothing that YAML cannot say.
pub fn yaml(definition: &CustomResourceDefinition) -> Result<String, yaml_serde::Error> {
    Ok(format!("{HEAD}{}", yaml_serde::to_string(definition)?))
}
