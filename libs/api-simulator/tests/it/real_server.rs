//! The same requests to a real API server and to the simulator: the same answers, the same objects, the same owners.
//!
//! Each run begins from a seed, which is told when something differs, together with everything that was asked.

mod kinds;

use fundbond_api_simulator::Simulator;
use fundbond_test_api_server::shared;
use http::{Method, Request};
use kube::Client;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use self::kinds::{CONFIG_MAP, DEPLOYMENT, FUND_CLUSTER, SERVICE, Tried};

/// How many runs of how many requests: some seconds.
const RUNS: u64 = 60;
const REQUESTS: usize = 14;

/// A request.
#[derive(Clone, Debug)]
struct Ask {
    how: How,
    status: bool,
    manager: &'static str,
    force: bool,
    body: Value,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Create,
    Apply,
    Merge,
    /// What is there, with the body laid over it.
    Replace,
    Delete,
}

/// What came back, without what is of one server alone.
#[derive(Debug, PartialEq)]
struct Seen {
    code: u16,
    reason: String,
    /// Where others own what was applied.
    fields: Vec<String>,
    object: Value,
}

/// One side.
struct Side {
    client: Client,
    collection: String,
    revision: Option<String>,
    /// What it last said to people.
    message: String,
}

impl Side {
    async fn request(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: &Value,
    ) -> Result<Value, (u16, Value)> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method).uri(path).header("content-type", content).body(body);
        match self.client.request::<Value>(request.unwrap()).await {
            Ok(value) => Ok(value),
            Err(kube::Error::Api(status)) => Err((status.code, serde_json::to_value(&status).unwrap())),
            Err(error) => panic!("{path}: {error}"),
        }
    }

    async fn ask(&mut self, ask: &Ask) -> Seen {
        let object = format!("{}/one", self.collection);
        let address = if ask.status { format!("{object}/status") } else { object.clone() };
        let query = format!("fieldManager={}", ask.manager);
        let json = "application/json";
        let answer = match ask.how {
            How::Create => {
                self.request(Method::POST, &format!("{}?{query}", self.collection), json, &ask.body).await
            }
            How::Apply => {
                let path = format!("{address}?{query}&force={}", ask.force);
                self.request(Method::PATCH, &path, "application/apply-patch+yaml", &ask.body).await
            }
            How::Merge => {
                let path = format!("{address}?{query}");
                self.request(Method::PATCH, &path, "application/merge-patch+json", &ask.body).await
            }
            How::Replace => match self.request(Method::GET, &object, json, &Value::Null).await {
                Ok(mut there) => {
                    lay_over(&mut there, &ask.body);
                    self.request(Method::PUT, &format!("{address}?{query}"), json, &there).await
                }
                Err(absent) => Err(absent),
            },
            How::Delete => self.request(Method::DELETE, &object, json, &Value::Null).await,
        };
        self.seen(ask, answer)
    }

    fn seen(&mut self, ask: &Ask, answer: Result<Value, (u16, Value)>) -> Seen {
        match answer {
            Err((code, status)) => {
                self.message = status["message"].to_string();
                let causes = status["details"]["causes"].as_array().cloned().unwrap_or_default();
                let owned = |cause: &&Value| cause["reason"] == "FieldManagerConflict";
                let mut fields: Vec<_> =
                    causes.iter().filter(owned).map(|cause| cause["field"].to_string()).collect();
                fields.sort();
                Seen {
                    code,
                    reason: status["reason"].as_str().unwrap_or_default().into(),
                    fields,
                    object: Value::Null,
                }
            }
            Ok(_) if ask.how == How::Delete => {
                self.revision = None;
                Seen { code: 200, reason: String::new(), fields: Vec::new(), object: Value::Null }
            }
            Ok(mut object) => {
                let revision = object["metadata"]["resourceVersion"].as_str().map(ToOwned::to_owned);
                // Whether it was a write at all.
                let reason = if revision == self.revision { "unchanged" } else { "changed" };
                self.revision = revision;
                settle(&mut object);
                Seen { code: 200, reason: reason.into(), fields: Vec::new(), object }
            }
        }
    }
}

/// Takes out what is of one server alone.
fn settle(object: &mut Value) {
    let metadata = object["metadata"].as_object_mut().unwrap();
    for name in ["uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "namespace"] {
        metadata.remove(name);
    }
    let owners = metadata.get_mut("managedFields").and_then(Value::as_array_mut);
    let mut owners = owners.map(std::mem::take).unwrap_or_default();
    for owner in &mut owners {
        owner.as_object_mut().unwrap().remove("time");
    }
    owners.sort_by_key(ToString::to_string);
    metadata.insert("managedFields".into(), owners.into());
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        // Whoever hands out addresses is no part of the simulator.
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
}

