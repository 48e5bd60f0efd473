//! What the gateway says itself: the one place where a failure becomes a status and a text.

use std::fmt::Write as _;

use fundbond_protocol::{Problem, headers, sse};
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use rand::RngExt;

use crate::{
    body::Outgoing,
    decide::{Refusal, RouteTable},
    head::BadHead,
};

/// A client may ask again after this many seconds: probes find a pod that came up within one.
const RETRY_AFTER_SECONDS: u64 = 1;

/// A shed stream comes back after this, jittered by a fifth: long enough for a pod to start or a rollout to
/// go on, short enough that a person at a screen waits for it.
const SHED_RETRY_MILLIS: u64 = 5_000;

/// How many known routes a refusal lists; the rest are counted.
const LISTED_ROUTES: usize = 20;

/// How much of a value that a client sent is repeated to it.
const ECHOED_CHARACTERS: usize = 64;

/// Why a request that has a route got no answer from an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No endpoint of the route is ready.
    NoReadyEndpoint,
    /// Every endpoint that is ready keeps failing and is left alone by its breaker.
    EndpointsFailing {
        /// Until the next request is let through.
        seconds: u64,
    },
    /// The route's users are in groups, that of the request is in none, and the route refuses such users.
    UserRejected,
    /// The client asks more often than the route allows.
    RateLimited {
        /// Until it may ask again.
        seconds: u64,
    },
    /// As much is under way on the route as it allows.
    RouteBusy,
    /// As much is under way as the gateway takes.
    GatewayBusy,
    /// Every endpoint that was tried refused the connection.
    Unreachable,
    /// The last endpoint that was tried made no connection in time.
    ConnectTimeout,
    /// The endpoint closed the connection before it answered.
    Closed,
    /// The endpoint answers nobody any more, and sent nothing.
    Silent,
    /// The endpoint answered something that is not HTTP, or that was not asked for.
    Invalid,
    /// The endpoint did not answer in time.
    ResponseTimeout,
    /// The client paused for too long in its body.
    UploadTimeout,
    /// The client's body is too long.
    TooLarge {
        /// Bytes that are taken.
        most: u64,
    },
    /// The client's body broke off.
    UploadBroken,
}

