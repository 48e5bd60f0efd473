//! What is the same for all FundClusters of an operator.

use ipnet::IpNet;

/// Where alerts are explained, where nobody says otherwise; that of the chart.
pub const RUNBOOKS: &str = "https://github.com/fundbond/fundbond/blob/main/docs/runbooks";

/// Where images come from, and who is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// In front of a program's name, for example `ghcr.io/fundbond`.
    pub registry: String,
    /// Behind it: the version of the operator, for its programs are of one version.
    pub version: String,
    /// Networks that gateways' addresses are of: cluster proxies believe what comes from there about clients.
    pub gateway_networks: Vec<IpNet>,
    /// Where alerts are explained, one page each: what stands in front of `/NAME.md`.
    pub runbooks: String,
}

impl Site {
    /// The image of a program.
    pub fn image(&self, program: &str) -> String {
        format!("{}/{program}:{}", self.registry, self.version)
    }
}
