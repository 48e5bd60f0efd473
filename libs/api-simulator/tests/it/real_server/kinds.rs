//! Objects to try: of each kind some fields, chosen by a seed.

use rand::{RngExt as _, rngs::StdRng};
use serde_json::{Map, Value, json};

/// A kind to try.
#[derive(Clone, Copy)]
pub struct Tried {
    pub path: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub status: bool,
    pub make: fn(&mut StdRng, bool) -> Value,
}

pub const DEPLOYMENT: Tried = Tried {
    path: "/apis/apps/v1/namespaces/{}/deployments",
    version: "apps/v1",
    kind: "Deployment",
    status: true,
    make: deployment,
};
pub const SERVICE: Tried = Tried {
    path: "/api/v1/namespaces/{}/services",
    version: "v1",
    kind: "Service",
    status: false,
    make: service,
};
pub const CONFIG_MAP: Tried = Tried {
    path: "/api/v1/namespaces/{}/configmaps",
    version: "v1",
    kind: "ConfigMap",
    status: false,
    make: config_map,
};
pub const FUND_CLUSTER: Tried = Tried {
    path: "/apis/fundbond.dev/v1alpha1/namespaces/{}/fundclusters",
    version: "fundbond.dev/v1alpha1",
    kind: "FundCluster",
    status: true,
    make: fund_cluster,
};

/// Some of these, or none.
fn some(random: &mut StdRng, fields: &mut Map<String, Value>, choices: &[(&str, &[Value])]) {
    for (name, values) in choices {
        if random.random_bool(0.45) {
            fields.insert((*name).to_owned(), values[random.random_range(0..values.len())].clone());
        }
    }
}

/// Some items of these.
fn items(random: &mut StdRng, all: &[Value]) -> Value {
    let mut chosen: Vec<_> = all.iter().filter(|_| random.random_bool(0.5)).cloned().collect();
    if random.random_bool(0.3) {
        chosen.reverse();
    }
    chosen.into()
}

fn labels(random: &mut StdRng) -> Value {
    let mut labels = Map::new();
    some(
        random,
        &mut labels,
        &[("a", &[json!("1"), json!("2")]), ("b", &[json!("1")]), ("c", &[json!("x")])],
    );
    labels.into()
}

fn metadata(random: &mut StdRng, object: &mut Value) {
    object["metadata"] = json!({"name": "one"});
    for name in ["labels", "annotations"] {
        if random.random_bool(0.4) {
            object["metadata"][name] = labels(random);
        }
    }
    if random.random_bool(0.1) {
        object["metadata"]["finalizers"] = items(random, &[json!("a.b/c"), json!("a.b/d")]);
    }
}

fn conditions(random: &mut StdRng) -> Value {
    let condition = |kind: &str, status: &str| {
        json!({"type": kind, "status": status, "reason": "R", "message": "m",
               "lastTransitionTime": "2026-01-01T00:00:00Z", "lastUpdateTime": "2026-01-01T00:00:00Z"})
    };
    let word = if random.random_bool(0.5) { "True" } else { "False" };
    items(random, &[condition("Ready", word), condition("Paused", "True"), condition("Degraded", word)])
}

