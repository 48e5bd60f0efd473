//! The two hops.

/// Which hop this is. Both forward the same way; they differ in their names and default ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Picks the cluster.
    Gateway,
    /// Picks the pod.
    ClusterProxy,
}

impl Role {
    /// The name of the program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::ClusterProxy => "cluster-proxy",
        }
    }
}
