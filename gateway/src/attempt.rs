//! Sends a request to one endpoint after another, as long as that is safe and of use.
//!
//! What is repeated: a request of which nothing was sent (no connection, or an idle one that had just been
//! closed), always, on every endpoint there is; a request that may be sent twice and whose connection broke
//! before an answer, or whose endpoint answers nobody any more, once, within the budget of its route. Nothing
//! else: a body that has begun is gone, an endpoint that answers has decided, and a client that waited for a
//! whole timeout has waited long enough.

use std::{sync::Arc, time::Duration};

use fundbond_routing::{RetryBudget, Verdict};
use fundbond_service_runtime::exit::chain;
use http::{HeaderMap, Request, Response, StatusCode, header::RETRY_AFTER};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    answer::Failure,
    body::{Upload, UploadFailure, UploadState},
    config::Timeouts,
    decide::Aim,
    endpoint::{Endpoint, Load},
    head,
    live::{Chosen, Live},
    pool::{self, ConnectError, Lease},
    probe,
    record::Record,
};

/// A request waits for at most this many connections that are not made in time: when three endpoints in a
/// row are gone, a fourth would only add its timeout to the client's wait. Refusals come at once and are not
/// counted.
const MAX_CONNECT_TIMEOUTS: usize = 3;

/// A request that may be sent twice waits so long before its endpoint is asked whether it lives. A machine that is gone
/// closes no connection, and neither does a process that hangs: a client would wait for the whole timeout.
const PATIENCE: Duration = Duration::from_secs(1);

/// How sending a request over one connection failed.
enum SendFailure {
    /// Nothing of it was sent; here it is again.
    NotSent(Box<Request<Upload>>),
    /// Some of it may have been sent.
    Failed(Failure),
}

/// Sends the request to one endpoint after another until one answers or nothing more may be tried.
pub(crate) async fn attempt(
    live: &Live,
    route: usize,
    aim: Aim,
    timeouts: &Timeouts,
    mut request: Request<Upload>,
    record: &mut Record,
) -> Result<(Response<Incoming>, Lease), Failure> {
    let upload = record.upload_state();
    let budget = live.states.get(route).map(|state| &state.budget);
    if let Some(budget) = budget {
        budget.deposit();
    }
    let mut spare = replayable(&request, upload.as_ref());
    let repeatable = spare.is_some();
    let mut tried: Vec<usize> = Vec::new();
    let mut failure = None;
    let mut connect_timeouts = 0;
    let mut fresh = false;
    loop {
        let Some(Chosen { index, admission, load, spilled }) = live.choose(route, aim, &mut tried) else {
            return Err(failure.unwrap_or_else(|| live.why_none(route, aim)));
        };
        if failure.is_some() {
            record.retried();
        } else if spilled {
            record.spilled();
        }
        record.endpoint(&load.0.target.name);
        let lease = match lend(load, timeouts, upload.clone(), fresh).await {
            Ok(lease) => lease,
            Err(error) => {
                let why = blame(&admission.endpoint, &error, record);
                admission.settle(if error.blames_endpoint() { Verdict::Failure } else { Verdict::Unknown });
                tried.push(index);
                connect_timeouts += usize::from(why == Failure::ConnectTimeout);
                if connect_timeouts == MAX_CONNECT_TIMEOUTS {
                    return Err(why);
                }
                failure = Some(why);
                continue;
            }
        };
        let reused = lease.connection.reused;
        let why = match send(request, lease, timeouts, repeatable, record).await {
            Ok((response, lease)) => {
                admission.settle(verdict(response.status(), response.headers()));
                return Ok((response, lease));
            }
            Err(SendFailure::NotSent(back)) => {
                admission.settle(Verdict::Unknown);
                request = *back;
                Failure::Closed
            }
            Err(SendFailure::Failed(why)) => {
                admission.settle(if why.blames_endpoint() { Verdict::Failure } else { Verdict::Unknown });
                // Once is enough: an endpoint that closes on a request may be dying of it.
                let again =
                    spare.take().filter(|_| matches!(why, Failure::Closed | Failure::Silent)).ok_or(why)?;
                if !budget.is_some_and(RetryBudget::withdraw) {
                    record.budget_exhausted();
                    return Err(why);
                }
                request = again;
                why
            }
        };
        // Whoever answers nobody is not asked again. An idle connection that had just been closed says nothing
        // about its endpoint; the others that are idle may be no better.
        let silent = why == Failure::Silent;
        fresh |= !silent;
        if silent || !reused {
            tried.push(index);
        }
        failure = Some(why);
    }
}