fn deployment(random: &mut StdRng, status: bool) -> Value {
    if status {
        let mut status = Map::new();
        some(
            random,
            &mut status,
            &[("replicas", &[json!(1), json!(2)]), ("observedGeneration", &[json!(1)])],
        );
        if random.random_bool(0.5) {
            status.insert("conditions".into(), conditions(random));
        }
        return json!({"metadata": {"name": "one"}, "status": status});
    }
    let image = ["a:1", "b:1", "c"][random.random_range(0..3)];
    let mut container = json!({"name": "pod", "image": image});
    let fields = container.as_object_mut().unwrap();
    some(
        random,
        fields,
        &[
            ("args", &[json!(["x"]), json!(["x", "y"])]),
            (
                "resources",
                &[
                    json!({"requests": {"cpu": "100m"}}),
                    json!({"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}}),
                ],
            ),
            (
                "readinessProbe",
                &[
                    json!({"httpGet": {"port": 80}}),
                    json!({"httpGet": {"port": "http", "path": "/x"}, "periodSeconds": 5}),
                ],
            ),
            ("securityContext", &[json!({"runAsNonRoot": true}), json!({"capabilities": {"drop": ["ALL"]}})]),
        ],
    );
    if random.random_bool(0.6) {
        let all = [
            json!({"name": "A", "value": "1"}),
            json!({"name": "B", "value": "2"}),
            json!({"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
            json!({"name": "A1", "value": "3"}),
        ];
        fields.insert("env".into(), items(random, &all));
    }
    if random.random_bool(0.6) {
        let all = [
            json!({"name": "http", "containerPort": 80}),
            json!({"name": "admin", "containerPort": 81, "protocol": "TCP"}),
        ];
        fields.insert("ports".into(), items(random, &all));
    }
    let mut pod = json!({"containers": [container]});
    some(
        random,
        pod.as_object_mut().unwrap(),
        &[
            ("nodeSelector", &[json!({"a": "1"}), json!({"a": "1", "b": "2"})]),
            ("tolerations", &[json!([{"key": "a", "operator": "Exists"}])]),
            ("imagePullSecrets", &[json!([{"name": "s"}]), json!([{"name": "t"}])]),
            ("serviceAccountName", &[json!("x")]),
            ("terminationGracePeriodSeconds", &[json!(30), json!(60)]),
            (
                "volumes",
                &[json!([{"name": "v", "emptyDir": {}}]), json!([{"name": "w", "configMap": {"name": "c"}}])],
            ),
            (
                "topologySpreadConstraints",
                &[json!([{"maxSkew": 1, "topologyKey": "h", "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app": "x"}}}])],
            ),
        ],
    );
    let mut template = json!({"metadata": {"labels": {"app": "x"}}, "spec": pod});
    if random.random_bool(0.3) {
        template["metadata"]["annotations"] = labels(random);
    }
    let mut spec = json!({"selector": {"matchLabels": {"app": "x"}}, "template": template});
    some(
        random,
        spec.as_object_mut().unwrap(),
        &[
            ("replicas", &[json!(1), json!(2), json!(3)]),
            ("revisionHistoryLimit", &[json!(3)]),
            (
                "strategy",
                &[
                    json!({"type": "Recreate"}),
                    json!({"rollingUpdate": {"maxSurge": 1}}),
                    json!({"type": "RollingUpdate"}),
                ],
            ),
        ],
    );
    let mut object = json!({"spec": spec});
    metadata(random, &mut object);
    object
}

fn service(random: &mut StdRng, _: bool) -> Value {
    let all = [
        json!({"name": "http", "port": 80}),
        json!({"name": "admin", "port": 81, "targetPort": "admin"}),
        json!({"name": "dns", "port": 80, "protocol": "UDP"}),
    ];
    let mut ports = items(random, &all);
    if ports == json!([]) {
        ports = json!([all[0]]);
    }
    let mut spec = json!({"ports": ports});
    some(
        random,
        spec.as_object_mut().unwrap(),
        &[
            ("selector", &[json!({"a": "1"}), json!({"a": "1", "b": "2"})]),
            ("sessionAffinity", &[json!("None"), json!("ClientIP")]),
            ("publishNotReadyAddresses", &[json!(true)]),
        ],
    );
    let mut object = json!({"spec": spec});
    metadata(random, &mut object);
    object
}

fn config_map(random: &mut StdRng, _: bool) -> Value {
    let mut object = json!({"data": labels(random)});
    metadata(random, &mut object);
    object
}

/// A real server keeps annotations of which nothing is left, and writes an object once more to have them gone.
fn without_empty(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.retain(|_, value| value.as_object().is_none_or(|fields| !fields.is_empty()));
    object
}

fn fund_cluster(random: &mut StdRng, status: bool) -> Value {
    if status {
        let mut status = Map::new();
        some(random, &mut status, &[("streams", &[json!(1), json!(2)]), ("observedGeneration", &[json!(1)])]);
        if random.random_bool(0.6) {
            let mut conditions = conditions(random);
            for condition in conditions.as_array_mut().unwrap() {
                condition.as_object_mut().unwrap().remove("lastUpdateTime");
            }
            // A list that one emptied and of which another takes the last item is null for a real server, which then
            // refuses it.
            if conditions != json!([]) {
                status.insert("conditions".into(), conditions);
            }
        }
        return json!({"metadata": {"name": "one"}, "status": status});
    }
    let mut spec = json!({"route": {"value": "one"}, "redis": {"url": "redis://redis:6379"}});
    some(
        random,
        spec.as_object_mut().unwrap(),
        &[
            ("paused", &[json!(true), json!(false)]),
            ("proxy", &[json!({"replicas": 1}), json!({"replicas": 3})]),
            (
                "pods",
                &[
                    json!({"replicas": 3}),
                    json!({"maxStreams": 100}),
                    json!({"replicas": 3, "nodeSelector": {"a": "b"}}),
                ],
            ),
            (
                "routing",
                &[
                    json!({"strategy": "LeastStreams"}),
                    json!({"strategy": "ClientIP", "clientIP": {"timeout": "2h"}}),
                ],
            ),
            ("unknown", &[json!(1)]),
        ],
    );
    let mut object = json!({"spec": spec});
    metadata(random, &mut object);
    without_empty(object)
}
