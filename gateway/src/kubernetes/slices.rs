//! Endpoints of Services, as EndpointSlices have them.

use std::net::IpAddr;

use fundbond_crds::labels;
use k8s_openapi::api::discovery::v1::{EndpointPort, EndpointSlice};
use serde::{Deserialize, Serialize};

/// The names of the ports for requests and for probes, on every Service of a FundCluster.
const HTTP: &str = "http";
const ADMIN: &str = "admin";

/// A part of the endpoints of a Service that take requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slice {
    pub(super) service: String,
    /// Of requests.
    pub(super) port: u16,
    /// Of probes, where the Service says.
    pub(super) admin: Option<u16>,
    pub(super) ready: Vec<Ready>,
}

/// An endpoint that takes requests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Ready {
    /// The pod.
    pub(super) name: String,
    pub(super) address: IpAddr,
}

impl Slice {
    /// None where nobody can be reached by it: it belongs to no Service, or has no addresses of a kind that is known, or no
    /// port for requests.
    pub(super) fn of(slice: &EndpointSlice) -> Option<Self> {
        let service = slice.metadata.labels.as_ref()?.get(labels::SERVICE)?.clone();
        let ports = slice.ports.as_deref().unwrap_or_default();
        let number = |port: &EndpointPort| u16::try_from(port.port?).ok().filter(|port| *port != 0);
        let named = |name| ports.iter().find(|port| port.name.as_deref() == Some(name));
        // A Service of one port need not name it.
        let port = number(named(HTTP).or(ports.first().filter(|_| ports.len() == 1))?)?;
        let mut ready: Vec<_> = slice
            .endpoints
            .iter()
            .filter(|endpoint| {
                let conditions = endpoint.conditions.as_ref();
                // Unknown counts as ready, says the API.
                conditions.and_then(|conditions| conditions.ready).unwrap_or(true)
            })
            .filter_map(|endpoint| {
                // Addresses of one endpoint are one process.
                let address: IpAddr = endpoint.addresses.first()?.parse().ok()?;
                let pod = endpoint.target_ref.as_ref().and_then(|target| target.name.clone());
                Some(Ready { name: pod.unwrap_or_else(|| address.to_string()), address })
            })
            .collect();
        // The server lists them in any order.
        ready.sort_unstable();
        Some(Self { service, port, admin: named(ADMIN).and_then(number), ready })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(more: Value) -> Option<Slice> {
        let mut slice = json!({
            "metadata": {"labels": {labels::SERVICE: "desk-pods"}}, "addressType": "IPv4",
            "ports": [{"name": "admin", "port": 19090}, {"name": "http", "port": 9090}],
            "endpoints": [
                {"addresses": ["10.0.0.2"], "conditions": {"ready": true}, "targetRef": {"name": "pod-b"}},
                {"addresses": ["10.0.0.3"], "conditions": {"ready": false, "serving": true, "terminating": true}},
                {"addresses": ["10.0.0.1"], "conditions": {}},
            ],
        });
        slice.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Slice::of(&serde_json::from_value(slice).unwrap())
    }

    #[test]
    fn only_who_is_ready_takes_requests() {
        let slice = of(json!({})).unwrap();
        let ready: Vec<_> =
            slice.ready.iter().map(|ready| (ready.name.as_str(), ready.address.to_string())).collect();
        assert_eq!(ready, [("10.0.0.1", "10.0.0.1".into()), ("pod-b", "10.0.0.2".into())]);
        assert_eq!((slice.service.as_str(), slice.port, slice.admin), ("desk-pods", 9090, Some(19090)));
    }

    #[test]
    fn a_slice_that_leads_nowhere_is_none() {
        assert_eq!(of(json!({"metadata": {}})), None);
        assert_eq!(of(json!({"ports": []})), None);
        assert_eq!(of(json!({"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]})), None);
        assert_eq!(of(json!({"ports": [{"name": "web", "port": 80}]})).unwrap().port, 80);
        let named = json!({"addressType": "FQDN", "endpoints": [{"addresses": ["pod.example.com"]}]});
        assert_eq!(of(named).unwrap().ready, []);
    }
}
