//! Everything that the operator would write.

use fundbond_crds::FundCluster;
use fundbond_desired::{Child, Site};
use serde_json::Value;

/// The objects that `cluster` becomes, in the order in which they are applied.
pub fn objects(cluster: &FundCluster, site: &Site, route_generation: i64) -> Vec<Value> {
    fundbond_desired::children(cluster, site, route_generation).iter().map(Child::to_value).collect()
}
