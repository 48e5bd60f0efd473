//! The requests of clients, each over a connection of its own: a connection that is kept may be one to a gateway that
//! has died since.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use fundbond_protocol::headers;
use fundbond_service_runtime::exit::chain;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::timeout;

use crate::error::ChaosError;

/// The cluster of all pods of a run.
pub const CLUSTER: &str = "cluster1";

/// How long an answer may take: the gateway says itself after a minute that it got none.
const ANSWER_WITHIN: Duration = Duration::from_secs(70);

/// A client of the gateway.
#[derive(Clone, Debug)]
pub struct Http {
    pool: Pool<HttpConnector, Full<Bytes>>,
    server: SocketAddr,
    cluster: Arc<str>,
}

impl Http {
    /// A client of this server, for [`CLUSTER`].
    pub fn new(server: SocketAddr) -> Self {
        Self::of_cluster(server, CLUSTER)
    }

    /// A client of this server, whose requests are for the cluster with this route value.
    pub fn of_cluster(server: SocketAddr, cluster: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pool = Pool::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Self { pool, server, cluster: cluster.into() }
    }

    /// Opens a stream as an `EventSource` does, after `last`.
    ///
    /// # Errors
    /// Where the request cannot be made.
    pub fn stream(&self, path: &str, last: &str) -> Result<Request<Full<Bytes>>, ChaosError> {
        let mut request = self.request(Method::GET, path).header(header::ACCEPT, headers::EVENT_STREAM);
        if !last.is_empty() {
            request = request.header(headers::LAST_EVENT_ID, last);
        }
        Ok(request.body(Full::default())?)
    }

    /// Sends JSON.
    ///
    /// # Errors
    /// Where the request cannot be made.
    pub fn post(&self, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, ChaosError> {
        let request = self.request(Method::POST, path).header(header::CONTENT_TYPE, headers::JSON);
        Ok(request.body(Full::new(body))?)
    }

    /// Reads.
    ///
    /// # Errors
    /// Where the request cannot be made.
    pub fn get(&self, path: &str) -> Result<Request<Full<Bytes>>, ChaosError> {
        Ok(self.request(Method::GET, path).body(Full::default())?)
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let uri = format!("http://{}{path}", self.server);
        Request::builder().method(method).uri(uri).header(headers::X_CLUSTER_ROUTE, &*self.cluster)
    }

    /// The head of the answer, or why there is none.
    pub async fn head(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        match timeout(ANSWER_WITHIN, self.pool.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err(format!("nothing within {} s", ANSWER_WITHIN.as_secs())),
        }
    }

    /// The status and the body of the answer, or why there is none.
    pub async fn whole(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String> {
        let response = self.response(request).await?;
        Ok((response.status(), response.into_body()))
    }

    /// The whole answer, or why there is none.
    pub async fn response(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, String> {
        let (head, body) = self.head(request).await?.into_parts();
        match timeout(ANSWER_WITHIN, body.collect()).await {
            Ok(Ok(body)) => Ok(Response::from_parts(head, body.to_bytes())),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err(format!("half an answer within {} s", ANSWER_WITHIN.as_secs())),
        }
    }
}

/// The pod that answered, where the gateways say which: what follows the cluster and a slash.
pub fn answered_by<B>(response: &Response<B>) -> Option<String> {
    let routed_to = response.headers().get(headers::X_ROUTED_TO)?.to_str().ok()?;
    Some(routed_to.split_once('/')?.1.to_owned())
}
