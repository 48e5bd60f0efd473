//! What gateways and cluster proxies say on their admin ports, as far as it is read here. What else they say is passed over: a
//! gateway may be newer than this program.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `/routes`: the table that is applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteTable {
    /// How often it was changed since the process began.
    pub generation: u64,
    /// Why the last change was refused, where it was.
    pub last_error: Option<String>,
    /// GatewayRoutes that are not applied as they are: why, by `namespace/name`.
    pub refused: BTreeMap<String, String>,
    /// The routes.
    pub routes: Vec<TableRoute>,
}

/// A route of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TableRoute {
    /// What it is called.
    pub name: String,
    /// The header that names it.
    pub header: String,
    /// The value of that header.
    pub value: String,
    /// How an endpoint is chosen.
    pub strategy: String,
    /// Whom it leads to.
    pub endpoints: Vec<TableEndpoint>,
}

/// An endpoint of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TableEndpoint {
    /// What it is called.
    pub name: String,
    /// Where its own admin port is.
    pub admin_address: String,
    /// Whether it takes requests.
    pub ready: bool,
}

/// `/explain`: what would be decided about a request, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Explanation {
    /// `forward`, `noReadyEndpoint`, `endpointsFailing`, `rejected` or `refused`.
    pub decision: String,
    /// Of the table.
    pub generation: u64,
    /// The route that takes it.
    pub route: Option<String>,
    /// Whose turn it is.
    pub endpoint: Option<String>,
    /// The path that is seen there.
    pub endpoint_path: Option<String>,
    /// What of the request the strategy goes by.
    pub key: Option<Key>,
    /// The group of the user.
    pub group: Option<String>,
    /// Who may take it.
    pub candidates: Vec<Candidate>,
    /// One sentence a step.
    pub why: Vec<String>,
}

/// What of a request a strategy goes by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Key {
    /// `client`, `header <name>` or `path`.
    pub from: String,
    /// What it is.
    pub value: String,
}

/// An endpoint that may take a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Candidate {
    /// What it is called.
    pub endpoint: String,
    /// `ready`, `full`, `notReady`, `open` or `probing`.
    pub state: String,
    /// Requests and streams.
    pub under_way: u64,
    /// How many it may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<u64>,
}
