//! What an object has though nobody wrote it: the defaults of a definition, and those of Kubernetes by which a field that
//! comes and goes is noticed.

use serde_json::{Map, Value, json};

use crate::{resources::Resource, shape::Shape};

/// Takes out the fields that the schema does not know.
pub(crate) fn prune(schema: &Value, object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    fields.retain(|name, value| {
        if matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            return true;
        }
        let Some(below) = schema.get("properties").and_then(|properties| properties.get(name)) else {
            return false;
        };
        prune_below(below, value);
        true
    });
}

fn prune_below(schema: &Value, value: &mut Value) {
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
        return;
    }
    match value {
        Value::Object(fields) => {
            if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
                fields.values_mut().for_each(|value| prune_below(values, value));
            } else if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
                fields.retain(|name, _| properties.contains_key(name));
                for (name, value) in fields {
                    prune_below(&properties[name], value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    prune_below(schema, item);
                }
            }
        }
        _ => {}
    }
}

/// The first field that the schema does not know.
pub(crate) fn unknown(schema: &Value, object: &Value) -> Option<String> {
    let mut known = object.clone();
    prune(schema, &mut known);
    lost("", object, &known)
}

fn lost(path: &str, all: &Value, known: &Value) -> Option<String> {
    match (all, known) {
        (Value::Object(all), Value::Object(known)) => all.iter().find_map(|(name, value)| {
            let path = format!("{path}.{name}");
            match known.get(name) {
                Some(known) => lost(&path, value, known),
                None => Some(path),
            }
        }),
        (Value::Array(all), Value::Array(known)) => {
            let mut items = all.iter().zip(known).enumerate();
            items.find_map(|(index, (item, known))| lost(&format!("{path}[{index}]"), item, known))
        }
        _ => None,
    }
}

/// Fills in the defaults of the schema.
pub(crate) fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, below) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                if let Some(default) = below.get("default")
                    && !fields.contains_key(name)
                {
                    fields.insert(name.clone(), default.clone());
                }
                if let Some(value) = fields.get_mut(name) {
                    fill(below, value);
                }
            }
            if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
                fields.values_mut().for_each(|value| fill(values, value));
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    fill(schema, item);
                }
            }
        }
        _ => {}
    }
}

/// Fills in the defaults of what Kubernetes has of itself.
pub(crate) fn of_kubernetes(resource: &Resource, object: &mut Value) {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("apps", "Deployment") => {
            let spec = below(object, "spec");
            fill_in(
                spec,
                &json!({
                    "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
                    "strategy": {"type": "RollingUpdate"},
                }),
            );
            if spec["strategy"]["type"] == "RollingUpdate" {
                let rolling = json!({"rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}});
                fill_in(below_map(spec, "strategy"), &rolling);
            }
            if let Some(Value::Object(spec)) =
                spec.get_mut("template").and_then(|template| template.get_mut("spec"))
            {
                pod(spec);
            }
        }
        ("", "Service") => service(below(object, "spec")),
        ("autoscaling", "HorizontalPodAutoscaler") => {
            fill_in(below(object, "spec"), &json!({"minReplicas": 1}));
        }
        ("networking.k8s.io", "NetworkPolicy") => {
            let spec = below(object, "spec");
            for rule in ["ingress", "egress"] {
                let rules = spec.get_mut(rule).and_then(Value::as_array_mut);
                for ports in rules.into_iter().flatten().filter_map(|rule| rule.get_mut("ports")) {
                    protocols(ports);
                }
            }
            let egress = spec.contains_key("egress");
            let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
            fill_in(spec, &json!({"policyTypes": types}));
        }
        ("rbac.authorization.k8s.io", "RoleBinding") => {
            fill_in(below(object, "roleRef"), &json!({"apiGroup": "rbac.authorization.k8s.io"}));
        }
        ("", "Secret") => fill_in(object_map(object), &json!({"type": "Opaque"})),
        _ => {}
    }
}

/// Gives a Service what nobody asked for and nobody owns: `number` is one that was never given.
pub(crate) fn allocate(resource: &Resource, object: &mut Value, number: u64) {
    if resource.kind != "Service" {
        return;
    }
    let spec = below(object, "spec");
    let [.., high, low] = number.to_be_bytes();
    let address = spec.get("clusterIP").cloned().unwrap_or_else(|| format!("10.96.{high}.{low}").into());
    fill_in(
        spec,
        &json!({
            "clusterIP": address, "clusterIPs": [address],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
        }),
    );
}

/// Puts back what a Service was given.
pub(crate) fn allocated(resource: &Resource, old: &Value, object: &mut Value) {
    if resource.kind == "Service" {
        let spec = below(object, "spec");
        for name in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if let (false, Some(given)) = (spec.contains_key(name), old["spec"].get(name)) {
                spec.insert(name.to_owned(), given.clone());
            }
        }
    }
}