fn lay_over(target: &mut Value, over: &Value) {
    match (target, over) {
        (Value::Object(target), Value::Object(over)) => {
            for (name, value) in over {
                lay_over(target.entry(name).or_insert(Value::Null), value);
            }
        }
        (target, over) => *target = over.clone(),
    }
}

fn ask(random: &mut StdRng, tried: Tried) -> Ask {
    let status = tried.status && random.random_bool(0.25);
    let how = match random.random_range(0..20) {
        0..11 => How::Apply,
        11..15 => How::Merge,
        15..18 => How::Replace,
        18 => How::Create,
        _ => How::Delete,
    };
    let status = status && matches!(how, How::Apply | How::Merge | How::Replace);
    let mut body = (tried.make)(random, status);
    body["apiVersion"] = tried.version.into();
    body["kind"] = tried.kind.into();
    if how == How::Merge && !status && random.random_bool(0.5) {
        body = json!({"metadata": {"labels": {"a": null, "b": "3"}, "annotations": {"z": "1"}}});
        if tried.kind == "Deployment" {
            body["spec"]["replicas"] = random.random_range(1..4).into();
        }
    }
    let managers = if matches!(how, How::Apply) { ["operator", "other"] } else { ["kubectl", "hpa"] };
    let manager = managers[random.random_range(0..2)];
    Ask { how, status, manager, force: random.random_bool(0.6), body }
}

async fn compare(tried: Tried) {
    let server = shared();
    server.install_definitions().await;
    for seed in 0..RUNS {
        let namespace = server.namespace().await;
        let simulator = Simulator::new(seed);
        simulator.configure(|settings| {
            settings.garbage_collection = None;
            settings.rollouts = None;
        });
        let side = |client: Client| Side {
            client,
            collection: tried.path.replace("{}", &namespace),
            revision: None,
            message: String::new(),
        };
        let (mut real, mut simulated) = (side(server.client()), side(simulator.client("test")));
        let mut random = StdRng::seed_from_u64(seed);
        let mut asked = Vec::new();
        for _ in 0..REQUESTS {
            let ask = ask(&mut random, tried);
            let Ask { how, status, manager, force, body } = &ask;
            asked.push(format!("{how:?} {manager} status={status} force={force} {body}"));
            let (expected, found) = (real.ask(&ask).await, simulated.ask(&ask).await);
            assert!(
                expected == found,
                "{} with seed {seed}, after\n{}\nthe server:    {}\nthe simulator: {}\nobjects differ at {:#?}",
                tried.kind,
                asked.join("\n"),
                format_args!("{} {} {:?} {}", expected.code, expected.reason, expected.fields, real.message),
                format_args!("{} {} {:?} {}", found.code, found.reason, found.fields, simulated.message),
                differences(&expected.object, &found.object),
            );
        }
    }
}

/// Where two values differ.
fn differences(expected: &Value, found: &Value) -> Vec<String> {
    fn walk(path: &str, expected: &Value, found: &Value, out: &mut Vec<String>) {
        match (expected, found) {
            (Value::Object(some), Value::Object(others)) => {
                for name in some.keys().chain(others.keys().filter(|name| !some.contains_key(*name))) {
                    let (one, other) = (some.get(name), others.get(name));
                    walk(
                        &format!("{path}/{name}"),
                        one.unwrap_or(&Value::Null),
                        other.unwrap_or(&Value::Null),
                        out,
                    );
                }
            }
            (Value::Array(some), Value::Array(others)) if some.len() == others.len() => {
                for (index, (one, other)) in some.iter().zip(others).enumerate() {
                    walk(&format!("{path}/{index}"), one, other, out);
                }
            }
            (some, other) if some != other => {
                out.push(format!("{path}: the server {some}, the simulator {other}"));
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk("", expected, found, &mut out);
    out
}

#[tokio::test]
async fn deployments_come_out_as_on_a_real_server() {
    compare(DEPLOYMENT).await;
}

#[tokio::test]
async fn services_come_out_as_on_a_real_server() {
    compare(SERVICE).await;
}

#[tokio::test]
async fn config_maps_come_out_as_on_a_real_server() {
    compare(CONFIG_MAP).await;
}

#[tokio::test]
async fn fund_clusters_come_out_as_on_a_real_server() {
    compare(FUND_CLUSTER).await;
}
