//! In the words of Istio: a VirtualService that says where requests go, and DestinationRules that say how they are spread.

use fundbond_crds::FundCluster;
use fundbond_protocol::headers;
use serde_json::{Map, Value, json};

use super::{
    Attached, Mesh, head,
    plan::{self, Balance, PORT, Plan, Rule, To, USER, WRITES},
    services,
};

/// Stands for every sidecar in place of a Gateway.
const SIDECARS: &str = "mesh";

/// The objects that route as gateway and proxy of `cluster` would.
pub fn istio(cluster: &FundCluster, attached: &Attached) -> Mesh {
    let services = services(cluster);
    let Plan { rules, mut left_out, notes } = plan::plan(cluster, &services);
    let route = &cluster.spec.route;
    if route.default {
        left_out.push(format!(
            "spec.route.default: a request that names another cluster by ?{}= and by no header comes here, too",
            headers::QUERY_CLUSTER
        ));
    }
    let host = |service: &str| {
        format!("{service}.{}.svc.cluster.local", cluster.metadata.namespace.as_deref().unwrap_or_default())
    };
    let mut objects: Vec<Value> =
        services.iter().map(|(_, service)| destination(cluster, service, &host(service), &rules)).collect();
    let name = cluster.metadata.name.clone().unwrap_or_default();
    let gateway = match &attached.namespace {
        Some(namespace) => format!("{namespace}/{}", attached.gateway),
        None => attached.gateway.clone(),
    };
    let hosts = match attached.hostnames.as_slice() {
        [] if gateway == SIDECARS => vec![host(&fundbond_desired::proxy_service(&name))],
        [] => vec!["*".to_owned()],
        hosts => hosts.to_vec(),
    };
    let http: Vec<Value> = rules.iter().map(|rule| http(cluster, rule, &rules, &host)).collect();
    objects.push(json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": head(cluster, &name),
        "spec": {"hosts": hosts, "gateways": [gateway], "http": http},
    }));
    Mesh { objects, left_out, notes }
}

/// How requests are spread over the pods of a Service; with a subset for each way where there are two.
fn destination(cluster: &FundCluster, service: &str, host: &str, rules: &[Rule]) -> Value {
    let mut spec = json!({"host": host});
    if let [only] = balances(rules).as_slice() {
        spec["trafficPolicy"] = policy(only);
    } else {
        let subset = |rule: &Rule| {
            json!({
                "name": rule.name,
                // Every pod has it: the subsets differ in nothing but how they are spread.
                "labels": {fundbond_crds::labels::COMPONENT: fundbond_crds::labels::PODS},
                "trafficPolicy": policy(&rule.balance),
            })
        };
        spec["subsets"] = rules.iter().map(subset).collect();
    }
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": head(cluster, service),
        "spec": spec,
    })
}

/// The different ways in which requests are spread.
fn balances(rules: &[Rule]) -> Vec<&Balance> {
    let mut balances: Vec<&Balance> = Vec::new();
    for rule in rules {
        if !balances.contains(&&rule.balance) {
            balances.push(&rule.balance);
        }
    }
    balances
}

fn policy(balance: &Balance) -> Value {
    let balancer = match balance {
        Balance::RoundRobin => json!({"simple": "ROUND_ROBIN"}),
        Balance::LeastRequests => json!({"simple": "LEAST_REQUEST"}),
        Balance::SourceAddress => json!({"consistentHash": {"useSourceIp": true}}),
        Balance::Header(header) => json!({"consistentHash": {"httpHeaderName": header}}),
    };
    json!({"loadBalancer": balancer})
}

fn http(cluster: &FundCluster, rule: &Rule, rules: &[Rule], host: &impl Fn(&str) -> String) -> Value {
    let mut http = json!({"name": rule.name, "match": matches(cluster, rule)});
    match &rule.to {
        To::Refused => http["directResponse"] = json!({"status": 403}),
        To::Services(services) => {
            let several = services.len() > 1;
            let route = services.iter().map(|(service, weight)| {
                let mut destination = json!({"host": host(service), "port": {"number": PORT}});
                if balances(rules).len() > 1 {
                    destination["subset"] = rule.name.clone().into();
                }
                let mut route = json!({"destination": destination});
                if several {
                    route["weight"] = (*weight).into();
                }
                route
            });
            http["route"] = route.collect();
            // A stream has no end, and what was sent twice would be done twice.
            http["timeout"] = "0s".into();
            http["retries"] = json!({"attempts": 0});
            if cluster.spec.route.strip_prefix > 0 {
                let segments = cluster.spec.route.strip_prefix;
                http["rewrite"] = json!({"uriRegexRewrite": {
                    "match": format!("^(/[^/]*){{1,{segments}}}/?(.*)$"),
                    "rewrite": "/\\2",
                }});
            }
        }
    }
    http
}

/// Each way in which a request may fit, written out.
fn matches(cluster: &FundCluster, rule: &Rule) -> Vec<Value> {
    let route = &cluster.spec.route;
    // Istio wants names of headers in small letters.
    let header = route.header.to_ascii_lowercase();
    let absent = json!({header.as_str(): {}});
    let mut named = vec![
        json!({"headers": {header.as_str(): {"exact": route.value}}}),
        json!({"withoutHeaders": absent, "queryParams": {headers::QUERY_CLUSTER: {"exact": route.value}}}),
    ];
    if route.default {
        named.push(json!({"withoutHeaders": absent}));
    }
    if let Some(path) = path(&route.path_prefix) {
        for one in &mut named {
            one["uri"] = json!({"regex": path});
        }
    }
    if let Some(users) = &rule.users {
        for one in &mut named {
            add(one, "headers", USER, json!({"regex": users}));
        }
    }
    if !rule.writes {
        return named;
    }
    let by_method = named.iter().cloned().map(|mut one| {
        one["method"] = json!({"regex": WRITES.join("|")});
        one
    });
    let by_header = named.iter().cloned().map(|mut one| {
        let write = json!({"regex": format!("(?i){}", headers::WRITE)});
        add(&mut one, "headers", headers::OPERATION_TYPE, write);
        one
    });
    by_method.chain(by_header).collect()
}

fn add(one: &mut Value, of: &str, name: &str, value: Value) {
    let members = one.as_object_mut().map(|one| one.entry(of).or_insert_with(|| Value::Object(Map::new())));
    if let Some(Value::Object(members)) = members {
        members.insert(name.to_owned(), value);
    }
}

/// An expression for the prefix and what lies below it, segment by segment; none where that is everything.
fn path(prefix: &str) -> Option<String> {
    let prefix = prefix.trim_end_matches('/');
    let special = |c: char| r"\.+*?()|[]{}^$".contains(c);
    let escaped = prefix.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c]));
    (!prefix.is_empty()).then(|| format!("{}(/.*)?", escaped.collect::<String>()))
}