/// Takes out lists and free maps with nothing in them: for a server they are not there.
pub(crate) fn drop_empty(shape: &Shape, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| match (shape.field(name).0, &*value) {
                (_, Value::Array(items)) => !items.is_empty(),
                (Shape::Map(_), Value::Object(fields)) => !fields.is_empty(),
                _ => true,
            });
            for (name, value) in fields {
                drop_empty(shape.field(name).0, value);
            }
        }
        Value::Array(items) => {
            for item in items {
                drop_empty(shape.items(), item);
            }
        }
        _ => {}
    }
}

fn service(spec: &mut Map<String, Value>) {
    fill_in(
        spec,
        &json!({
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
        }),
    );
    if spec["sessionAffinity"] == "ClientIP" {
        fill_in(below_map(spec, "sessionAffinityConfig"), &json!({"clientIP": {"timeoutSeconds": 10800}}));
    } else {
        spec.remove("sessionAffinityConfig");
    }
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten();
    for port in ports.filter_map(Value::as_object_mut) {
        let number = port.get("port").cloned().unwrap_or_default();
        fill_in(port, &json!({"protocol": "TCP", "targetPort": number}));
    }
}

fn pod(spec: &mut Map<String, Value>) {
    fill_in(
        spec,
        &json!({
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
            "terminationGracePeriodSeconds": 30, "securityContext": {},
        }),
    );
    // One field under two names: who takes away only the one still has it by the other.
    let account =
        ["serviceAccountName", "serviceAccount"].into_iter().find_map(|name| spec.get(name).cloned());
    if let Some(account) = account {
        spec.insert("serviceAccountName".to_owned(), account.clone());
        spec.insert("serviceAccount".to_owned(), account);
    }
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        containers.into_iter().flatten().filter_map(Value::as_object_mut).for_each(container);
    }
    let volumes = spec.get_mut("volumes").and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten() {
        for source in ["configMap", "secret", "projected", "downwardAPI"] {
            if let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) {
                fill_in(source, &json!({"defaultMode": 420}));
            }
        }
    }
}

fn container(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let tag = image.rsplit('/').next().unwrap_or_default();
    let latest = !tag.contains('@') && (!tag.contains(':') || tag.ends_with(":latest"));
    fill_in(
        container,
        &json!({
            "imagePullPolicy": if latest { "Always" } else { "IfNotPresent" }, "resources": {},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        }),
    );
    if let Some(ports) = container.get_mut("ports") {
        protocols(ports);
    }
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) else { continue };
        fill_in(
            probe,
            &json!({"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}),
        );
        if let Some(request) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
            fill_in(request, &json!({"path": "/", "scheme": "HTTP"}));
        }
    }
    let variables = container.get_mut("env").and_then(Value::as_array_mut);
    for variable in variables.into_iter().flatten() {
        if let Some(Value::Object(field)) = variable.pointer_mut("/valueFrom/fieldRef") {
            fill_in(field, &json!({"apiVersion": "v1"}));
        }
    }
}

fn protocols(ports: &mut Value) {
    let ports = ports.as_array_mut().into_iter().flatten();
    ports.filter_map(Value::as_object_mut).for_each(|port| fill_in(port, &json!({"protocol": "TCP"})));
}

/// Puts in what is not there.
fn fill_in(fields: &mut Map<String, Value>, defaults: &Value) {
    for (name, default) in defaults.as_object().into_iter().flatten() {
        match fields.get_mut(name) {
            None => {
                fields.insert(name.clone(), default.clone());
            }
            Some(Value::Object(own)) if default.is_object() => fill_in(own, default),
            Some(_) => {}
        }
    }
}

fn object_map(object: &mut Value) -> &mut Map<String, Value> {
    if !object.is_object() {
        *object = json!({});
    }
    match object {
        Value::Object(fields) => fields,
        _ => unreachable!("it was made one"),
    }
}

fn below<'a>(object: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    below_map(object_map(object), name)
}

fn below_map<'a>(fields: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    object_map(fields.entry(name).or_insert(Value::Null))
}
