//! The leases of an API server, as far as candidates see it: versions that rise over all objects, replacements that are
//! refused over anything but what they name, and what goes wrong on the way.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use fundbond_lease::kubernetes::KubernetesLeases;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use kube::Client;
use serde_json::{Value, json};

/// The namespace that exists.
pub const NAMESPACE: &str = "desk";

const BASE: &str = "/apis/coordination.k8s.io/v1/namespaces/";

/// What becomes of a request instead of an answer to it.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// It is refused: code, reason, message, and the kind of thing it is about.
    Refused(u16, &'static str, &'static str, &'static str),
    /// Something that is no API server answers.
    Foreign(u16, &'static str),
    /// It is never looked at.
    Hang,
    /// It is done, and the answer lost.
    Lost,
    /// It is done so much later, when nobody waits for the answer any more.
    Late(Duration),
}

/// The connection broke.
#[derive(Debug, thiserror::Error)]
#[error("the connection broke")]
pub struct Broken;

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub target: String,
    pub body: Value,
}

#[derive(Default)]
struct State {
    leases: BTreeMap<String, Value>,
    /// The version of the last write of anything.
    revision: u64,
    seen: Vec<Seen>,
    troubles: VecDeque<(Option<Method>, Trouble)>,
    /// For all requests, until it is taken away.
    trouble: Option<Trouble>,
    /// Versions have this before their number.
    letters: &'static str,
}

#[derive(Clone, Default)]
pub struct Server(Arc<Mutex<State>>);

impl Server {
    pub fn new() -> Self {
        let server = Self::default();
        server.state().revision = 1_000;
        server
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A client without any socket, which goes by the time of the test.
    pub fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                server.answer(Request::from_parts(parts, body)).await
            }
        });
        Client::new(service, NAMESPACE)
    }

    /// A way to a lease that shares nothing with any other but the server.
    pub fn lease(&self, name: &str) -> KubernetesLeases {
        KubernetesLeases::new(self.client(), &NAMESPACE.parse().unwrap(), &name.parse().unwrap())
    }

    /// The next request has this trouble; of `method`, if that is named.
    pub fn next(&self, method: Option<Method>, trouble: Trouble) {
        self.state().troubles.push_back((method, trouble));
    }

    /// All requests have it from now on, or none any more.
    pub fn always(&self, trouble: Option<Trouble>) {
        self.state().trouble = trouble;
    }

    /// Versions are no numbers from now on.
    pub fn number_by_letters(&self) {
        self.state().letters = "v";
    }

    /// What arrived since it was last asked.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state().seen)
    }

    pub fn delete(&self, name: &str) {
        let mut state = self.state();
        state.revision += 1;
        state.leases.remove(name);
    }

    /// As somebody sees it who looks.
    pub fn stored(&self, name: &str) -> Option<Value> {
        self.state().leases.get(name).cloned()
    }

    /// As somebody changes it by hand.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        let mut lease = state.leases.remove(name).unwrap();
        change(&mut lease);
        state.store(name, lease);
    }

    /// Answers a request, or does not.
    pub async fn answer(&self, request: Request<Bytes>) -> Result<Response<Full<Bytes>>, Broken> {
        let (parts, body) = request.into_parts();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        let seen = Seen { method: parts.method, target: parts.uri.to_string(), body };
        let trouble = {
            let mut state = self.state();
            state.seen.push(seen.clone());
            state.trouble_of(&seen.method)
        };
        match trouble {
            None => Ok(self.state().serve(&seen)),
            Some(Trouble::Refused(code, reason, message, kind)) => Ok(refusal(code, reason, message, kind)),
            Some(Trouble::Foreign(code, text)) => Ok(reply(code, text.into())),
            Some(Trouble::Hang) => std::future::pending().await,
            Some(Trouble::Lost) => {
                let _ = self.state().serve(&seen);
                Err(Broken)
            }
            Some(Trouble::Late(after)) => {
                let server = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(after).await; // sleep-ok: paused time, on purpose later than anybody waits
                    let _ = server.state().serve(&seen);
                });
                std::future::pending().await
            }
        }
    }
}

