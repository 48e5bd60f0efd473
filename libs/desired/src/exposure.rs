//! A way in by the Gateway API: somebody else's gateway in the place of ours, in front of the cluster's own proxy.

use fundbond_crds::{FundCluster, fund_cluster::ParentRef};
use fundbond_protocol::headers;
use serde_json::{Value, json};

use crate::{
    PROXY_PORT,
    foreign::HTTPRoute,
    meta::{Component, meta},
    names::Names,
};

/// The route, where it is asked for. It takes what our gateway would take for this FundCluster: by header, by query and, of
/// the default, everything.
pub(crate) fn of(cluster: &FundCluster, names: &Names) -> Option<HTTPRoute> {
    let asked = &cluster.spec.exposure.http_route;
    if !asked.enabled {
        return None;
    }
    let route = &cluster.spec.route;
    let path = json!({"type": "PathPrefix", "value": route.path_prefix});
    let mut matches = vec![
        json!({"path": path, "headers": [{"type": "Exact", "name": route.header, "value": route.value}]}),
        json!({
            "path": path,
            "queryParams": [{"type": "Exact", "name": headers::QUERY_CLUSTER, "value": route.value}],
        }),
    ];
    if route.default {
        matches.push(json!({"path": path}));
    }
    let mut rule = json!({
        "matches": matches,
        "backendRefs": [{"name": names.proxy(), "port": PROXY_PORT}],
        // Streams live long; what is dead, the proxy notices.
        "timeouts": {"request": "0s"},
    });
    if route.strip_prefix > 0 {
        let rest = rest(&route.path_prefix, route.strip_prefix);
        rule["filters"] = json!([{
            "type": "URLRewrite",
            "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": rest}},
        }]);
    }
    let parents: Vec<_> = asked.parent_refs.iter().map(parent).collect();
    Some(HTTPRoute {
        metadata: meta(cluster, names, names.cluster().to_owned(), Component::Cluster, None),
        spec: json!({"parentRefs": parents, "rules": [rule]}),
    })
}

fn parent(parent: &ParentRef) -> Value {
    let mut value = json!({"name": parent.name});
    if let Some(namespace) = &parent.namespace {
        value["namespace"] = namespace.as_str().into();
    }
    if let Some(section) = &parent.section_name {
        value["sectionName"] = section.as_str().into();
    }
    value
}

/// What is left of a prefix without its first segments. What a request has beyond the prefix, such a route cannot take off.
fn rest(prefix: &str, strip: i32) -> String {
    let segments = prefix.split('/').filter(|segment| !segment.is_empty());
    let left: Vec<_> = segments.skip(usize::try_from(strip).unwrap_or_default()).collect();
    format!("/{}", left.join("/"))
}