/// What an answer says of the endpoint that gave it.
///
/// 502 and 504 are failures: whatever is behind the endpoint, it cannot do its work. So is a 503, unless it
/// says when to come back. That one is a considered answer of a process in order: it drains and its probes
/// will take it out, it sheds load, or something that all endpoints share is down. In the last case every
/// breaker would open, hide from clients what the endpoints say about it, and keep them away by growing
/// pauses after it is over. A 500 is about its request: one client with a bad one must not take an endpoint
/// from all the others.
fn verdict(status: StatusCode, headers: &HeaderMap) -> Verdict {
    match status {
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Verdict::Failure,
        StatusCode::SERVICE_UNAVAILABLE if !headers.contains_key(RETRY_AFTER) => Verdict::Failure,
        _ => Verdict::Success,
    }
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

/// A connection to the endpoint of `load`: an idle one unless it must be `fresh`, else a new one.
async fn lend(
    load: Load,
    timeouts: &Timeouts,
    upload: Option<Arc<UploadState>>,
    fresh: bool,
) -> Result<Lease, ConnectError> {
    while !fresh && let Some(mut connection) = load.0.pool.take() {
        // The end of the response before it may still be on its way through its task.
        let ready = tokio::time::timeout(timeouts.connect, connection.sender.ready()).await;
        if matches!(ready, Ok(Ok(()))) {
            return Ok(Lease { connection, load, upload });
        }
    }
    let connection = pool::connect(&load.0.target.address, timeouts.connect).await?;
    Ok(Lease { connection, load, upload })
}

/// Takes an endpoint that cannot be connected to out of the choice until its next probe.
fn blame(endpoint: &Endpoint, error: &ConnectError, record: &Record) -> Failure {
    let why = chain(error);
    if error.blames_endpoint() {
        endpoint.refused(&why);
    } else {
        tracing::warn!(
            requestId = record.request_id.as_str(),
            traceId = %record.trace,
            endpoint = %endpoint.target.name,
            error = why,
            "cannot connect, for a reason of this process"
        );
    }
    match error {
        ConnectError::TimedOut(_) => Failure::ConnectTimeout,
        ConnectError::Io(_) | ConnectError::Handshake(_) => Failure::Unreachable,
    }
}

/// Sends `request` over `lease` and waits for the head of its response; if it is `repeatable`, only as long as the
/// endpoint lives.
async fn send(
    request: Request<Upload>,
    mut lease: Lease,
    timeouts: &Timeouts,
    repeatable: bool,
    record: &Record,
) -> Result<(Response<Incoming>, Lease), SendFailure> {
    let upload = lease.upload.clone();
    let failed = |failure| Err(SendFailure::Failed(failure));
    let answered = {
        let answer = lease.connection.sender.try_send_request(request);
        let endpoint = lease.load.0.clone();
        let silence = async {
            sleep(PATIENCE).await;
            probe::fell_silent(&endpoint).await;
        };
        tokio::pin!(answer, silence);
        let mut deadline = Instant::now() + timeouts.response_headers;
        loop {
            tokio::select! {
                biased;
                answered = &mut answer => break answered,
                () = &mut silence, if repeatable => return failed(Failure::Silent),
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
                Some(UploadFailure::TooLarge { most }) => Failure::TooLarge { most },
                Some(UploadFailure::TooSlow) => Failure::UploadTimeout,
                Some(UploadFailure::BrokenOff) => Failure::UploadBroken,
                None if error.is_parse() => Failure::Invalid,
                None => Failure::Closed,
            };
            tracing::debug!(
                requestId = record.request_id.as_str(),
                traceId = %record.trace,
                endpoint = %lease.load.0.target.name,
                error = chain(&error),
                "request failed"
            );
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_answers_that_say_the_endpoint_cannot_work_are_failures() {
        let later: HeaderMap = [(RETRY_AFTER, HeaderValue::from_static("1"))].into_iter().collect();
        let check = |status: u16, headers: &HeaderMap, expected: Verdict| {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(verdict(status, headers), expected, "{status} {headers:?}");
        };
        for status in [502, 503, 504] {
            check(status, &HeaderMap::new(), Verdict::Failure);
        }
        check(503, &later, Verdict::Success);
        for status in [200, 204, 304, 400, 404, 429, 500, 501] {
            check(status, &HeaderMap::new(), Verdict::Success);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_is_waited_for_from_the_last_piece_that_went_on() {
        let timeouts = Timeouts { response_headers: Duration::from_secs(10), ..Timeouts::default() };
        let (began, upload) = (Instant::now(), UploadState::new(9));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(later(Some(&upload), &timeouts), Some(began + timeouts.response_headers));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(later(Some(&upload), &timeouts), None);
        upload.wait_for_client();
        let now = Instant::now();
        assert_eq!(
            later(Some(&upload), &timeouts),
            Some(now + timeouts.response_headers),
            "the client's pause"
        );
        assert_eq!(later(None, &timeouts), None, "without a body it was waited for all the time");
    }
}
