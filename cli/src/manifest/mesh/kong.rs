//! In the words of Kong: an HTTPRoute of the Gateway API, and Services with a KongUpstreamPolicy each, which says how requests
//! are spread.

use fundbond_crds::FundCluster;
use fundbond_desired::{Child, Site};
use fundbond_protocol::headers;
use serde_json::{Value, json};

use super::{
    Attached, Mesh, head,
    plan::{self, Balance, PORT, Plan, Rule, To, USER, WRITES},
    services,
};

/// So many rules an HTTPRoute may have.
const MOST_RULES: usize = 16;

/// The objects that route as gateway and proxy of `cluster` would.
pub fn kong(cluster: &FundCluster, attached: &Attached) -> Mesh {
    let Plan { rules, mut left_out, notes } = plan::plan(cluster, &services(cluster));
    let route = &cluster.spec.route;
    left_out.push(format!("?{}= does not name the cluster: only the header does", headers::QUERY_CLUSTER));
    if route.default {
        left_out.push(
            "spec.route.default: an HTTPRoute cannot ask for a header that is not there, so it would take requests for \
             clusters that nobody knows as well"
                .to_owned(),
        );
    }
    if route.strip_prefix > 0 && replaces(cluster).is_none() {
        left_out.push(format!(
            "spec.route.stripPrefix: {}: only all of pathPrefix ({}) can be taken off",
            route.strip_prefix, route.path_prefix
        ));
    }
    let mut objects = Vec::new();
    for balance in balances(&rules) {
        objects.push(policy(cluster, balance));
    }
    for (service, balance) in backends(&rules) {
        objects.push(service_of(cluster, service, balance));
    }
    let name = cluster.metadata.name.clone().unwrap_or_default();
    if rules.iter().any(|rule| rule.to == To::Refused) {
        objects.push(json!({
            "apiVersion": "configuration.konghq.com/v1",
            "kind": "KongPlugin",
            "metadata": head(cluster, &refusal(cluster)),
            "plugin": "request-termination",
            "config": {"status_code": 403, "message": "The user is in no group"},
        }));
    }
    let rules: Vec<Value> = rules.iter().map(|one| rule(cluster, one, &rules)).collect();
    for (index, rules) in rules.chunks(MOST_RULES).enumerate() {
        let name = if index == 0 { name.clone() } else { format!("{name}-{index}") };
        let mut parent = json!({"name": attached.gateway});
        if let Some(namespace) = &attached.namespace {
            parent["namespace"] = namespace.clone().into();
        }
        if let Some(listener) = &attached.listener {
            parent["sectionName"] = listener.clone().into();
        }
        let mut spec = json!({"parentRefs": [parent], "rules": rules});
        if !attached.hostnames.is_empty() {
            spec["hostnames"] = attached.hostnames.clone().into();
        }
        objects.push(json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": head(cluster, &name),
            "spec": spec,
        }));
    }
    Mesh { objects, left_out, notes }
}

fn balances(rules: &[Rule]) -> Vec<&Balance> {
    let mut balances: Vec<&Balance> = Vec::new();
    for rule in rules.iter().filter(|rule| rule.to != To::Refused) {
        if !balances.contains(&&rule.balance) {
            balances.push(&rule.balance);
        }
    }
    balances
}

/// Every Service that some rule sends to, once for each way in which it is spread.
fn backends(rules: &[Rule]) -> Vec<(&str, &Balance)> {
    let mut backends = Vec::new();
    for rule in rules {
        if let To::Services(services) = &rule.to {
            for (service, _) in services {
                let backend = (service.as_str(), &rule.balance);
                if !backends.contains(&backend) {
                    backends.push(backend);
                }
            }
        }
    }
    backends
}

fn suffix(balance: &Balance) -> &'static str {
    match balance {
        Balance::RoundRobin => "turns",
        Balance::LeastRequests => "least",
        Balance::SourceAddress => "client",
        Balance::Header(_) => "hash",
    }
}

fn policy_name(cluster: &FundCluster, balance: &Balance) -> String {
    format!("{}-{}", cluster.metadata.name.as_deref().unwrap_or_default(), suffix(balance))
}

