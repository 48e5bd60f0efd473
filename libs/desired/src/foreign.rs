//! Kinds that a cluster may lack, for others bring their definitions. As little of them as is written here.

use k8s_openapi::{
    Metadata, NamespaceResourceScope, Resource, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use serde_json::Value;

macro_rules! foreign {
    ($(#[$about:meta])* $kind:ident, $group:literal, $version:literal, $plural:literal) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $kind {
            /// Its head.
            pub metadata: ObjectMeta,
            /// What is asked for.
            pub spec: Value,
        }

        impl Resource for $kind {
            const API_VERSION: &'static str = concat!($group, "/", $version);
            const GROUP: &'static str = $group;
            const KIND: &'static str = stringify!($kind);
            const VERSION: &'static str = $version;
            const URL_PATH_SEGMENT: &'static str = $plural;
            type Scope = NamespaceResourceScope;
        }

        impl Metadata for $kind {
            type Ty = ObjectMeta;

            fn metadata(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }

        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut object = serializer.serialize_struct(Self::KIND, 4)?;
                object.serialize_field("apiVersion", Self::API_VERSION)?;
                object.serialize_field("kind", Self::KIND)?;
                object.serialize_field("metadata", &self.metadata)?;
                object.serialize_field("spec", &self.spec)?;
                object.end()
            }
        }
    };
}

foreign! {
    /// A route of the Gateway API.
    HTTPRoute, "gateway.networking.k8s.io", "v1", "httproutes"
}

foreign! {
    /// What a Prometheus of the Prometheus operator scrapes.
    ServiceMonitor, "monitoring.coreos.com", "v1", "servicemonitors"
}

foreign! {
    /// What a Prometheus of the Prometheus operator warns of.
    PrometheusRule, "monitoring.coreos.com", "v1", "prometheusrules"
}
