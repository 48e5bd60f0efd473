//! One request as it is spelled, with everything that comes back: clients drop what a server warns of.

use anyhow::{Context as _, Result};
use http::{Method, Request, header};
use kube::{Client, client::Body};
use serde_json::Value;

use crate::must;

/// What the server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 200 and the like.
    pub code: u16,
    /// What it has to say to people, beside the answer: each text of a `Warning` header.
    pub warnings: Vec<String>,
    /// The object, or the status that says why not.
    pub body: Value,
}

/// Asks for `path` with its query. A body is JSON: an object, or for `PATCH` a configuration to apply.
pub async fn ask(client: &Client, method: Method, path: &str, body: Option<&Value>) -> Answer {
    must(try_ask(client, method, path, body).await)
}

async fn try_ask(client: &Client, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
    // JSON is YAML, and a server-side apply is only known by that name.
    let kind = if method == Method::PATCH { "application/apply-patch+yaml" } else { "application/json" };
    let body = body.map(ToString::to_string).unwrap_or_default();
    let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, kind);
    let answer = client.send(request.body(Body::from(body.into_bytes()))?).await;
    let (head, body) = answer.with_context(|| format!("no answer to {path}"))?.into_parts();
    let body = body.collect_bytes().await.context("an answer that breaks off")?;
    let warnings = head.headers.get_all(header::WARNING).iter();
    Ok(Answer {
        code: head.status.as_u16(),
        warnings: warnings.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect(),
        body: serde_json::from_slice(&body)
            .with_context(|| format!("an answer that is no JSON: {}", String::from_utf8_lossy(&body)))?,
    })
}