fn policy(cluster: &FundCluster, balance: &Balance) -> Value {
    let spec = match balance {
        Balance::RoundRobin => json!({"algorithm": "round-robin"}),
        Balance::LeastRequests => json!({"algorithm": "least-connections"}),
        Balance::SourceAddress => json!({"algorithm": "consistent-hashing", "hashOn": {"input": "ip"}}),
        Balance::Header(header) => json!({
            "algorithm": "consistent-hashing",
            "hashOn": {"header": header},
            "hashOnFallback": {"input": "none"},
        }),
    };
    json!({
        "apiVersion": "configuration.konghq.com/v1beta1",
        "kind": "KongUpstreamPolicy",
        "metadata": head(cluster, &policy_name(cluster, balance)),
        "spec": spec,
    })
}

/// A Service of its own, for the operator's would have to be changed; it selects the same pods.
fn service_of(cluster: &FundCluster, service: &str, balance: &Balance) -> Value {
    let site = Site::default();
    let theirs = fundbond_desired::children(cluster, &site, 1).into_iter().find_map(|child| match child {
        Child::Service(one) if one.metadata.name.as_deref() == Some(service) => one.spec?.selector,
        _ => None,
    });
    let idle = cluster.spec.pods.heartbeat.interval.0.saturating_mul(3).as_millis().max(60_000);
    let mut metadata = head(cluster, &backend(service, balance));
    metadata["annotations"] = json!({
        "konghq.com/upstream-policy": policy_name(cluster, balance),
        // A stream is silent between heartbeats, and what was sent twice would be done twice.
        "konghq.com/read-timeout": idle.to_string(),
        "konghq.com/retries": "0",
    });
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "selector": theirs,
            "ports": [{"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"}],
        },
    })
}

fn backend(service: &str, balance: &Balance) -> String {
    format!("{service}-{}", suffix(balance))
}

fn refusal(cluster: &FundCluster) -> String {
    format!("{}-no-group", cluster.metadata.name.as_deref().unwrap_or_default())
}

fn rule(cluster: &FundCluster, rule: &Rule, rules: &[Rule]) -> Value {
    let mut filters = Vec::new();
    let to = match &rule.to {
        To::Services(services) => services.clone(),
        // The plugin answers; a rule without a backend would not be taken.
        To::Refused => {
            let name = refusal(cluster);
            filters.push(json!({
                "type": "ExtensionRef",
                "extensionRef": {"group": "configuration.konghq.com", "kind": "KongPlugin", "name": name},
            }));
            rules
                .iter()
                .find_map(|rule| match &rule.to {
                    To::Services(services) => Some(services.clone()),
                    To::Refused => None,
                })
                .unwrap_or_default()
        }
    };
    filters.extend(replaces(cluster).filter(|_| cluster.spec.route.strip_prefix > 0).map(|prefix| {
        json!({
            "type": "URLRewrite",
            "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": prefix}},
        })
    }));
    let several = to.len() > 1;
    let backends = to.iter().map(|(service, weight)| {
        let mut backend = json!({"name": backend(service, &rule.balance), "port": PORT});
        if several {
            backend["weight"] = (*weight).into();
        }
        backend
    });
    let mut value = json!({"matches": matches(cluster, rule), "backendRefs": backends.collect::<Vec<_>>()});
    if !filters.is_empty() {
        value["filters"] = filters.into();
    }
    value
}

/// What the prefix of the path becomes where exactly all of it is taken off.
fn replaces(cluster: &FundCluster) -> Option<&'static str> {
    let route = &cluster.spec.route;
    let segments = route.path_prefix.split('/').filter(|segment| !segment.is_empty()).count();
    (usize::try_from(route.strip_prefix) == Ok(segments)).then_some("/")
}

fn matches(cluster: &FundCluster, rule: &Rule) -> Vec<Value> {
    let route = &cluster.spec.route;
    let mut names = vec![json!({"type": "Exact", "name": route.header, "value": route.value})];
    if let Some(users) = &rule.users {
        // Kong looks for a match anywhere in the value.
        names.push(json!({"type": "RegularExpression", "name": USER, "value": format!("^{users}$")}));
    }
    let path = json!({"type": "PathPrefix", "value": route.path_prefix});
    if !rule.writes {
        return vec![json!({"path": path, "headers": names})];
    }
    let by_method = WRITES.iter().map(|method| json!({"path": path, "headers": names, "method": method}));
    let write = json!({"type": "Exact", "name": headers::OPERATION_TYPE, "value": headers::WRITE});
    let by_header = names.iter().cloned().chain([write]).collect::<Vec<_>>();
    by_method.chain([json!({"path": path, "headers": by_header})]).collect()
}
