//! An object that a FundCluster becomes.

use fundbond_crds::GatewayRoute;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        autoscaling::v2::HorizontalPodAutoscaler,
        core::v1::{ConfigMap, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
        rbac::v1::{Role, RoleBinding},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde_json::Value;

use crate::foreign::{HTTPRoute, PrometheusRule, ServiceMonitor};

macro_rules! children {
    ($($kind:ident)*) => {
        /// One object.
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "each is called what it is")]
        #[expect(clippy::large_enum_variant, reason = "there are a dozen of them, and they live for a moment")]
        pub enum Child {
            $($kind($kind),)*
        }

        impl Child {
            /// Every kind there is, for whoever watches or lists them.
            pub const KINDS: [&str; [$(stringify!($kind)),*].len()] = [$(stringify!($kind)),*];

            /// What it is.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => stringify!($kind),)*
                }
            }

            /// Its head.
            pub fn meta(&self) -> &ObjectMeta {
                match self {
                    $(Self::$kind(object) => &object.metadata,)*
                }
            }

            /// As it is applied, with its kind and its API.
            ///
            /// # Panics
            /// Never: these types have nothing that JSON cannot say.
            pub fn to_value(&self) -> Value {
                let value = match self {
                    $(Self::$kind(object) => serde_json::to_value(object),)*
                };
                value.expect("an object is JSON")
            }
        }
    };
}

children! {
    ServiceAccount Role RoleBinding ConfigMap Service NetworkPolicy PodDisruptionBudget Deployment
    HorizontalPodAutoscaler GatewayRoute HTTPRoute ServiceMonitor PrometheusRule
}

impl Child {
    /// Its name.
    pub fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }
}
