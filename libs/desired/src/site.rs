//! What is the same for all FundClusters of an operator.

/// Where images come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// In front of a program's name, for example `ghcr.io/fundbond`.
    pub registry: String,
    /// Behind it: the version of the operator, for its programs are of one version.
    pub version: String,
}

impl Site {
    /// The image of a program.
    pub fn image(&self, program: &str) -> String {
        format!("{}/{program}:{}", self.registry, self.version)
    }
}
