//! How a stream is opened: by HTTP, and in tests by a script.

use bytes::Bytes;
use fundbond_protocol::{
    api::{FUND_EVENTS_PATH, OpenStream},
    headers,
};
use futures::{StreamExt, stream::BoxStream};
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};

use crate::client::{Client, ClientError, call_name, refusal};

/// The body of an open stream; an error is the reason why it broke.
pub type ByteStream = BoxStream<'static, Result<Bytes, String>>;

/// What an open led to.
pub enum Opened {
    /// Events come.
    Stream(ByteStream),
    /// 204: nothing will come any more.
    Finished,
}

/// Opens a stream, as often as it takes.
pub trait Transport {
    /// Opens the stream after `last_event_id`; empty: from the start of the kept log.
    fn open(&self, last_event_id: &str) -> impl Future<Output = Result<Opened, ClientError>> + Send;
}

/// Opens a `fund-events` stream by POST.
pub struct HttpTransport {
    client: Client,
    body: OpenStream,
}

impl HttpTransport {
    /// Opens what `body` names through `client`.
    pub fn new(client: Client, body: OpenStream) -> Self {
        Self { client, body }
    }
}

impl Transport for HttpTransport {
    async fn open(&self, last_event_id: &str) -> Result<Opened, ClientError> {
        let call = call_name(&Method::POST, FUND_EVENTS_PATH);
        let wrong = |why: String| ClientError::Request { call: call.clone(), why };
        let mut request = self.client.request(Method::POST, FUND_EVENTS_PATH)?;
        let body = serde_json::to_vec(&self.body).map_err(|error| wrong(error.to_string()))?;
        *request.body_mut() = Full::new(body.into());
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(headers::JSON));
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(headers::EVENT_STREAM));
        if !last_event_id.is_empty() {
            let value = HeaderValue::from_str(last_event_id)
                .map_err(|_| wrong(format!("{last_event_id:?} cannot be a Last-Event-ID")))?;
            request.headers_mut().insert(headers::LAST_EVENT_ID, value);
        }
        let (parts, body) = self.client.open(request).await?.into_parts();
        if parts.status == StatusCode::NO_CONTENT {
            return Ok(Opened::Finished);
        }
        let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_stream = media_type.is_some_and(|text| text.starts_with(headers::EVENT_STREAM));
        if parts.status == StatusCode::OK && is_stream {
            // Trailers are not data; an error ends the stream with its words.
            let bytes = body.into_data_stream().map(|piece| piece.map_err(|error| error.to_string()));
            return Ok(Opened::Stream(bytes.boxed()));
        }
        let answer = self.client.read(&call, Response::from_parts(parts, body)).await?;
        Err(refusal(call, &answer))
    }
}
