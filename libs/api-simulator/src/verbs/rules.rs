//! What an object must be like to be kept: the rules of its definition, and those of Kubernetes that programs meet.

use serde_json::{Map, Value};

use crate::{
    failure::Failure,
    object::{finalizers, meta},
    resources::Resource,
};

/// The longest name.
const LONGEST: usize = 253;

pub(super) fn check(resource: &Resource, new: &Value, old: Option<&Value>) -> Result<(), Failure> {
    let name = meta(new, "name").unwrap_or_default();
    let mut causes = Vec::new();
    if old.is_none() && !is_name(resource, name) {
        let what = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
                    must start and end with an alphanumeric character";
        causes.push(("metadata.name".to_owned(), format!("Invalid value: \"{name}\": {what}")));
    }
    if let Some(old) = old
        && meta(old, "deletionTimestamp").is_some()
        && finalizers(new).iter().any(|finalizer| !finalizers(old).contains(finalizer))
    {
        let what = "Forbidden: no new finalizers can be added if the object is being deleted";
        causes.push(("metadata.finalizers".to_owned(), what.to_owned()));
    }
    if let Some(custom) = &resource.custom {
        let problems = custom.checker.check(new, old);
        causes.extend(problems.into_iter().map(|problem| (problem.field, problem.message)));
    } else if resource.kind == "Deployment" {
        deployment(new, old, &mut causes);
    } else if resource.kind == "RoleBinding"
        && let Some(old) = old
        && old.get("roleRef") != new.get("roleRef")
    {
        causes.push(("roleRef".to_owned(), "Invalid value: cannot change roleRef".to_owned()));
    }
    if causes.is_empty() { Ok(()) } else { Err(Failure::invalid(resource, name, causes)) }
}

/// Names of roles may have letters that no host name has.
fn is_name(resource: &Resource, name: &str) -> bool {
    if resource.group == "rbac.authorization.k8s.io" {
        return !name.is_empty() && !name.contains(['/', '%']) && name != "." && name != "..";
    }
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    let end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    name.len() <= LONGEST
        && name.bytes().all(allowed)
        && end(name.bytes().next())
        && end(name.bytes().next_back())
}

fn deployment(new: &Value, old: Option<&Value>, causes: &mut Vec<(String, String)>) {
    let selector = new.pointer("/spec/selector");
    let wanted = selector.and_then(|selector| selector.get("matchLabels")).and_then(Value::as_object);
    let labels = new.pointer("/spec/template/metadata/labels");
    if selector.is_none() {
        causes.push(("spec.selector".to_owned(), "Required value".to_owned()));
    }
    let missing = wanted.into_iter().flat_map(Map::iter);
    let missing = missing.filter(|(key, value)| labels.and_then(|labels| labels.get(*key)) != Some(*value));
    if missing.count() > 0 {
        let what = "Invalid value: `selector` does not match template `labels`";
        causes.push(("spec.template.metadata.labels".to_owned(), what.to_owned()));
    }
    if new.pointer("/spec/template/spec/containers/0").is_none() {
        causes.push(("spec.template.spec.containers".to_owned(), "Required value".to_owned()));
    }
    let containers = new.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    for (index, container) in containers.into_iter().flatten().enumerate() {
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let request = container.get(probe).and_then(|probe| probe.get("httpGet"));
            if request.is_some_and(|request| request.get("port").is_none()) {
                let field = format!("spec.template.spec.containers[{index}].{probe}.httpGet.port");
                causes.push((field, "Invalid value: 0: must be between 1 and 65535, inclusive".to_owned()));
            }
        }
    }
    let strategy = new.pointer("/spec/strategy").unwrap_or(&Value::Null);
    if strategy["type"] == "Recreate" && !strategy["rollingUpdate"].is_null() {
        let what = "Forbidden: may not be specified when strategy `type` is 'Recreate'";
        causes.push(("spec.strategy.rollingUpdate".to_owned(), what.to_owned()));
    }
    if let Some(old) = old
        && old.pointer("/spec/selector") != selector
    {
        causes.push(("spec.selector".to_owned(), "Invalid value: field is immutable".to_owned()));
    }
}
