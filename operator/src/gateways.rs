//! Asks gateways which routes they have applied.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use fundbond_crds::labels;
use fundbond_lease::names::Namespace;
use fundbond_protocol::api::{APPLIED_ROUTES_PATH, AppliedRoutes};
use fundbond_service_runtime::exit::chain;
use futures::future::join_all;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, Client, api::ListParams};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// An answer that is not there by then is none.
const LIMIT: Duration = Duration::from_secs(2);

/// The longest answer in bytes: of a gateway with 100,000 routes.
const MOST: usize = 16 * 1024 * 1024;

/// How often it is looked where gateways are; sooner where one does not answer.
const LOOK_ANEW: Duration = Duration::from_secs(10);

/// The ports of a gateway by their names: for requests; and for probes, metrics and pages, which is so much above the other
/// where a Service has only that one.
const HTTP: &str = "http";
const ADMIN: &str = "admin";

/// A gateway that is ready.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Its pod.
    pub gateway: String,
    /// Which routes it has; none where it does not say. The same answer is the same object.
    pub said: Option<Arc<AppliedRoutes>>,
}

/// It cannot be told where gateways are.
#[derive(Debug, thiserror::Error)]
#[error("the API server does not say where gateways are")]
pub struct Unseen(#[from] kube::Error);

/// Answers to come.
pub type Hearing<'a> = Pin<Box<dyn Future<Output = Result<Vec<Heard>, Unseen>> + Send + 'a>>;

/// Who asks.
pub trait Gateways: Send + Sync {
    /// Asks every gateway that is ready, once.
    fn ask(&self) -> Hearing<'_>;
}

/// Nobody knows of gateways.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoGateways;

impl Gateways for NoGateways {
    fn ask(&self) -> Hearing<'_> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// The Service of the gateways: `NAMESPACE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayService {
    namespace: Namespace,
    name: String,
}

/// It is no name of a Service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the namespace and the name of a Service, like fundbond/fundbond-gateway")]
pub struct BadService;

impl FromStr for GatewayService {
    type Err = BadService;

    fn from_str(text: &str) -> Result<Self, BadService> {
        let (namespace, name) = text.split_once('/').ok_or(BadService)?;
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 63 || !name.bytes().all(legal) {
            return Err(BadService);
        }
        Ok(Self { namespace: namespace.parse().map_err(|_| BadService)?, name: name.to_owned() })
    }
}

impl fmt::Display for GatewayService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Gateways behind a Service, over HTTP.
pub(crate) struct HttpGateways {
    slices: Api<EndpointSlice>,
    service: String,
    http: Pool<HttpConnector, Empty<Bytes>>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    places: Vec<Place>,
    /// When they were looked up; none where that is to be done again.
    looked: Option<Instant>,
    /// What was said last where, and by which tag the next question says so.
    said: HashMap<Place, (HeaderValue, Arc<AppliedRoutes>)>,
}

/// Where a gateway is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    gateway: String,
    address: SocketAddr,
}

/// A gateway that did not say what it has.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("it cannot be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    #[error("no answer within {LIMIT:?}")]
    Late,
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the answer is not which routes it has")]
    Json(#[source] serde_json::Error),
}

