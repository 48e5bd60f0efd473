//! How Kubernetes asks a process whether it is well, and what a process may do to its machine: nothing.

use k8s_openapi::{
    api::core::v1::{
        Capabilities, ContainerPort, HTTPGetAction, PodSecurityContext, Probe, SeccompProfile,
        SecurityContext,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use crate::ADMIN_OFFSET;

/// The user of all images. It owns nothing.
const NOBODY: i64 = 65_532;

/// The name of the port for requests.
pub(crate) const HTTP: &str = "http";
/// The name of the port for probes and metrics.
pub(crate) const ADMIN: &str = "admin";

fn probe(path: &str, delay: Option<i32>, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(ADMIN.to_owned()),
            ..HTTPGetAction::default()
        }),
        initial_delay_seconds: delay,
        period_seconds: Some(period),
        timeout_seconds: Some(2),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// A minute to begin.
pub(crate) fn startup() -> Probe {
    probe("/startupz", None, 1, 60)
}

pub(crate) fn readiness() -> Probe {
    probe("/readyz", None, 5, 2)
}

/// Half a minute of silence is the end of a process.
pub(crate) fn liveness() -> Probe {
    probe("/livez", Some(30), 10, 3)
}

/// The ports of a process whose requests come at `port`.
pub(crate) fn ports(port: i32) -> Vec<ContainerPort> {
    [(HTTP, port), (ADMIN, port + ADMIN_OFFSET)]
        .map(|(name, port)| ContainerPort {
            name: Some(name.to_owned()),
            container_port: port,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        })
        .into()
}

/// What Pod Security calls `restricted`, and no file can be written.
pub(crate) fn container() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}

pub(crate) fn pod() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(NOBODY),
        run_as_group: Some(NOBODY),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}
