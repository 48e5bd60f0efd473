//! The chart of the definitions: the same as `crds/*.yaml`, and kept when the release goes.

use fundbond_crds::definitions::{definitions, file_name};
use serde_json::{Value, json};

use crate::{
    helm::{parse, template},
    hold,
};

const HEAD: &str = "{{- /* Made from crds/src by `cargo xtask reference`; not to be edited. */ -}}\n";

/// Where values may add something.
const LABELS: &str = "  labels: {{- merge (dict \"app.kubernetes.io/part-of\" \"fundbond\" \"app.kubernetes.io/managed-by\" \
                      .Release.Service \"helm.sh/chart\" (printf \"%s-%s\" .Chart.Name .Chart.Version)) .Values.labels | \
                      toYaml | nindent 4 }}\n";
const ANNOTATIONS: &str = "  annotations: {{- merge (dict \"helm.sh/resource-policy\" \"keep\") .Values.annotations | toYaml \
                           | nindent 4 }}\n";

#[test]
fn the_templates_are_what_the_types_say() {
    for definition in definitions() {
        let name = definition.metadata.name.as_deref().unwrap();
        let text = yaml_serde::to_string(&definition).unwrap();
        // What is said in a description is no template.
        let text = text.trim_start_matches("---\n").replace("{{", "{{ \"{{\" }}");
        let head = format!("metadata:\n  name: {name}\n");
        assert!(text.contains(&head), "{text}");
        let text = text.replacen(&head, &format!("{head}{LABELS}{ANNOTATIONS}"), 1);
        hold(&format!("fundbond-crds/templates/{}", file_name(&definition)), &format!("{HEAD}{text}"));
    }
}

#[test]
fn the_chart_makes_the_definitions_and_keeps_them() {
    let arguments =
        ["--set-json", r#"labels={"team":"desk"},annotations={"helm.sh/resource-policy":"delete"}"#];
    let mut made = parse(&template("fundbond-crds", "fundbond", &arguments).unwrap());
    made.retain(|object| object["kind"] == "CustomResourceDefinition");
    let mut wanted = definitions().map(|definition| serde_json::to_value(definition).unwrap());
    assert_eq!(made.len(), wanted.len());
    for (made, wanted) in made.iter().zip(&mut wanted) {
        assert_eq!(made["metadata"]["annotations"], json!({"helm.sh/resource-policy": "keep"}));
        assert_eq!(made["metadata"]["labels"]["team"], "desk");
        wanted["metadata"] = made["metadata"].clone();
        wanted.as_object_mut().unwrap().extend([
            ("apiVersion".to_owned(), Value::from("apiextensions.k8s.io/v1")),
            ("kind".to_owned(), "CustomResourceDefinition".into()),
        ]);
        assert!(made == wanted, "{} differs from crds/", made["metadata"]["name"]);
    }
}

#[test]
fn who_may_edit_a_namespace_may_edit_fund_clusters_unless_it_is_switched_off() {
    let roles = |arguments: &[&str]| {
        let mut made = parse(&template("fundbond-crds", "fundbond", arguments).unwrap());
        made.retain(|object| object["kind"] == "ClusterRole");
        made
    };
    let made = roles(&[]);
    let names: Vec<&Value> = made.iter().map(|role| &role["metadata"]["name"]).collect();
    assert_eq!(names, ["fundbond-edit", "fundbond-view"]);
    for (role, takes_in) in made.iter().zip([&["admin", "edit"][..], &["admin", "edit", "view"]]) {
        let labels = role["metadata"]["labels"].as_object().unwrap();
        let prefix = "rbac.authorization.k8s.io/aggregate-to-";
        let found: Vec<&str> = labels.keys().filter_map(|label| label.strip_prefix(prefix)).collect();
        assert_eq!(found, takes_in);
        // Routes are written by the operator alone.
        let writes = role["rules"].as_array().unwrap().iter().filter(|rule| {
            rule["verbs"]
                .as_array()
                .unwrap()
                .iter()
                .any(|verb| !["get", "list", "watch"].contains(&verb.as_str().unwrap()))
        });
        for rule in writes {
            assert!(!rule["resources"].as_array().unwrap().contains(&"gatewayroutes".into()), "{rule}");
        }
    }
    assert!(roles(&["--set", "aggregateRoles=false"]).is_empty());
}
