//! Obeys a decision: sends the request on, passes the response back.

use std::sync::Arc;

use fundbond_protocol::{api::FUND_EVENTS_PATH, headers};
use fundbond_service_runtime::exit::chain;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{ACCEPT, CONTENT_TYPE},
    request::Parts,
};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};

use crate::{
    answer::{self, Failure},
    body::{Download, Outgoing, Upload, UploadFailure, UploadState},
    config::Timeouts,
    decide::{RequestHead, Route},
    gateway::Gateway,
    head::{self, Peer},
    live::{Endpoint, Live},
    pool::{self, ConnectError, Lease},
    record::{Outcome, Record},
    trace::{REQUEST_ID, RequestId, TRACEPARENT, TRACESTATE, TraceContext},
};

/// A request is tried at most this many times: when three endpoints in a row are gone, a fourth would only
/// add its connect timeout to the client's wait.
const MAX_ATTEMPTS: usize = 3;

/// Streamed line by line and answered at its end: exempt from the limit of a body's length.
const NDJSON: &str = "application/x-ndjson";

/// How sending a request over one connection failed.
enum SendFailure {
    /// Nothing of it was sent; here it is again.
    NotSent(Box<Request<Upload>>),
    /// Some of it may have been sent.
    Failed(Failure),
}

impl Gateway {
    /// Answers one request.
    pub(crate) async fn handle(&self, peer: Peer, request: Request<Incoming>) -> Response<Outgoing> {
        let (mut parts, body) = request.into_parts();
        let (request_id, trace) = name(&mut parts.headers);
        let record = Record::begin(
            self.ledger.clone(),
            request_id.clone(),
            trace.trace,
            parts.method.clone(),
            parts.uri.path(),
        );
        let mut response = self.answer(peer, parts, body, record).await;
        response.headers_mut().insert(REQUEST_ID, request_id.header());
        response
    }

    async fn answer(
        &self,
        peer: Peer,
        parts: Parts,
        body: Incoming,
        mut record: Record,
    ) -> Response<Outgoing> {
        if let Err(error) = head::check(&parts.method, &parts.uri, parts.version, &parts.headers) {
            let response = answer::bad_head(error, record.request_id.as_str());
            return own(response, record, answer::BAD_HEAD);
        }
        let live = self.live.load_full();
        let found = live.table.find(&RequestHead {
            method: &parts.method,
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &parts.headers,
        });
        let index = match found {
            Ok((index, _)) => index,
            Err(refusal) => {
                let id = record.request_id.as_str();
                let (response, slug) = answer::refused(&refusal, &live.table, parts.uri.path(), id);
                return own(response, record, slug);
            }
        };
        let Some((route, timeouts)) = live.table.routes().get(index).zip(live.timeouts.get(index)) else {
            // `find` only returns indices of its own table.
            return own(Failure::NoReadyEndpoint.answer("", record.request_id.as_str()), record, "no-route");
        };
        record.route(&route.name);
        let stream = wants_stream(&parts);
        let sent = match self.prepare(parts, body, peer, route, timeouts, &mut record) {
            Ok(request) => self.attempt(&live, index, timeouts, request, &mut record).await,
            Err(failure) => Err(failure),
        };
        let mut response = match sent {
            Ok((response, lease)) => pass_back(response, lease, record, timeouts),
            Err(failure) => fail(failure, stream, &route.name, record),
        };
        head::set_routed_to(response.headers_mut(), &route.value);
        response
    }

    /// The request as an endpoint of `route` sees it.
    fn prepare(
        &self,
        mut parts: Parts,
        body: Incoming,
        peer: Peer,
        route: &Route,
        timeouts: &Timeouts,
        record: &mut Record,
    ) -> Result<Request<Upload>, Failure> {
        let allowed = if is_ndjson(&parts.headers) { u64::MAX } else { self.config.max_body_bytes };
        if body.size_hint().lower() > allowed {
            return Err(Failure::TooLarge);
        }
        let upload = if body.is_end_stream() {
            Upload::none()
        } else {
            let (upload, state) = Upload::new(body, allowed, timeouts.request_body);
            record.upload(Some(state));
            upload
        };
        head::to_upstream(&mut parts.headers, &peer, || route.value.to_string());
        // The next hop reads the same route, however this one found it.
        parts.headers.insert(route.header.clone(), head::value(&route.value));
        parts.uri = head::target(&parts.uri, route.strip_prefix);
        parts.version = Version::HTTP_11;
        Ok(Request::from_parts(parts, upload))
    }

