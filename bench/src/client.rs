//! The calls both servers answer.

use std::net::SocketAddr;

use bytes::Bytes;
use fundbond_protocol::{
    ConnectionId, TaskId,
    api::{FUND_API_PATH, FUND_EVENTS_PATH, OpenStream},
};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Deserialize, Serialize};

/// Body of `POST /api/fund-api` for a task that counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartSteps {
    /// The task.
    pub correlation_id: TaskId,
    /// The stream its events go to.
    pub connection_id: ConnectionId,
    /// Always `steps`.
    pub kind: String,
    /// How many events between its first and its last.
    pub count: u32,
    /// Time before each of them.
    pub delay_ms: u64,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer.
    #[error("POST {path} got no answer")]
    Broken {
        /// What was called.
        path: &'static str,
        /// Why.
        source: hyper_util::client::legacy::Error,
    },
    /// An answer without its body.
    #[error("POST {path} got half an answer")]
    Cut {
        /// What was called.
        path: &'static str,
        /// Why.
        source: hyper::Error,
    },
    /// Another answer than the one that was due.
    #[error("POST {path} was answered with {status}: {body}")]
    Refused {
        /// What was called.
        path: &'static str,
        /// With what.
        status: StatusCode,
        /// And why.
        body: String,
    },
    /// A request that cannot be made.
    #[error("POST {path} cannot be asked")]
    Request {
        /// What was to be called.
        path: &'static str,
        /// Why not.
        source: http::Error,
    },
    /// A body that cannot be written.
    #[error("POST {path} cannot be written as JSON")]
    Json {
        /// What was to be called.
        path: &'static str,
        /// Why not.
        source: serde_json::Error,
    },
}

/// A client of one server. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    server: SocketAddr,
}

impl Client {
    /// A client without a connection yet.
    pub fn new(server: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { http: Http::builder(TokioExecutor::new()).build(connector), server }
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// Where the answer is not one.
    pub async fn open(&self, wanted: &OpenStream) -> Result<Incoming, ClientError> {
        Ok(self.post(FUND_EVENTS_PATH, wanted, StatusCode::OK).await?.into_body())
    }

    /// Starts a task.
    ///
    /// # Errors
    /// Where it is not accepted.
    pub async fn start(&self, task: &StartSteps) -> Result<(), ClientError> {
        let answer = self.post(FUND_API_PATH, task, StatusCode::ACCEPTED).await?;
        // Read to its end, or its connection could not be used again.
        answer
            .into_body()
            .collect()
            .await
            .map_err(|source| ClientError::Cut { path: FUND_API_PATH, source })?;
        Ok(())
    }

    async fn post(
        &self,
        path: &'static str,
        body: &impl Serialize,
        due: StatusCode,
    ) -> Result<Response<Incoming>, ClientError> {
        let json = serde_json::to_vec(body).map_err(|source| ClientError::Json { path, source })?;
        let request = Request::post(format!("http://{}{path}", self.server))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(json))
            .map_err(|source| ClientError::Request { path, source })?;
        let response =
            self.http.request(request).await.map_err(|source| ClientError::Broken { path, source })?;
        let status = response.status();
        if status == due {
            return Ok(response);
        }
        let body =
            response.into_body().collect().await.map_err(|source| ClientError::Cut { path, source })?;
        let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Err(ClientError::Refused { path, status, body })
    }
}