impl Failure {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::NoReadyEndpoint | Self::EndpointsFailing { .. } | Self::RouteBusy | Self::GatewayBusy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            // Not 404: what was asked for may well exist, and caches keep a 404. Not 421: that invites to ask again.
            // To whoever is told 403, asking the same again is of no use.
            Self::UserRejected => StatusCode::FORBIDDEN,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unreachable | Self::Closed | Self::Invalid => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout | Self::Silent | Self::ResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::UploadTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UploadBroken => StatusCode::BAD_REQUEST,
        }
    }

    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::NoReadyEndpoint => "no-ready-endpoint",
            Self::EndpointsFailing { .. } => "endpoints-failing",
            Self::UserRejected => "user-in-no-group",
            Self::RateLimited { .. } => "rate-limited",
            Self::RouteBusy => "route-busy",
            Self::GatewayBusy => "gateway-busy",
            Self::Unreachable => "endpoint-unreachable",
            Self::ConnectTimeout => "connect-timeout",
            Self::Closed => "endpoint-closed",
            Self::Silent => "endpoint-silent",
            Self::Invalid => "endpoint-invalid",
            Self::ResponseTimeout => "response-timeout",
            Self::UploadTimeout => "request-body-timeout",
            Self::TooLarge { .. } => "body-too-large",
            Self::UploadBroken => "request-body-broken",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::NoReadyEndpoint => "No endpoint is ready",
            Self::EndpointsFailing { .. } => "Every endpoint keeps failing",
            Self::UserRejected => "The user is in no group",
            Self::RateLimited { .. } => "Too many requests",
            Self::RouteBusy => "The route is busy",
            Self::GatewayBusy => "The gateway is busy",
            Self::Unreachable => "No endpoint could be reached",
            Self::ConnectTimeout => "Connecting took too long",
            Self::Closed => "The endpoint closed the connection",
            Self::Silent => "The endpoint answers no more",
            Self::Invalid => "The endpoint's answer is not valid",
            Self::ResponseTimeout => "The endpoint did not answer in time",
            Self::UploadTimeout => "The request body did not arrive in time",
            Self::TooLarge { .. } => "The request body is too large",
            Self::UploadBroken => "The request body broke off",
        }
    }

    /// `route` names it, and where only a part of its endpoints may take the request, that part.
    fn detail(self, route: &str) -> String {
        match self {
            Self::UserRejected => {
                format!(
                    "the user of the request belongs to none of the groups of route {route}, which refuses all others; \
                     check {} and strategy.shardGroups of the route",
                    headers::USER_ID
                )
            }
            Self::NoReadyEndpoint => {
                format!("route {route} has no endpoint that is ready; try again in {RETRY_AFTER_SECONDS} s")
            }
            Self::EndpointsFailing { seconds } => {
                format!(
                    "every endpoint of route {route} failed again and again and is left alone; try again in {seconds} s"
                )
            }
            Self::RateLimited { seconds } => {
                format!("route {route} takes fewer requests from one client; try again in {seconds} s")
            }
            Self::RouteBusy => {
                format!(
                    "as many requests as route {route} takes at a time are under way; try again in {RETRY_AFTER_SECONDS} s"
                )
            }
            Self::GatewayBusy => {
                format!(
                    "as many requests as the gateway takes at a time are under way; try again in {RETRY_AFTER_SECONDS} s"
                )
            }
            Self::Unreachable => {
                format!("every endpoint of route {route} that was tried refused the connection")
            }
            Self::ConnectTimeout => format!("no endpoint of route {route} took the connection in time"),
            Self::Closed => format!(
                "an endpoint of route {route} closed the connection before it answered; whether it acted on the request is unknown"
            ),
            Self::Silent => format!(
                "an endpoint of route {route} took the request and answers nobody any more; whether it acted on it is unknown"
            ),
            Self::Invalid => {
                format!("an endpoint of route {route} answered with something that cannot be passed on")
            }
            Self::ResponseTimeout => {
                format!(
                    "an endpoint of route {route} sent no answer in time; whether it acted on the request is unknown"
                )
            }
            Self::UploadTimeout => {
                "nothing of the request body arrived for too long; send it without pauses".to_owned()
            }
            Self::TooLarge { most } => {
                format!(
                    "at most {most} bytes are taken; send less in one request, or lines of application/x-ndjson where the call takes them"
                )
            }
            Self::UploadBroken => {
                "the request body ended before its announced length, or is not framed correctly".to_owned()
            }
        }
    }

    /// The answer to a request on `route`.
    pub(crate) fn answer(self, route: &str, request_id: &str) -> Response<Outgoing> {
        let problem = Problem::new(self.status().as_u16(), self.slug(), self.title(), self.detail(route));
        let mut response = problem_answer(self.status(), &problem.with_instance(request_id));
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// In how many seconds to ask again, where asking again is the answer.
    fn retry_after(self) -> Option<u64> {
        match self {
            Self::EndpointsFailing { seconds } | Self::RateLimited { seconds } => Some(seconds),
            Self::NoReadyEndpoint | Self::RouteBusy | Self::GatewayBusy => Some(RETRY_AFTER_SECONDS),
            _ => None,
        }
    }

    /// The limit that was reached, as a label.
    pub(crate) fn limit(self, stream: bool) -> Option<&'static str> {
        match self {
            Self::RateLimited { .. } => Some("rate"),
            Self::RouteBusy => Some(if stream { "route-streams" } else { "route-requests" }),
            Self::GatewayBusy => Some(if stream { "total-streams" } else { "total-requests" }),
            Self::TooLarge { .. } => Some("body"),
            _ => None,
        }
    }

    /// Whether the endpoint failed, rather than the client or this process.
    pub(crate) fn blames_endpoint(self) -> bool {
        matches!(self, Self::Closed | Self::Silent | Self::Invalid | Self::ResponseTimeout)
    }

    /// Whether an `EventSource` that is told of this would stay away although the route comes back.
    pub(crate) fn sheds_streams(self) -> bool {
        self.status().is_server_error() || matches!(self, Self::RateLimited { .. })
    }
}

/// What the access log calls a preflight.
pub(crate) const PREFLIGHT: &str = "preflight";