    /// Sends the request to one endpoint after another until one answers or nothing more may be tried.
    async fn attempt(
        &self,
        live: &Live,
        route: usize,
        timeouts: &Timeouts,
        mut request: Request<Upload>,
        record: &mut Record,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let upload = record.upload_state();
        let mut spare = replayable(&request, upload.as_ref());
        let mut tried: Vec<usize> = Vec::new();
        let mut failure = Failure::NoReadyEndpoint;
        let mut fresh = false;
        for attempt in 0..MAX_ATTEMPTS {
            let Some((index, endpoint)) = live.choose(route, &tried) else { break };
            if attempt > 0 {
                record.retried();
            }
            record.endpoint(&endpoint.target.name);
            let lease = match lend(&endpoint, timeouts, upload.clone(), fresh).await {
                Ok(lease) => lease,
                Err(error) => {
                    failure = blame(&endpoint, &error);
                    tried.push(index);
                    continue;
                }
            };
            let reused = lease.connection.reused;
            match send(request, lease, timeouts).await {
                Ok(answered) => return Ok(answered),
                Err(SendFailure::NotSent(back)) => {
                    failure = Failure::Closed;
                    request = *back;
                }
                Err(SendFailure::Failed(Failure::Closed)) => {
                    failure = Failure::Closed;
                    // Once is enough: an endpoint that closes on a request may be dying of it.
                    match spare.take() {
                        Some(again) => request = again,
                        None => return Err(failure),
                    }
                }
                Err(SendFailure::Failed(other)) => return Err(other),
            }
            // An idle connection that had just been closed says nothing about its endpoint; the others that
            // are idle may be no better.
            fresh = true;
            if !reused {
                tried.push(index);
            }
        }
        Err(failure)
    }
}

/// Names the request for every hop, in `headers`.
fn name(headers: &mut HeaderMap) -> (RequestId, TraceContext) {
    let mut random = rand::rng();
    let request_id = RequestId::of(headers, &mut random);
    let (trace, continued) = TraceContext::of(headers, &mut random);
    if !continued {
        // It continues a parent that is not believed.
        headers.remove(TRACESTATE);
    }
    headers.insert(REQUEST_ID, request_id.header());
    headers.insert(TRACEPARENT, trace.header());
    (request_id, trace)
}

/// A copy of a request without a body that may be sent twice (RFC 9110, 9.2.2).
fn replayable(request: &Request<Upload>, upload: Option<&Arc<UploadState>>) -> Option<Request<Upload>> {
    let idempotent = request.method().is_idempotent();
    if !idempotent || upload.is_some() {
        return None;
    }
    let mut copy = Request::new(Upload::none());
    request.method().clone_into(copy.method_mut());
    request.uri().clone_into(copy.uri_mut());
    request.headers().clone_into(copy.headers_mut());
    Some(copy)
}

/// A connection to `endpoint`: an idle one unless it must be `fresh`, else a new one.
async fn lend(
    endpoint: &Arc<Endpoint>,
    timeouts: &Timeouts,
    upload: Option<Arc<UploadState>>,
    fresh: bool,
) -> Result<Lease, ConnectError> {
    while !fresh && let Some(mut connection) = endpoint.pool.take() {
        // The end of the response before it may still be on its way through its task.
        let ready = tokio::time::timeout(timeouts.connect, connection.sender.ready()).await;
        if matches!(ready, Ok(Ok(()))) {
            return Ok(Lease { connection, endpoint: endpoint.clone(), upload });
        }
    }
    let connection = pool::connect(&endpoint.target.address, timeouts.connect).await?;
    Ok(Lease { connection, endpoint: endpoint.clone(), upload })
}

/// Takes an endpoint that cannot be connected to out of the choice until its next probe.
fn blame(endpoint: &Endpoint, error: &ConnectError) -> Failure {
    let why = chain(error);
    if error.blames_endpoint() {
        endpoint.refused(&why);
    } else {
        tracing::warn!(endpoint = %endpoint.target.name, error = why, "cannot connect, for a reason of this process");
    }
    match error {
        ConnectError::TimedOut(_) => Failure::ConnectTimeout,
        ConnectError::Io(_) | ConnectError::Handshake(_) => Failure::Unreachable,
    }
}

