//! Under which names pods and proxies are found.

use fundbond_crds::{FundCluster, routing::Strategy};
use k8s_openapi::{
    api::core::v1::{ClientIPConfig, Service, ServicePort, ServiceSpec, SessionAffinityConfig},
    apimachinery::pkg::util::intstr::IntOrString,
};

use crate::{
    ADMIN_OFFSET, Child, POD_PORT, PROXY_PORT,
    meta::{Component, meta, selecting},
    monitoring,
    names::Names,
    pods::Group,
    probes::{ADMIN, HTTP},
};

/// One Service for each group of pods, one without an address for all of them, one for the proxy.
pub(crate) fn of(cluster: &FundCluster, names: &Names, groups: &[Group]) -> Vec<Child> {
    let mut services = Vec::new();
    for group in groups {
        let group = group.name.as_deref();
        let mut service = service(cluster, names, names.pods(group), Component::Pods, group, POD_PORT);
        if let Some(spec) = &mut service.spec {
            affinity(cluster, spec);
        }
        services.push(service);
    }
    let mut headless = service(cluster, names, names.headless(), Component::Pods, None, POD_PORT);
    if let Some(spec) = &mut headless.spec {
        spec.cluster_ip = Some("None".to_owned());
    }
    let mut proxy = service(cluster, names, names.proxy(), Component::Proxy, None, PROXY_PORT);
    for service in [&mut headless, &mut proxy] {
        monitoring::mark(&mut service.metadata);
    }
    services.extend([headless, proxy]);
    services.into_iter().map(Child::Service).collect()
}

fn service(
    cluster: &FundCluster,
    names: &Names,
    name: String,
    component: Component,
    group: Option<&str>,
    number: i32,
) -> Service {
    let port = |name: &str, port: i32| ServicePort {
        name: Some(name.to_owned()),
        port,
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    };
    Service {
        metadata: meta(cluster, names, name, component, group),
        spec: Some(ServiceSpec {
            selector: Some(selecting(names, component, group)),
            ports: Some(vec![port(HTTP, number), port(ADMIN, number + ADMIN_OFFSET)]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// For those who come past the gateway: the same client, the same pod.
fn affinity(cluster: &FundCluster, spec: &mut ServiceSpec) {
    let routing = &cluster.spec.routing;
    if routing.strategy != Strategy::ClientIp {
        return;
    }
    let timeout = routing.client_ip.clone().unwrap_or_default().timeout.0.as_secs();
    spec.session_affinity = Some("ClientIP".to_owned());
    spec.session_affinity_config = Some(SessionAffinityConfig {
        client_ip: Some(ClientIPConfig { timeout_seconds: i32::try_from(timeout).ok() }),
    });
}
