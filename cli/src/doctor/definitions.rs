//! Are the kinds installed, and are they those of this version?

use fundbond_crds::{VERSION, definitions};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use super::{Finding, Level, Seen};

/// What they are called.
pub const NAMES: [&str; 2] = ["fundclusters.fundbond.dev", "gatewayroutes.fundbond.dev"];

const CHECK: &str = "definitions";

/// So many differences are told; they have one remedy.
const TOLD: usize = 3;

pub(super) fn look(seen: &Seen) -> Vec<Finding> {
    let ours = definitions::definitions();
    let mut findings = Vec::new();
    for ((name, ours), theirs) in NAMES.iter().zip(&ours).zip(&seen.definitions) {
        match theirs {
            Err(blind) => findings.push(Finding::blind(CHECK, blind)),
            Ok(None) => findings.push(Finding::new(
                Level::Fail,
                CHECK,
                *name,
                "is not installed",
                "helm install fundbond-crds charts/fundbond-crds --namespace fundbond --create-namespace",
            )),
            Ok(Some(theirs)) => findings.extend(installed(seen, name, ours, theirs)),
        }
    }
    // Who may not see one may see neither.
    findings.dedup();
    super::all_well(CHECK, findings, || {
        format!("FundCluster and GatewayRoute are those of version {}", env!("CARGO_PKG_VERSION"))
    })
}

fn installed(
    seen: &Seen,
    name: &str,
    ours: &CustomResourceDefinition,
    theirs: &CustomResourceDefinition,
) -> Option<Finding> {
    let conditions = theirs.status.as_ref().and_then(|status| status.conditions.as_ref());
    let established = conditions.is_some_and(|all| {
        all.iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
    });
    if !established {
        let next = format!("{} describe customresourcedefinition {name}", seen.kubectl);
        return Some(Finding::new(Level::Fail, CHECK, name, "is installed and not served", next));
    }
    let differences = differences(ours, theirs);
    if differences.is_empty() {
        return None;
    }
    let more = match differences.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let told: Vec<_> = differences.into_iter().take(TOLD).collect();
    Some(Finding::new(
        Level::Warn,
        CHECK,
        name,
        format!("is not that of version {}: {}{more}", env!("CARGO_PKG_VERSION"), told.join(", ")),
        "helm upgrade fundbond-crds charts/fundbond-crds --namespace fundbond",
    ))
}

/// Where the schema of theirs differs from ours, as paths.
fn differences(ours: &CustomResourceDefinition, theirs: &CustomResourceDefinition) -> Vec<String> {
    let schema = |definition: &CustomResourceDefinition| {
        let version =
            definition.spec.versions.iter().find(|version| version.name == VERSION && version.served)?;
        serde_json::to_value(version.schema.as_ref()?.open_api_v3_schema.as_ref()?).ok()
    };
    let (Some(ours), Some(theirs)) = (schema(ours), schema(theirs)) else {
        return vec![format!("{VERSION} is not served")];
    };
    let mut found = Vec::new();
    compare(&ours, &theirs, "", &mut found);
    found
}

/// Words of a schema that are for people. Where they are others, nothing is taken or refused otherwise.
const SAYS_NOTHING: [&str; 2] = ["description", "example"];

fn compare(ours: &Value, theirs: &Value, path: &str, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, value) in ours.iter().filter(|(name, _)| !SAYS_NOTHING.contains(&name.as_str())) {
                let path = below(path, name);
                match theirs.get(name) {
                    Some(other) => compare(value, other, &path, found),
                    None => found.push(format!("{path} is missing")),
                }
            }
            let more = theirs.keys().filter(|name| !ours.contains_key(*name));
            let more = more.filter(|name| !SAYS_NOTHING.contains(&name.as_str()));
            found.extend(more.map(|name| format!("{} is unknown", below(path, name))));
        }
        (ours, theirs) if ours == theirs => {}
        _ => found.push(format!("{path} differs")),
    }
}

/// As a person writes a field: the words of the schema between are left out.
fn below(path: &str, name: &str) -> String {
    match name {
        "properties" | "items" => path.to_owned(),
        name => format!("{path}.{name}"),
    }
}