impl State {
    fn trouble_of(&mut self, method: &Method) -> Option<Trouble> {
        let fits =
            |(named, _): &(Option<Method>, Trouble)| named.as_ref().is_none_or(|named| named == method);
        let next = self.troubles.iter().position(fits).and_then(|index| self.troubles.remove(index));
        next.map(|(_, trouble)| trouble).or_else(|| self.trouble.clone())
    }

    fn serve(&mut self, request: &Seen) -> Response<Full<Bytes>> {
        let path = request.target.split('?').next().unwrap();
        let path = path.split_once(BASE).map_or(path, |(_, rest)| rest);
        let parts: Vec<&str> = path.split('/').collect();
        match (&request.method, &parts[..]) {
            (&Method::GET, [NAMESPACE, "leases", name]) => match self.leases.get(*name) {
                Some(lease) => reply(200, lease.to_string()),
                None => absent(),
            },
            (&Method::GET, [_, "leases", _]) => absent(),
            (&Method::POST, [NAMESPACE, "leases"]) => self.create(&request.body),
            (&Method::POST, [_, "leases"]) => {
                refusal(404, "NotFound", "namespaces \"other\" not found", "namespaces")
            }
            (&Method::PUT, [NAMESPACE, "leases", name]) => self.replace(name, &request.body),
            (method, _) => panic!("nothing of the kind is allowed: {method} {}", request.target),
        }
    }

    fn create(&mut self, body: &Value) -> Response<Full<Bytes>> {
        assert_eq!(body.pointer("/metadata/resourceVersion"), None, "a new object has none");
        let name = body["metadata"]["name"].as_str().unwrap().to_owned();
        if self.leases.contains_key(&name) {
            return refusal(409, "AlreadyExists", "leases already exists", "leases");
        }
        let mut lease = body.clone();
        lease["metadata"]["uid"] = format!("uid-{}", self.revision).into();
        lease["metadata"]["namespace"] = NAMESPACE.into();
        reply(201, self.store(&name, lease).to_string())
    }

    fn replace(&mut self, name: &str, body: &Value) -> Response<Full<Bytes>> {
        let of = |value: &Value, field: &str| value["metadata"].get(field).cloned();
        let changed = || refusal(409, "Conflict", "the object has been modified", "leases");
        let (uid, version) = (of(body, "uid"), of(body, "resourceVersion"));
        let Some(lease) = self.leases.get(name) else {
            // The trap: for leases, a replacement of nothing makes one, unless it says which one it is for.
            return if uid.is_some() {
                changed()
            } else {
                reply(201, self.store(name, body.clone()).to_string())
            };
        };
        if version.is_none() {
            return refusal(
                422,
                "Invalid",
                "metadata.resourceVersion: must be specified for an update",
                "leases",
            );
        }
        if version != of(lease, "resourceVersion") || uid.is_some() && uid != of(lease, "uid") {
            return changed();
        }
        if body == lease {
            return reply(200, lease.to_string());
        }
        reply(200, self.store(name, body.clone()).to_string())
    }

    fn store(&mut self, name: &str, mut lease: Value) -> Value {
        // Other objects are written in between.
        self.revision += 3;
        lease["metadata"]["resourceVersion"] = format!("{}{}", self.letters, self.revision).into();
        self.leases.insert(name.to_owned(), lease.clone());
        lease
    }
}

fn absent() -> Response<Full<Bytes>> {
    refusal(404, "NotFound", "leases not found", "leases")
}

fn refusal(code: u16, reason: &str, message: &str, kind: &str) -> Response<Full<Bytes>> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
        "details": {"name": "x", "group": "coordination.k8s.io", "kind": kind},
    });
    reply(code, status.to_string())
}

fn reply(code: u16, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}
