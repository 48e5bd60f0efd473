//! The kinds of objects that a FundCluster becomes, as the API server calls them.

use std::sync::LazyLock;

use fundbond_crds::{FundCluster, GatewayRoute};
use fundbond_desired::{Child, HTTPRoute, PrometheusRule, ServiceMonitor};
use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{ConfigMap, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
    rbac::v1::{Role, RoleBinding},
};
use kube::api::ApiResource;

macro_rules! kinds {
    ($($kind:ident)*) => {
        /// A kind of child.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "each is called what it is")]
        pub enum Kind {
            $($kind,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: [Self; Child::KINDS.len()] = [$(Self::$kind),*];

            /// What a child is.
            pub fn of(child: &Child) -> Self {
                match child {
                    $(Child::$kind(_) => Self::$kind,)*
                }
            }

            /// How it is spelled in objects.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($kind),)*
                }
            }

            fn described(self) -> ApiResource {
                match self {
                    $(Self::$kind => ApiResource::erase::<$kind>(&()),)*
                }
            }
        }
    };
}

kinds! {
    ServiceAccount Role RoleBinding ConfigMap Service NetworkPolicy PodDisruptionBudget Deployment
    HorizontalPodAutoscaler GatewayRoute HTTPRoute ServiceMonitor PrometheusRule
}

impl Kind {
    /// Where the API server keeps such objects.
    pub fn resource(self) -> &'static ApiResource {
        static RESOURCES: LazyLock<Vec<ApiResource>> =
            LazyLock::new(|| Kind::ALL.map(Kind::described).into());
        &RESOURCES[self as usize]
    }

    /// Who brings the definition of a kind that a cluster may lack; none where every cluster has it.
    pub fn brought_by(self) -> Option<&'static str> {
        match self {
            Self::HTTPRoute => Some("the Gateway API"),
            Self::ServiceMonitor | Self::PrometheusRule => Some("the Prometheus operator"),
            _ => None,
        }
    }

    /// Whether more of it is looked at than its head.
    pub(crate) fn is_seen_whole(self) -> bool {
        matches!(self, Self::Deployment | Self::GatewayRoute)
    }
}

/// Where the API server keeps FundClusters.
pub fn fund_clusters() -> &'static ApiResource {
    static RESOURCE: LazyLock<ApiResource> = LazyLock::new(|| ApiResource::erase::<FundCluster>(&()));
    &RESOURCE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_child_has_its_place() {
        assert_eq!(Kind::ALL.map(Kind::as_str), Child::KINDS);
        for kind in Kind::ALL {
            assert_eq!(kind.resource().kind, kind.as_str());
        }
        assert_eq!(Kind::NetworkPolicy.resource().plural, "networkpolicies");
        assert_eq!(fund_clusters().plural, "fundclusters");
    }
}
