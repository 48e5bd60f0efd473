//! The same objects and a real API server: what it says is what is true.

use std::{fs, path::Path};

use fundbond_crds::{
    FundCluster, GatewayRoute,
    check::Checker,
    definitions::{definitions, fund_cluster},
};
use fundbond_test_api_server::{Answer, Client, ask, shared};
use http::Method;
use serde_json::{Value, json};

use crate::{
    definitions::all_fields,
    verdicts::{merged, route, rows, smallest},
};

const TRIED: &str = "dryRun=All&fieldValidation=Strict";

/// Asks for an object in `namespace` to be made, or, where it is named, to be changed.
async fn write(
    client: &Client,
    kind: &str,
    namespace: &str,
    name: Option<&str>,
    query: &str,
    mut object: Value,
) -> Answer {
    object["metadata"]["namespace"] = namespace.into();
    let name = name.map(|name| format!("/{name}")).unwrap_or_default();
    let method = if name.is_empty() { Method::POST } else { Method::PUT };
    let path = format!("/apis/fundbond.dev/v1alpha1/namespaces/{namespace}/{kind}{name}?{query}");
    ask(client, method, &path, Some(&object)).await
}

/// What is wrong with which field.
fn refusals(answer: &Answer) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let message = text(&answer.body["message"]);
    if answer.code < 300 {
        return Vec::new();
    }
    // Unknown fields are found before anything is looked at, and are told in one sentence.
    let unknown: Vec<_> = message.split("unknown field \"").skip(1).collect();
    let unknown = unknown.iter().filter_map(|rest| rest.split('"').next());
    let unknown: Vec<_> = unknown.map(|field| (field.to_owned(), "unknown field".to_owned())).collect();
    let causes = answer.body["details"]["causes"].as_array();
    let causes = causes.into_iter().flatten().map(|cause| {
        // What is said of the whole object.
        let field = text(&cause["field"]);
        (if field == "<nil>" { String::new() } else { field }, text(&cause["message"]))
    });
    let all: Vec<_> = unknown.into_iter().chain(causes).collect();
    assert!(!all.is_empty(), "{answer:#?}");
    all
}

