//! Reading requests: bodies, queries and ids, each failure named.

use std::{str::FromStr, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequestParts, Path, Request},
    http::{HeaderMap, header, request::Parts},
};
use fundbond_protocol::{IdError, headers::JSON, problem::FieldProblem};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Most bytes of a body that asks for no work: the longest list of ids has a quarter of it.
pub const SMALL_BODY: usize = 64 * 1024;

/// How long a body may pause. Longer than any network hiccup that TCP mends by itself; a client that says nothing for
/// this long holds a connection for nothing.
const BODY_SILENCE: Duration = Duration::from_secs(30);

/// Reads a JSON body of at most `limit` bytes.
pub async fn json_body(request: Request, limit: usize) -> Result<bytes::Bytes, ApiError> {
    if !is_media_type(request.headers(), JSON) {
        return Err(ApiError::media_type(JSON, request.headers()));
    }
    is_plain(request.headers())?;
    read(request.into_body(), limit).await
}

/// A body can be read only as it is. A short one that is compressed may be of any length once it is not.
pub fn is_plain(headers: &HeaderMap) -> Result<(), ApiError> {
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let codings: Vec<_> = codings.map(|coding| String::from_utf8_lossy(coding.as_bytes())).collect();
    let given = codings.join(", ");
    let is_coding = |coding: &str| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity");
    if given.split(',').map(str::trim).any(is_coding) { Err(ApiError::Coded(given)) } else { Ok(()) }
}

async fn read(body: Body, limit: usize) -> Result<bytes::Bytes, ApiError> {
    let mut body = Limited::new(body, limit);
    let mut bytes = bytes::BytesMut::new();
    while let Some(data) = piece(&mut body, limit).await? {
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

/// The next bytes of a body that holds at most `limit`.
pub async fn piece<B>(body: &mut B, limit: usize) -> Result<Option<bytes::Bytes>, ApiError>
where
    B: http_body::Body<Data = bytes::Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    loop {
        match tokio::time::timeout(BODY_SILENCE, body.frame()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => {
                // Trailers say nothing that is wanted here.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Ok(Some(Err(error))) => {
                let error = error.into();
                let too_large = error.is::<LengthLimitError>();
                return Err(if too_large {
                    ApiError::TooLarge(limit)
                } else {
                    ApiError::Body(error.to_string())
                });
            }
            Err(_) => return Err(ApiError::Stalled(BODY_SILENCE)),
        }
    }
}

/// Whether a body is of this type, with or without parameters.
pub fn is_media_type(headers: &HeaderMap, wanted: &str) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(wanted)
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

    /// One parameter as it was given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The same where an empty one says as much as none.
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// A comma-separated parameter, each part parsed.
    pub fn list<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, ApiError> {
        let parts = self.non_empty(name).into_iter().flat_map(|value| value.split(','));
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

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_arriving_is_given_up_and_a_slow_one_is_not() {
        let pieces = |count: u64| {
            stream::iter(0..count).then(|_| async {
                tokio::time::sleep(BODY_SILENCE / 2).await;
                Ok::<_, std::io::Error>("{}")
            })
        };
        let slow = read(Body::from_stream(pieces(20)), 1024).await.unwrap();
        assert_eq!(slow.len(), 40);
        let begun = tokio::time::Instant::now();
        let stalled = read(Body::from_stream(pieces(1).chain(stream::pending())), 1024).await;
        assert!(matches!(stalled, Err(ApiError::Stalled(_))), "{stalled:?}");
        assert!(begun.elapsed() < 2 * BODY_SILENCE);
    }
}
