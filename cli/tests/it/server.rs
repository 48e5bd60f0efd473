//! A server that answers from a script and remembers what it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use fundbond_protocol::{Problem, headers};
use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::net::TcpListener;

/// One answer.
pub(crate) enum Reply {
    Json(u16, Value),
    Problem(Problem),
    /// An event stream of these pieces; `hold` keeps it open afterwards.
    Stream {
        text: String,
        hold: bool,
    },
    Empty(u16),
    Text(u16, &'static str),
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) call: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

#[derive(Default)]
struct Script {
    replies: Mutex<VecDeque<(String, Reply)>>,
    asked: Mutex<Vec<Asked>>,
}

pub(crate) struct Server {
    pub(crate) url: String,
    script: Arc<Script>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Serves `replies`; each answers the next request for its call (`POST /api/fund-api`), the last one
    /// of a call every further request.
    pub(crate) async fn start(replies: Vec<(&str, Reply)>) -> Self {
        let script = Arc::new(Script::default());
        script
            .replies
            .lock()
            .unwrap()
            .extend(replies.into_iter().map(|(call, reply)| (call.to_owned(), reply)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(script.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, script, task }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.asked.lock().unwrap().clone()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.call).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(script): State<Arc<Script>>, method: Method, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 10 << 20).await.unwrap();
    let path = parts.uri.path().to_owned();
    let call = parts.uri.path_and_query().map_or(path.clone(), ToString::to_string);
    script.asked.lock().unwrap().push(Asked {
        call: format!("{method} {call}"),
        headers: parts.headers,
        body,
    });
    let wanted = format!("{method} {path}");
    let reply = {
        let mut replies = script.replies.lock().unwrap();
        let at = replies.iter().position(|(call, _)| *call == wanted);
        at.and_then(|at| replies.remove(at))
    };
    match reply {
        Some((_, reply)) => respond(reply),
        None => respond(Reply::Problem(Problem::new(500, "script", "No answer in the script", wanted))),
    }
}

fn respond(reply: Reply) -> Response {
    let status = |code| StatusCode::from_u16(code).unwrap();
    match reply {
        Reply::Json(code, value) => {
            (status(code), [(header::CONTENT_TYPE, headers::JSON)], value.to_string()).into_response()
        }
        Reply::Problem(problem) => (
            status(problem.status),
            [(header::CONTENT_TYPE.as_str(), headers::PROBLEM_JSON), (headers::X_REQUEST_ID, "r-77")],
            problem.to_json(),
        )
            .into_response(),
        Reply::Stream { text, hold } => {
            let pieces = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from(text))]);
            let body = if hold {
                Body::from_stream(pieces.chain(stream::pending()))
            } else {
                Body::from_stream(pieces)
            };
            ([(header::CONTENT_TYPE, headers::EVENT_STREAM)], body).into_response()
        }
        Reply::Empty(code) => status(code).into_response(),
        Reply::Text(code, text) => (status(code), text).into_response(),
    }
}
