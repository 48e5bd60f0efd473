//! Labels and annotations: which object belongs to whom, and what a change of it means.

/// The program an object is part of, the same for all: `fundbond`.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// The value of [`PART_OF`].
pub const FUNDBOND: &str = "fundbond";
/// Which of the programs runs there, for example `pod-service`.
pub const NAME: &str = "app.kubernetes.io/name";
/// The name of the FundCluster.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// What the object is for in its FundCluster, for example `pods`.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// The value of [`COMPONENT`] for the pods that run tasks and hold streams.
pub const PODS: &str = "pods";
/// The value of [`COMPONENT`] for the proxy in front of them.
pub const PROXY: &str = "proxy";
/// Who writes it.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`], and the field manager of everything the operator applies.
pub const OPERATOR: &str = "fundbond-operator";
/// The shard group of pods.
pub const SHARD_GROUP: &str = "fundbond.dev/shard-group";
/// On an EndpointSlice: the Service that it belongs to. Kubernetes says so.
pub const SERVICE: &str = "kubernetes.io/service-name";
/// A digest of the settings that a process reads once, on pod templates: where it changes, pods roll.
pub const CONFIG_HASH: &str = "fundbond.dev/config-hash";

/// What selects everything of the product.
pub fn of_the_product() -> String {
    format!("{PART_OF}={FUNDBOND}")
}

/// What selects everything of the FundClusters of that name.
pub fn of_cluster(name: &str) -> String {
    format!("{},{INSTANCE}={name}", of_the_product())
}