/// Sends `request` over `lease` and waits for the head of its response.
async fn send(
    request: Request<Upload>,
    mut lease: Lease,
    timeouts: &Timeouts,
) -> Result<(Response<Incoming>, Lease), SendFailure> {
    let upload = lease.upload.clone();
    let failed = |failure| Err(SendFailure::Failed(failure));
    let answered = {
        let answer = lease.connection.sender.try_send_request(request);
        tokio::pin!(answer);
        let mut deadline = Instant::now() + timeouts.response_headers;
        loop {
            tokio::select! {
                biased;
                answered = &mut answer => break answered,
                () = sleep_until(deadline) => match later(upload.as_deref(), timeouts) {
                    Some(later) => deadline = later,
                    None => return failed(Failure::ResponseTimeout),
                },
            }
        }
    };
    match answered {
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => failed(Failure::Invalid),
        Ok(response) if !head::is_coded_plainly(response.headers()) => failed(Failure::Invalid),
        Ok(response) => Ok((response, lease)),
        Err(mut error) => {
            if let Some(back) = error.take_message() {
                return Err(SendFailure::NotSent(Box::new(back)));
            }
            let error = error.into_error();
            let failure = match upload.and_then(|upload| upload.failure()) {
                Some(UploadFailure::TooLarge) => Failure::TooLarge,
                Some(UploadFailure::TooSlow) => Failure::UploadTimeout,
                Some(UploadFailure::BrokenOff) => Failure::UploadBroken,
                None if error.is_parse() => Failure::Invalid,
                None => Failure::Closed,
            };
            tracing::debug!(endpoint = %lease.endpoint.target.name, error = chain(&error), "request failed");
            failed(failure)
        }
    }
}

/// Until when to wait on for a response, if the time is not up. It is counted from the last piece of the
/// request that went on, and stands still while the client is the one who is waited for: its pauses have a
/// timeout of their own.
fn later(upload: Option<&UploadState>, timeouts: &Timeouts) -> Option<Instant> {
    let upload = upload?;
    let now = Instant::now();
    if upload.waits_for_client() {
        return Some(now + timeouts.response_headers);
    }
    let deadline = upload.last_progress() + timeouts.response_headers;
    (deadline > now).then_some(deadline)
}

/// The response as the client sees it.
fn pass_back(
    response: Response<Incoming>,
    lease: Lease,
    mut record: Record,
    timeouts: &Timeouts,
) -> Response<Outgoing> {
    let (mut parts, body) = response.into_parts();
    head::drop_hop_by_hop(&mut parts.headers);
    parts.version = Version::HTTP_11;
    if is_event_stream(parts.headers.get(CONTENT_TYPE)) {
        record.opened(parts.status);
    } else {
        record.answered(parts.status);
    }
    let download = Download::new(body, lease, record, timeouts.idle);
    Response::from_parts(parts, Outgoing::Stream(Box::new(download)))
}

/// The answer to a request that got none from an endpoint.
fn fail(failure: Failure, stream: bool, route: &str, record: Record) -> Response<Outgoing> {
    if stream && failure.sheds_streams() {
        record.shed();
        return own(answer::shed(failure, &mut rand::rng()), record, failure.slug());
    }
    let response = failure.answer(route, record.request_id.as_str());
    own(response, record, failure.slug())
}

/// An answer of the gateway's own ends its request.
fn own(response: Response<Outgoing>, mut record: Record, slug: &'static str) -> Response<Outgoing> {
    record.answered(response.status());
    let length = response.body().size_hint().exact().unwrap_or_default();
    record.sent(usize::try_from(length).unwrap_or(usize::MAX));
    record.end(Outcome::Answered(slug));
    response
}

/// Whether the request opens an event stream: it says so, or its path is one.
fn wants_stream(parts: &Parts) -> bool {
    if !matches!(parts.method, Method::GET | Method::POST) {
        return false;
    }
    let accepts = parts.headers.get_all(ACCEPT).iter().any(|value| {
        value.to_str().is_ok_and(|list| list.split(',').any(|one| is_media_type(one, headers::EVENT_STREAM)))
    });
    let below = parts.uri.path().strip_prefix(FUND_EVENTS_PATH);
    accepts || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_event_stream(content_type: Option<&HeaderValue>) -> bool {
    content_type.and_then(|v| v.to_str().ok()).is_some_and(|text| is_media_type(text, headers::EVENT_STREAM))
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).is_some_and(|text| is_media_type(text, NDJSON))
}

/// Whether `text` is `media_type`, with or without parameters.
fn is_media_type(text: &str, media_type: &str) -> bool {
    text.split(';').next().is_some_and(|bare| bare.trim().eq_ignore_ascii_case(media_type))
}