impl HttpGateways {
    pub(crate) fn new(client: Client, service: &GatewayService) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(LIMIT));
        Self {
            slices: Api::namespaced(client, service.namespace.as_str()),
            service: service.name.clone(),
            http: Pool::builder(TokioExecutor::new()).build(connector),
            memory: Mutex::default(),
        }
    }

    async fn hear(&self) -> Result<Vec<Heard>, Unseen> {
        // One question at a time; whoever asks in between would ask the same.
        let mut memory = self.memory.lock().await;
        if memory.looked.is_none_or(|looked| looked.elapsed() >= LOOK_ANEW) {
            memory.places = self.places().await?;
            memory.looked = Some(Instant::now());
            let there: HashSet<_> = memory.places.iter().cloned().collect();
            memory.said.retain(|place, _| there.contains(place));
        }
        let Memory { places, said, .. } = &*memory;
        let asked = places.iter().map(async |place| {
            let answer = timeout(LIMIT, self.answer(place.address, said.get(place))).await;
            answer.unwrap_or(Err(Unanswered::Late))
        });
        let answers = join_all(asked).await;
        let mut heard = Vec::with_capacity(answers.len());
        for (place, answer) in memory.places.clone().into_iter().zip(answers) {
            let said = match answer {
                Ok((tag, routes)) => {
                    memory.said.insert(place.clone(), (tag, routes.clone()));
                    Some(routes)
                }
                Err(error) => {
                    tracing::debug!(pod = %place.gateway, error = chain(&error), "a gateway does not say which routes it has");
                    // It may be gone.
                    memory.looked = None;
                    None
                }
            };
            heard.push(Heard { gateway: place.gateway, said });
        }
        Ok(heard)
    }

    /// Where gateways are that are ready, each once.
    async fn places(&self) -> Result<Vec<Place>, Unseen> {
        let selected = ListParams::default().labels(&format!("{}={}", labels::SERVICE, self.service));
        let found = timeout(LIMIT, self.slices.list(&selected)).await;
        let found = found.map_err(|_| kube::Error::Service("no answer in time".into()))??;
        let mut places: Vec<_> = found.items.iter().flat_map(places_of).collect();
        places.sort_unstable();
        // A pod with two addresses is in two slices.
        places.dedup_by(|one, other| one.gateway == other.gateway);
        Ok(places)
    }

    async fn answer(
        &self,
        address: SocketAddr,
        known: Option<&(HeaderValue, Arc<AppliedRoutes>)>,
    ) -> Result<(HeaderValue, Arc<AppliedRoutes>), Unanswered> {
        let uri = format!("http://{address}{APPLIED_ROUTES_PATH}");
        let mut request = Request::get(uri).body(Empty::new()).expect("an address and a path are a URI");
        if let Some((tag, _)) = known {
            request.headers_mut().insert(header::IF_NONE_MATCH, tag.clone());
        }
        let response = self.http.request(request).await.map_err(Unanswered::Unreachable)?;
        match (response.status(), known) {
            (StatusCode::OK, _) => {}
            (StatusCode::NOT_MODIFIED, Some(known)) => return Ok(known.clone()),
            (status, _) => return Err(Unanswered::Status(status)),
        }
        // One without a tag is asked for everything each time.
        let tag = response.headers().get(header::ETAG).cloned();
        let tag = tag.unwrap_or_else(|| HeaderValue::from_static("\"\""));
        let body = Limited::new(response.into_body(), MOST).collect().await.map_err(Unanswered::Body)?;
        let routes: AppliedRoutes = serde_json::from_slice(&body.to_bytes()).map_err(Unanswered::Json)?;
        match known {
            Some((_, before)) if **before == routes => Ok((tag, before.clone())),
            _ => Ok((tag, Arc::new(routes))),
        }
    }
}

impl Gateways for HttpGateways {
    fn ask(&self) -> Hearing<'_> {
        Box::pin(self.hear())
    }
}

/// The gateways of a slice that are ready.
fn places_of(slice: &EndpointSlice) -> Vec<Place> {
    let named = |name| {
        let mut ports = slice.ports.iter().flatten();
        ports.find(|port| port.name.as_deref() == Some(name)).and_then(|port| port.port)
    };
    let admin = named(ADMIN).or_else(|| Some(named(HTTP)? + fundbond_desired::ADMIN_OFFSET));
    let Some(port) = admin.and_then(|port| u16::try_from(port).ok()) else { return Vec::new() };
    let ready = slice.endpoints.iter().filter(|endpoint| {
        // Unknown counts as ready, says the API.
        endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
    });
    ready
        .filter_map(|endpoint| {
            let address: IpAddr = endpoint.addresses.first()?.parse().ok()?;
            let pod = endpoint.target_ref.as_ref().and_then(|target| target.name.clone());
            let address = SocketAddr::new(address, port);
            Some(Place { gateway: pod.unwrap_or_else(|| address.to_string()), address })
        })
        .collect()
}

#[cfg(test)]
mod tests;
