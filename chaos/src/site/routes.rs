//! Route files, written with the type they are read with.

use std::{net::SocketAddr, path::Path};

use fundbond_protocol::headers;
use fundbond_routing::spec::{
    EndpointSpec, LimitsSpec, MatchSpec, RouteFile, RouteSpec, StrategySpec, TimeoutsSpec,
};

use crate::{error::ChaosError, http::CLUSTER};

/// Writes a file that leads to these servers, whose service and admin addresses are given, and says where it is.
pub fn write(path: &Path, kind: &str, servers: &[(SocketAddr, SocketAddr)]) -> Result<String, ChaosError> {
    let endpoints = servers.iter().enumerate().map(|(number, (address, admin))| EndpointSpec {
        name: Some(format!("{kind}-{}", number + 1)),
        address: address.to_string(),
        admin_address: Some(admin.to_string()),
        group: None,
    });
    let route = RouteSpec {
        name: None,
        matching: MatchSpec {
            header: headers::X_CLUSTER_ROUTE_DISPLAY.to_owned(),
            value: CLUSTER.to_owned(),
            path_prefix: "/".to_owned(),
            strip_prefix: 0,
            default: false,
        },
        strategy: StrategySpec::default(),
        timeouts: TimeoutsSpec::default(),
        rate_limit: None,
        limits: LimitsSpec::default(),
        endpoints: endpoints.collect(),
    };
    // JSON is YAML.
    let text = serde_json::to_string(&RouteFile { generation: 1, routes: vec![route] });
    let written = text.map_err(std::io::Error::from).and_then(|text| std::fs::write(path, text));
    written.map_err(|source| ChaosError::File { path: path.to_owned(), source })?;
    Ok(path.display().to_string())
}
