//! Asks clusters how they are, by their proxies.

use std::{fmt, pin::Pin, str::FromStr, time::Duration};

use bytes::Bytes;
use fundbond_protocol::api::{CLUSTER_STATUS_PATH, ClusterStatus};
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{
    client::legacy::{Client, Error as ClientError, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::timeout;

/// An answer that is not there by then is none: there will be another question soon.
const LIMIT: Duration = Duration::from_secs(5);

/// The longest answer in bytes: of a cluster of 20,000 pods.
const MOST: usize = 4 * 1024 * 1024;

/// Where a name and a namespace go in an address.
const SERVICE: &str = "{service}";
const NAMESPACE: &str = "{namespace}";

/// Which cluster is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The namespace of its FundCluster.
    pub namespace: String,
    /// The Service of its proxy.
    pub service: String,
    /// The header that names it.
    pub header: String,
    /// The value of that header.
    pub value: String,
    /// The id that it must say it has.
    pub cluster_id: String,
}

/// A cluster that did not say how it is.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// It cannot be asked: its route header is no header.
    #[error("the question cannot be asked")]
    Question(#[source] http::Error),
    /// Nobody there.
    #[error("its proxy cannot be reached")]
    Unreachable(#[source] ClientError),
    /// No answer in time.
    #[error("no answer within {LIMIT:?}")]
    Late,
    /// Its proxy or its pods refused to say.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// The answer broke off, or is longer than any should be.
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer says something else.
    #[error("the answer is not how a cluster is")]
    Json(#[source] serde_json::Error),
    /// Another cluster answered.
    #[error("it was `{0}` that answered")]
    Other(String),
}

/// An answer to come.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<ClusterStatus, Unanswered>> + Send + 'a>>;

/// Who asks.
pub trait Proxies: Send + Sync {
    /// Asks once.
    fn ask<'a>(&'a self, question: &'a Question) -> Answering<'a>;
}

/// How the proxies of clusters are reached: a URL in which `{service}` and `{namespace}` stand for those of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyAddress(String);

/// It is no such URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be like http://{{service}}.{{namespace}}.svc:8080: scheme http, a host, and no path")]
pub struct BadAddress;

impl FromStr for ProxyAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let address = Self(text.to_owned());
        let uri: Uri = address.of("service", "namespace").parse().map_err(|_| BadAddress)?;
        let is_one = uri.scheme_str() == Some("http")
            && uri.host().is_some()
            && uri.path() == "/"
            && uri.query().is_none();
        if is_one && !text.ends_with('/') { Ok(address) } else { Err(BadAddress) }
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ProxyAddress {
    fn of(&self, service: &str, namespace: &str) -> String {
        self.0.replace(SERVICE, service).replace(NAMESPACE, namespace)
    }
}

/// Asks over HTTP, with a connection for each question: there are many proxies, and half a minute between two questions.
#[derive(Clone, Debug)]
pub(crate) struct HttpProxies {
    client: Client<HttpConnector, Empty<Bytes>>,
    address: ProxyAddress,
}

impl HttpProxies {
    pub(crate) fn new(address: ProxyAddress) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(LIMIT));
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Self { client, address }
    }

    async fn answer(&self, question: &Question) -> Result<ClusterStatus, Unanswered> {
        let request =
            Request::get(self.address.of(&question.service, &question.namespace) + CLUSTER_STATUS_PATH)
                .header(&question.header, &question.value)
                .header(header::ACCEPT, fundbond_protocol::headers::JSON)
                .body(Empty::new())
                .map_err(Unanswered::Question)?;
        let response = self.client.request(request).await.map_err(Unanswered::Unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(Unanswered::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MOST).collect().await.map_err(Unanswered::Body)?;
        let status: ClusterStatus = serde_json::from_slice(&body.to_bytes()).map_err(Unanswered::Json)?;
        if status.cluster_id.as_str() == question.cluster_id {
            Ok(status)
        } else {
            Err(Unanswered::Other(status.cluster_id.to_string()))
        }
    }
}

impl Proxies for HttpProxies {
    fn ask<'a>(&'a self, question: &'a Question) -> Answering<'a> {
        Box::pin(async { timeout(LIMIT, self.answer(question)).await.unwrap_or(Err(Unanswered::Late)) })
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, sync::Arc};

    use axum::{Router, body::Body, extract::Request as Asked, response::IntoResponse};
    use tokio::net::TcpListener;

    use super::*;

    const GOOD: &str =
        r#"{"clusterId":"funds.desk","nodes":[],"breaker":{"open":false},"tasks":{"waiting":7,"running":0}}"#;

    /// A proxy that gives every question the same answer, and what it comes to.
    async fn ask(
        answer: impl Fn(Asked) -> axum::response::Response + Send + Sync + 'static,
    ) -> Result<ClusterStatus, Unanswered> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        let served = Router::new().fallback(move |asked| std::future::ready(answer(asked)));
        let serving = tokio::spawn(async { axum::serve(listener, served).await });
        let said = ask_at(address).await;
        serving.abort();
        said
    }

    async fn ask_at(address: SocketAddr) -> Result<ClusterStatus, Unanswered> {
        let question = Question {
            namespace: "funds".to_owned(),
            service: "desk-proxy".to_owned(),
            header: "X-Cluster-Route".to_owned(),
            value: "desk".to_owned(),
            cluster_id: "funds.desk".to_owned(),
        };
        HttpProxies::new(format!("http://{address}").parse().unwrap()).ask(&question).await
    }

    #[tokio::test]
    async fn a_cluster_is_asked_by_its_route() {
        let status = ask(|asked| {
            assert_eq!(
                (asked.uri().path(), &asked.headers()["x-cluster-route"]),
                (CLUSTER_STATUS_PATH, &"desk".parse().unwrap())
            );
            GOOD.into_response()
        });
        assert_eq!(status.await.unwrap().tasks.waiting, 7);
    }

    #[tokio::test]
    async fn what_is_no_answer_says_why() {
        let closed = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
        assert!(matches!(ask_at(closed).await, Err(Unanswered::Unreachable(_))));
        let refused = ask(|_| StatusCode::SERVICE_UNAVAILABLE.into_response()).await;
        assert!(matches!(refused, Err(Unanswered::Status(StatusCode::SERVICE_UNAVAILABLE))));
        assert!(matches!(ask(|_| "{}".into_response()).await, Err(Unanswered::Json(_))));
        let long = ask(|_| Body::from(vec![b' '; MOST + 1]).into_response()).await;
        assert!(matches!(long, Err(Unanswered::Body(_))), "{long:?}");
        let other = ask(|_| GOOD.replace("funds.desk", "funds.other").into_response()).await;
        assert_eq!(other.unwrap_err().to_string(), "it was `funds.other` that answered");
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_answers_is_not_waited_for() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        assert!(matches!(ask_at(listener.local_addr().unwrap()).await, Err(Unanswered::Late)));
    }

    #[test]
    fn an_address_has_room_for_a_service_and_its_namespace() {
        let address: ProxyAddress = "http://{service}.{namespace}.svc:8080".parse().unwrap();
        assert_eq!(address.of("desk-proxy", "funds"), "http://desk-proxy.funds.svc:8080");
        assert!("http://127.0.0.1:8080".parse::<ProxyAddress>().is_ok(), "one for all");
        for bad in
            ["", "desk", "https://{service}:1", "http://{service}:1/", "http://{service}:1/api", "http:///x"]
        {
            assert_eq!(bad.parse::<ProxyAddress>(), Err(BadAddress), "{bad}");
        }
    }
}
