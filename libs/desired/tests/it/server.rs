//! What a real API server says to what FundClusters become.

use std::time::Duration;

use fundbond_test_api_server::{Answer, Client, ask, shared};
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{EXAMPLES, example, of};

/// As the operator writes.
const APPLIED: &str = "fieldManager=fundbond-operator&force=true&fieldValidation=Strict";

/// Where objects of a kind are.
fn path(object: &Value, namespace: &str) -> String {
    let api = object["apiVersion"].as_str().unwrap();
    let root = if api.contains('/') { "apis" } else { "api" };
    let kind = object["kind"].as_str().unwrap().to_lowercase();
    let plural = kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies"));
    format!("/{root}/{api}/namespaces/{namespace}/{plural}")
}

/// The objects of an example, in a namespace of the server.
fn objects(example_name: &str, namespace: &str) -> Vec<Value> {
    let children = of(&example(example_name));
    let objects = children.iter().map(|child| {
        let mut object = child.to_value();
        object["metadata"]["namespace"] = namespace.into();
        object
    });
    objects.collect()
}

/// Thousandths of an amount such as `250m`, `4k` or `64Mi`.
fn amount(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let thousandths = match &text[digits..] {
        "m" => 1,
        "" => 1000,
        "k" => 1000 * 1000,
        "M" => 1000 * 1000 * 1000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(thousandths)
}

/// Where `live` lacks something of `wanted` or has something else in its place.
fn differences(wanted: &Value, live: &Value, at: &str, found: &mut Vec<String>) {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            for (name, value) in wanted {
                let nothing = Value::Null;
                differences(value, live.get(name).unwrap_or(&nothing), &format!("{at}.{name}"), found);
            }
        }
        (Value::Array(wanted), Value::Array(live)) if wanted.len() == live.len() => {
            for (index, (wanted, live)) in wanted.iter().zip(live).enumerate() {
                differences(wanted, live, &format!("{at}[{index}]"), found);
            }
        }
        _ if wanted == live => {}
        // Amounts are spelled in one way, whatever way they were written in: 4000 is 4k.
        (Value::String(wanted), Value::String(live))
            if amount(wanted).is_some_and(|is| Some(is) == amount(live)) => {}
        _ => found.push(format!("{at}: {wanted} became {live}")),
    }
}

// What a server spells in another way, or drops, would be written again and again.
#[tokio::test]
async fn a_server_takes_every_object_as_it_is_and_the_second_time_nothing_changes() {
    let server = shared();
    server.install_definitions().await;
    server.install_foreign_definitions().await;
    let client = server.client();
    let mut wrong = Vec::new();
    for name in EXAMPLES {
        let namespace = server.namespace().await;
        for object in objects(name, &namespace) {
            let path =
                format!("{}/{}", path(&object, &namespace), object["metadata"]["name"].as_str().unwrap());
            let tried = format!("{path}?{APPLIED}&dryRun=All");
            let answer = ask(&client, Method::PATCH, &tried, Some(&object)).await;
            if answer.code != 201 || !answer.warnings.is_empty() {
                wrong.push(format!("{name}: {path}: {answer:#?}"));
                continue;
            }
            let applied = format!("{path}?{APPLIED}");
            let first = ask(&client, Method::PATCH, &applied, Some(&object)).await;
            let second = ask(&client, Method::PATCH, &applied, Some(&object)).await;
            assert_eq!((first.code, second.code), (201, 200), "{name}: {path}");
            let version = |answer: &Value| answer["metadata"]["resourceVersion"].clone();
            if version(&first.body) != version(&second.body) {
                wrong.push(format!("{name}: {path}: applied twice, and written twice"));
            }
            let mut found = Vec::new();
            differences(&object, &first.body, "", &mut found);
            wrong.extend(found.into_iter().map(|difference| format!("{name}: {path}: {difference}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The pods a Deployment would have.
fn pod(deployment: &Value) -> Value {
    let template = &deployment["spec"]["template"];
    let mut metadata = template["metadata"].clone();
    metadata["name"] = deployment["metadata"]["name"].clone();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

/// What a server says to a pod. Which classes there are, admission hears a moment after they are made.
async fn once_its_class_is_known(client: &Client, path: &str, pod: &Value) -> Answer {
    let began = Instant::now();
    loop {
        let answer = ask(client, Method::POST, path, Some(pod)).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        if !message.contains("no PriorityClass with name") || began.elapsed() > Duration::from_secs(30) {
            return answer;
        }
        // sleep-ok: the server is another process; the deadline is above.
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn pods_are_taken_where_only_restricted_ones_are() {
    let server = shared();
    let client = server.client();
    let labels = [
        ("pod-security.kubernetes.io/enforce", "restricted"),
        ("pod-security.kubernetes.io/warn", "restricted"),
    ];
    let namespace = server.namespace_with(&labels).await;
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict");
    let mut tried = 0;
    for name in EXAMPLES {
        for deployment in objects(name, &namespace) {
            if deployment["kind"] != "Deployment" {
                continue;
            }
            let mut pod = pod(&deployment);
            if let Some(class) = pod["spec"]["priorityClassName"].as_str() {
                // A pod of a class that does not exist is refused for that.
                let class = json!({"metadata": {"name": class}, "value": 1000});
                let classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
                let made = ask(&client, Method::POST, classes, Some(&class)).await;
                assert!([201, 409].contains(&made.code), "{made:#?}");
            }
            let answer = once_its_class_is_known(&client, &path, &pod).await;
            assert_eq!((answer.code, &answer.warnings), (201, &vec![]), "{name}: {:#?}", answer.body);
            tried += 1;

            // Whether the namespace refuses anybody at all.
            pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into();
            let answer = ask(&client, Method::POST, &path, Some(&pod)).await;
            let message = answer.body["message"].as_str().unwrap();
            assert!(
                answer.code == 403 && message.contains("allowPrivilegeEscalation"),
                "{name}: {answer:#?}"
            );
        }
    }
    assert!(tried >= 2 * EXAMPLES.len(), "{tried}");
}