#[tokio::test]
async fn every_object_gets_its_verdict_from_a_server_too() {
    let server = shared();
    let client = server.client();
    server.install_definitions().await;
    let common = server.namespace().await;
    let mut wrong = Vec::new();
    for row in rows() {
        let mut object = merged(smallest(), &row.write);
        let (mut namespace, mut name) = (common.clone(), None);
        if let Some(was) = &row.was {
            // To be changed, it has to be there.
            namespace = server.namespace().await;
            let made = write(&client, "fundclusters", &namespace, None, "", merged(smallest(), was)).await;
            assert_eq!(made.code, 201, "{}: {made:#?}", row.name);
            object["metadata"]["resourceVersion"] = made.body["metadata"]["resourceVersion"].clone();
            name = Some("cluster1");
        }
        let answer = write(&client, "fundclusters", &namespace, name, TRIED, object.clone()).await;
        let refusals = refusals(&answer);
        let said = refusals.iter().map(|(field, message)| (&**field, &**message));
        if !row.is_right(said) || !answer.warnings.is_empty() {
            wrong.push(format!("{}: {refusals:#?} {:#?}", row.name, answer.warnings));
        }
        if refusals.is_empty() {
            // What the server fills in is what our types fill in.
            let ours: FundCluster = serde_json::from_value(object).unwrap();
            let its: FundCluster = serde_json::from_value(answer.body.clone()).unwrap();
            assert_eq!(its.spec, ours.spec, "{}", row.name);
            let whole = serde_json::to_value(&ours.spec).unwrap();
            assert_eq!(answer.body["spec"], whole, "{}", row.name);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Writes `value` at a path such as `.spec.pods.replicas`.
fn put(object: &mut Value, path: &str, value: Value) {
    let mut place = object;
    for name in path.split('.').skip(1) {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[name];
    }
    *place = value;
}

// Templates write `null` for what they leave out, and numbers as texts. Whoever is told that an object is fine relies on it.
#[tokio::test]
async fn wherever_nothing_or_something_else_is_written_both_agree() {
    let server = shared();
    let client = server.client();
    server.install_definitions().await;
    let namespace = server.namespace().await;
    let definition = fund_cluster();
    let checker = Checker::of(&definition);
    let fields = all_fields(&serde_json::to_value(&definition).unwrap());
    let paths =
        fields.iter().map(|(path, _)| path).filter(|path| path.starts_with(".spec") && !path.contains('['));
    let everything = rows().into_iter().find(|row| row.name == "everything there is").unwrap();
    let everything = merged(smallest(), &everything.write);
    let values = [
        json!(null),
        json!({}),
        json!({"a": null}),
        json!([]),
        json!([null]),
        json!("x"),
        json!(""),
        json!(-1),
        json!(1.5),
        json!(true),
    ];
    let mut differ = Vec::new();
    let mut asked = 0;
    for path in paths {
        for value in &values {
            for base in [smallest(), everything.clone()] {
                let mut object = base;
                put(&mut object, path, value.clone());
                let problems = checker.check(&object, None);
                let answer = write(&client, "fundclusters", &namespace, None, TRIED, object).await;
                let refusals = refusals(&answer);
                if problems.is_empty() != refusals.is_empty() {
                    differ.push(format!("{path}: {value}: ours {problems:?}, the server's {refusals:?}"));
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 500, "{asked}");
    assert!(differ.is_empty(), "{} of {asked}:\n{}", differ.len(), differ.join("\n"));
}

#[tokio::test]
async fn a_server_takes_the_route_that_an_operator_writes() {
    let server = shared();
    let client = server.client();
    server.install_definitions().await;
    let namespace = server.namespace().await;
    let answer = write(&client, "gatewayroutes", &namespace, None, TRIED, route()).await;
    assert_eq!((refusals(&answer), answer.warnings.clone()), (vec![], vec![]));
    let its: GatewayRoute = serde_json::from_value(answer.body).unwrap();
    assert_eq!(its.spec, serde_json::from_value::<GatewayRoute>(route()).unwrap().spec);
    let without = merged(route(), &json!({"spec": {"pods": null}}));
    let answer = write(&client, "gatewayroutes", &namespace, None, TRIED, without).await;
    let refusals = refusals(&answer);
    assert!(refusals.contains(&("spec.pods".to_owned(), "Required value".to_owned())), "{refusals:#?}");
}

#[tokio::test]
async fn a_server_establishes_the_definitions_and_has_nothing_to_say_about_them() {
    let server = shared();
    let client = server.client();
    server.install_definitions().await;
    for definition in definitions() {
        let name = definition.metadata.name.clone().unwrap();
        let mut definition = serde_json::to_value(&definition).unwrap();
        definition["apiVersion"] = "apiextensions.k8s.io/v1".into();
        definition["kind"] = "CustomResourceDefinition".into();
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        let applied = format!("{path}?fieldManager=crds&force=true&{TRIED}");
        let answer = ask(&client, Method::PATCH, &applied, Some(&definition)).await;
        assert_eq!((answer.code, &answer.warnings), (200, &vec![]), "{:#?}", answer.body);
        let read = ask(&client, Method::GET, &path, None).await.body;
        let status = |kind: &str| {
            let conditions = read["status"]["conditions"].as_array().unwrap().iter();
            let mut of_kind = conditions.filter(|condition| condition["type"] == kind);
            of_kind.next().map(|condition| condition["status"].as_str().unwrap().to_owned())
        };
        assert_eq!(status("Established").as_deref(), Some("True"), "{name}");
        assert_eq!(status("NamesAccepted").as_deref(), Some("True"), "{name}");
        assert_eq!(status("NonStructuralSchema"), None, "{name}");
    }
}

#[tokio::test]
async fn a_server_takes_every_example() {
    let server = shared();
    let client = server.client();
    server.install_definitions().await;
    let namespace = server.namespace().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut taken = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let example: Value = yaml_serde::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        if example["kind"] != "FundCluster" {
            continue;
        }
        let answer = write(&client, "fundclusters", &namespace, None, TRIED, example).await;
        assert_eq!((refusals(&answer), answer.warnings), (vec![], vec![]), "{}", path.display());
        taken += 1;
    }
    assert!(taken > 0, "no example of a FundCluster");
}

// A field of a status that a server prunes is one that nobody will ever see.
#[tokio::test]
async fn a_server_keeps_every_field_of_a_status() {
    let server = shared();
    let client = server.client();
    server.install_definitions().await;
    let namespace = server.namespace().await;
    let made = write(&client, "fundclusters", &namespace, None, "", smallest()).await;
    assert_eq!(made.code, 201, "{made:#?}");
    let definition = definitions().into_iter().find(|one| one.spec.names.plural == "fundclusters").unwrap();
    let mut written = made.body.clone();
    written["status"] = example_of_status(&serde_json::to_value(&definition).unwrap());
    let path = format!("{}/status", made.body["metadata"]["name"].as_str().unwrap());
    let answer =
        write(&client, "fundclusters", &namespace, Some(&path), "fieldValidation=Strict", written.clone())
            .await;
    assert_eq!((answer.code, &answer.warnings), (200, &vec![]), "{:#?}", answer.body);
    assert_eq!(answer.body["status"], written["status"]);
    assert_eq!(answer.body["spec"], made.body["spec"]);
}

/// A status made of the examples its schema has.
fn example_of_status(definition: &Value) -> Value {
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    let members = schema["properties"].as_object().unwrap();
    members.iter().map(|(name, schema)| (name.clone(), schema["example"].clone())).collect()
}
