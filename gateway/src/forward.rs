//! Obeys a decision: sends the request on, passes the response back.

use crate::{
    answer::{self, Failure},
    attempt::attempt,
    body::{Download, Outgoing, Upload},
    config::Timeouts,
    decide::{Aim, Rejected, RequestHead, Route, strip_segments},
    gateway::Gateway,
    head::{self, Peer},
    limits::{Client, Place},
    live::Live,
    pool::Lease,
    record::{Outcome, Record},
    trace::{REQUEST_ID, RequestId, TRACEPARENT, TRACESTATE, trace_header, trace_of},
};
use fundbond_protocol::{
    TraceParent,
    api::FUND_EVENTS_PATH,
    headers,
    users::{SSE_CONNECT_PATH, SSE_SEND_PATH},
};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Version,
    header::{ACCEPT, CONTENT_TYPE},
    request::Parts,
};
use http_body::Body as _;
use hyper::body::Incoming;
use std::net::IpAddr;

impl Gateway {
    /// Answers one request.
    pub(crate) async fn handle(&self, peer: Peer, request: Request<Incoming>) -> Response<Outgoing> {
        let (mut parts, body) = request.into_parts();
        let (request_id, trace) = name(&mut parts.headers);
        let cors = self.config.cors_origins.hear(&parts.method, &parts.headers);
        let record = Record::begin(
            self.ledger.clone(),
            request_id.clone(),
            trace.trace,
            head::client_ip(&parts.headers, &peer, &self.config.trusted_proxies),
            parts.method.clone(),
            parts.uri.path(),
        );
        let mut response = if cors.is_preflight() {
            // A browser does not send the header that names the route with it, so no hop behind could be asked.
            own(answer::preflight(), record, answer::PREFLIGHT)
        } else {
            self.answer(peer, parts, body, record).await
        };
        cors.speak(response.headers_mut(), headers::EXPOSED);
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
        let stream = wants_stream(&parts, route.strip_prefix);
        // Before its head becomes that of another request.
        let aim = aim(&live, index, &parts, record.client);
        let entered = self.enter(&live, index, stream, &mut record).and(aim);
        let sent = match entered {
            Ok(aim) => match self.prepare(parts, body, peer, route, timeouts, &mut record) {
                Ok(request) => attempt(&live, index, aim, timeouts, request, &mut record).await,
                Err(failure) => Err(failure),
            },
            Err(failure) => Err(failure),
        };
        let mut response = match sent {
            Ok((response, lease)) => pass_back(response, lease, record, timeouts),
            Err(failure) => fail(failure, stream, &route.place(aim.unwrap_or_default()), record),
        };
        head::set_routed_to(response.headers_mut(), &route.value);
        response
    }

    /// Lets a request in, if no limit is reached: its client's own first, then what is under way.
    fn enter(&self, live: &Live, index: usize, stream: bool, record: &mut Record) -> Result<(), Failure> {
        let Some((route, state)) = live.table.routes().get(index).zip(live.states.get(index)) else {
            return Err(Failure::NoReadyEndpoint);
        };
        record.route(&route.name, state);
        if let Some(Some(rate)) = live.rates.get(index) {
            rate.take(Client::new(record.client), live.clock.now())?;
        }
        record.place(Place::take(route, state, &self.total, stream)?);
        Ok(())
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
        parts.uri = head::target(&parts.uri, route.strip_prefix);
        // The path that the endpoint sees is the one whose lines it takes.
        // It takes events as they arise, and answers at their end, so its body may have any length. Only there:
        // elsewhere a media type would be a way around the limit.
        let lines = parts.uri.path() == SSE_SEND_PATH && is_ndjson(&parts.headers);
        let allowed = if lines { u64::MAX } else { self.config.max_body_bytes };
        if body.size_hint().lower() > allowed {
            return Err(Failure::TooLarge { most: allowed });
        }
        let upload = if body.is_end_stream() {
            Upload::none()
        } else {
            let (upload, state) = Upload::new(body, allowed, timeouts.request_body);
            record.upload(Some(state));
            upload
        };
        let trusted = &self.config.trusted_proxies;
        head::to_upstream(&mut parts.headers, &peer, trusted, || route.value.to_string());
        // The next hop reads the same route, however this one found it.
        parts.headers.insert(route.header.clone(), head::value(&route.value));
        parts.version = Version::HTTP_11;
        Ok(Request::from_parts(parts, upload))
    }
}

/// Names the request for every hop, in `headers`.
fn name(headers: &mut HeaderMap) -> (RequestId, TraceParent) {
    let mut random = rand::rng();
    let request_id = RequestId::of(headers, &mut random);
    let (trace, continued) = trace_of(headers, &mut random);
    if !continued {
        // It continues a parent that is not believed.
        headers.remove(TRACESTATE);
    }
    headers.insert(REQUEST_ID, request_id.header());
    headers.insert(TRACEPARENT, trace_header(trace));
    (request_id, trace)
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
fn fail(failure: Failure, stream: bool, place: &str, record: Record) -> Response<Outgoing> {
    if let Some(limit) = failure.limit(stream) {
        record.limited(limit);
    }
    if stream && failure.sheds_streams() {
        record.shed();
        return own(answer::shed(failure, &mut rand::rng()), record, failure.slug());
    }
    let response = failure.answer(place, record.request_id.as_str());
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

/// Which endpoints of its route may take a request of `client`.
fn aim(live: &Live, index: usize, parts: &Parts, client: IpAddr) -> Result<Aim, Failure> {
    let head = RequestHead {
        method: &parts.method,
        path: parts.uri.path(),
        query: parts.uri.query(),
        headers: &parts.headers,
    };
    live.table.aim(index, &head, || client).map_err(|Rejected| Failure::UserRejected)
}

/// Whether the request opens an event stream: it says so, or its path is one where the endpoint sees it, without its first
/// `strip` segments.
fn wants_stream(parts: &Parts, strip: usize) -> bool {
    if !matches!(parts.method, Method::GET | Method::POST) {
        return false;
    }
    let accepts = parts.headers.get_all(ACCEPT).iter().any(|value| {
        value.to_str().is_ok_and(|list| list.split(',').any(|one| is_media_type(one, headers::EVENT_STREAM)))
    });
    let path = strip_segments(parts.uri.path(), strip);
    let below =
        |stream: &str| path.strip_prefix(stream).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    accepts || below(FUND_EVENTS_PATH) || below(SSE_CONNECT_PATH)
}

pub(crate) fn is_event_stream(content_type: Option<&HeaderValue>) -> bool {
    content_type.and_then(|v| v.to_str().ok()).is_some_and(|text| is_media_type(text, headers::EVENT_STREAM))
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|text| is_media_type(text, headers::NDJSON))
}

/// Whether `text` is `media_type`, with or without parameters.
fn is_media_type(text: &str, media_type: &str) -> bool {
    text.split(';').next().is_some_and(|bare| bare.trim().eq_ignore_ascii_case(media_type))
}
