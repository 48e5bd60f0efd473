//! Reading requests: bodies, queries and ids, each failure named.

use std::str::FromStr;

use axum::{
    body::Body,
    extract::{FromRequestParts, Path, Request},
    http::{HeaderMap, header, request::Parts},
};
use fundbond_protocol::{IdError, headers::JSON, problem::FieldProblem};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Bodies above this are parsed on a thread of their own: a fund of 20,000 holdings takes tens of
/// milliseconds, for which no stream should wait.
pub const SMALL_BODY: usize = 64 * 1024;

/// Reads a JSON body of at most `limit` bytes.
pub async fn json_body(request: Request, limit: usize) -> Result<bytes::Bytes, ApiError> {
    check_media_type(request.headers())?;
    read(request.into_body(), limit).await
}

async fn read(body: Body, limit: usize) -> Result<bytes::Bytes, ApiError> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::TooLarge(limit)),
        Err(error) => Err(ApiError::Body(error.to_string())),
    }
}

fn check_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(header::CONTENT_TYPE).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let essence = given.as_deref().and_then(|v| v.split(';').next()).unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(JSON) { Ok(()) } else { Err(ApiError::MediaType(given)) }
}

/// Parses JSON into `T`; syntax errors and wrong fields are different problems.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let inner = error.inner();
        if inner.is_data() {
            let path = error.path().to_string();
            ApiError::field(if path == "." { "body".to_owned() } else { path }, inner.to_string())
        } else {
            ApiError::NotJson(inner.to_string())
        }
    })?;
    deserializer.end().map_err(|error| ApiError::NotJson(error.to_string()))?;
    Ok(parsed)
}

/// Parses an id that stands in `field`.
pub fn id<T: FromStr<Err = IdError>>(field: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error: IdError| ApiError::field(field, error.to_string()))
}

/// The variable segment of the path, decoded.
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(rejection) => Err(ApiError::field("path", rejection.body_text())),
        }
    }
}

/// Query parameters, each at most once, and none that is not in `known`.
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Parses the query of `request`.
    pub fn of(uri: &axum::http::Uri, known: &[&str]) -> Result<Self, ApiError> {
        let pairs: axum::extract::Query<Vec<(String, String)>> = axum::extract::Query::try_from_uri(uri)
            .map_err(|error| ApiError::field("query", error.to_string()))?;
        let mut errors = Vec::new();
        for (index, (name, _)) in pairs.iter().enumerate() {
            let message = if !known.contains(&name.as_str()) {
                format!("is not known; known are {}", known.join(", "))
            } else if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                "stands more than once".to_owned()
            } else {
                continue;
            };
            errors.push(FieldProblem { field: format!("query.{name}"), message });
        }
        if errors.is_empty() { Ok(Self(pairs.0)) } else { Err(ApiError::Invalid(errors)) }
    }

    /// One parameter; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, value)| value.as_str())
    }

    /// A comma-separated parameter, each part parsed.
    pub fn list<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, ApiError> {
        let parts = self.get(name).into_iter().flat_map(|value| value.split(','));
        parts
            .enumerate()
            .map(|(index, part)| {
                parse(part).map_err(|e| ApiError::field(format!("query.{name}[{index}]"), e.to_string()))
            })
            .collect()
    }

    /// A number from `range`.
    pub fn number(&self, name: &str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::field(
                format!("query.{name}"),
                format!("must be a number from {} to {}, not {text:?}", range.start(), range.end()),
            )),
        }
    }
}