/// The answer to a browser that asks what a page may do; what that is, its headers say.
pub(crate) fn preflight() -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::whole(Vec::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// The slug of a head that is not passed on.
pub(crate) const BAD_HEAD: &str = "bad-request-head";

/// The answer to a head that is not passed on.
pub(crate) fn bad_head(error: BadHead, request_id: &str) -> Response<Outgoing> {
    let status = error.status();
    let problem =
        Problem::new(status.as_u16(), BAD_HEAD, "The request head is not acceptable", error.to_string());
    let mut response = problem_answer(status, &problem.with_instance(request_id));
    // Two readers disagree about this connection: nothing more is read from it.
    response.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to a request that no route takes, and the slug of its problem.
pub(crate) fn refused(
    refusal: &Refusal,
    table: &RouteTable,
    path: &str,
    request_id: &str,
) -> (Response<Outgoing>, &'static str) {
    let (status, slug, title, detail) = match refusal {
        Refusal::Ambiguous { place } => (
            StatusCode::BAD_REQUEST,
            "ambiguous-route",
            "The request names several routes",
            format!("{place} is given more than once; give it once"),
        ),
        Refusal::Unknown { place, given } => {
            let given: String = given.chars().take(ECHOED_CHARACTERS).collect();
            let detail = format!("{place} is {given:?}, which no route has; {}", known(table));
            (StatusCode::NOT_FOUND, "unknown-route", "No such route", detail)
        }
        Refusal::Unnamed => {
            let (names, query) = (table.headers().join(" or "), headers::QUERY_CLUSTER);
            let detail = format!("set the header {names} or the query parameter {query}; {}", known(table));
            (StatusCode::NOT_FOUND, "unnamed-route", "The request names no route", detail)
        }
        Refusal::Outside { route } => {
            let (name, prefix) =
                table.routes().get(*route).map_or(("", ""), |r| (&*r.name, r.path_prefix.as_str()));
            let path: String = path.chars().take(ECHOED_CHARACTERS).collect();
            let detail = format!("route {name} takes {prefix} and what lies below it, not {path}");
            (StatusCode::NOT_FOUND, "unknown-path", "The route does not take this path", detail)
        }
    };
    let problem = Problem::new(status.as_u16(), slug, title, detail).with_instance(request_id);
    (problem_answer(status, &problem), slug)
}

/// The values that name a route, as a sentence.
pub(crate) fn known(table: &RouteTable) -> String {
    let (values, more) = table.known_values(LISTED_ROUTES);
    if values.is_empty() {
        return "no route is configured".to_owned();
    }
    let mut text = format!("known values: {}", values.join(", "));
    if more > 0 {
        // Writing to a string cannot fail.
        let _ = write!(text, " and {more} more");
    }
    text
}

fn problem_answer(status: StatusCode, problem: &Problem) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::whole(problem.to_json()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(headers::PROBLEM_JSON));
    response
}

/// Tells a stream request to come back later. An `EventSource` gives up for good on any status but 200, so
/// this is a stream that says when to come back, and ends.
pub(crate) fn shed(failure: Failure, random: &mut impl RngExt) -> Response<Outgoing> {
    // Where a time is known before which it is of no use to come back, not before that.
    let least = failure.retry_after().unwrap_or_default().saturating_mul(1000).saturating_mul(5) / 4;
    let middle = SHED_RETRY_MILLIS.max(least);
    let millis = random.random_range(middle - middle / 5..=middle + middle / 5);
    let mut text = Vec::with_capacity(64);
    sse::write_retry(&mut text, millis);
    sse::write_comment(&mut text, failure.slug());
    let mut response = Response::new(Outgoing::whole(text));
    let given = response.headers_mut();
    given.insert(CONTENT_TYPE, HeaderValue::from_static(headers::EVENT_STREAM));
    given.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    given.insert(HeaderName::from_static(headers::X_ACCEL_BUFFERING), HeaderValue::from_static("no"));
    response
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn every_failure_has_a_slug_of_its_own_and_the_documented_status() {
        use Failure::{
            Closed, ConnectTimeout, EndpointsFailing, GatewayBusy, Invalid, NoReadyEndpoint, RateLimited,
            ResponseTimeout, RouteBusy, Silent, TooLarge, Unreachable, UploadBroken, UploadTimeout,
            UserRejected,
        };
        let all = [
            (NoReadyEndpoint, 503),
            (EndpointsFailing { seconds: 7 }, 503),
            (RateLimited { seconds: 1 }, 429),
            (RouteBusy, 503),
            (GatewayBusy, 503),
            (Unreachable, 502),
            (ConnectTimeout, 504),
            (Closed, 502),
            (Silent, 504),
            (Invalid, 502),
            (ResponseTimeout, 504),
            (UploadTimeout, 408),
            (TooLarge { most: 1000 }, 413),
            (UploadBroken, 400),
            (UserRejected, 403),
        ];
        let slugs: std::collections::HashSet<_> = all.iter().map(|(f, _)| f.slug()).collect();
        assert_eq!(slugs.len(), all.len());
        for (failure, status) in all {
            let answer = failure.answer("cluster1", "r1");
            assert_eq!(answer.status(), status, "{failure:?}");
            let comes_back = matches!(status, 429 | 503);
            assert_eq!(answer.headers().contains_key(RETRY_AFTER), comes_back, "{failure:?}");
            assert_eq!(failure.sheds_streams(), comes_back || status >= 500, "{failure:?}");
        }
    }

    #[test]
    fn a_shed_stream_is_a_200_that_says_when_to_come_back() {
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..100 {
            for (failure, range) in [
                (Failure::NoReadyEndpoint, 4_000..=6_000),
                (Failure::EndpointsFailing { seconds: 20 }, 20_000..=30_000),
            ] {
                let answer = shed(failure, &mut random);
                assert_eq!(answer.status(), 200);
                assert_eq!(answer.headers()[CONTENT_TYPE], headers::EVENT_STREAM);
                let Outgoing::Whole(Some(text)) = answer.into_body() else { panic!("no text") };
                let text = String::from_utf8(text.to_vec()).unwrap();
                let millis: u64 =
                    text.strip_prefix("retry: ").unwrap().lines().next().unwrap().parse().unwrap();
                assert!(range.contains(&millis), "{text}");
                assert!(text.ends_with(&format!(": {}\n\n", failure.slug())), "{text}");
            }
        }
    }
}
