//! Which routes are asked for, as a configuration says it.

use std::{fmt, path::PathBuf};

use kube::Client;

/// Which routes, and where they are kept.
#[derive(Clone)]
pub struct KubernetesRoutes {
    /// Who is asked; that of the process's surroundings where there is none.
    pub client: Option<Client>,
    /// Namespaces whose routes are followed; empty for all.
    pub namespaces: Vec<String>,
    /// The one route of a cluster proxy.
    pub name: Option<String>,
    /// The folder of the snapshot; none is kept where there is none.
    pub snapshot: Option<PathBuf>,
}

impl fmt::Debug for KubernetesRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesRoutes")
            .field("namespaces", &self.namespaces)
            .field("name", &self.name)
            .field("snapshot", &self.snapshot)
            .finish_non_exhaustive()
    }
}
