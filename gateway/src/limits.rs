//! How much one client, one route and the whole gateway may ask at a time.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use fundbond_routing::{Rate, RateLimiter, RetryBudget, spec::RateLimitSpec};

use crate::{answer::Failure, decide::Route};

/// So many clients a route remembers, about 2 MB of them: more than a gateway has connections.
const REMEMBERED_CLIENTS: usize = 20_000;

/// Streams and requests under way.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    requests: AtomicU32,
    streams: AtomicU32,
}

impl Counts {
    fn of(&self, stream: bool) -> &AtomicU32 {
        if stream { &self.streams } else { &self.requests }
    }

    /// One more, if that is not beyond `limit`.
    fn begin(&self, stream: bool, limit: u32) -> bool {
        let more = |count: u32| (count < limit).then_some(count + 1);
        self.of(stream).fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    fn end(&self, stream: bool) {
        self.of(stream).fetch_sub(1, Relaxed);
    }

    /// A request turned out to be a stream.
    fn turn(&self) {
        self.streams.fetch_add(1, Relaxed);
        self.requests.fetch_sub(1, Relaxed);
    }
}

/// What a route remembers from one table to the next.
#[derive(Debug, Default)]
pub(crate) struct RouteState {
    pub(crate) budget: RetryBudget,
    counts: Counts,
    retired: AtomicBool,
}

impl RouteState {
    /// No table has the route any more: what is still under way there is not counted in metrics.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Relaxed);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
    }
}

/// How much may be under way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Most {
    pub(crate) requests: u32,
    pub(crate) streams: u32,
}

impl Most {
    fn of(self, stream: bool) -> u32 {
        if stream { self.streams } else { self.requests }
    }

    fn of_route(route: &Route) -> Self {
        Self {
            requests: route.limits.concurrent_requests.unwrap_or(u32::MAX),
            streams: route.limits.concurrent_streams.unwrap_or(u32::MAX),
        }
    }
}

/// What all routes of a gateway may have under way together.
#[derive(Debug)]
pub(crate) struct Total {
    most: Most,
    counts: Counts,
}

impl Total {
    pub(crate) fn new(most: Most) -> Arc<Self> {
        Arc::new(Self { most, counts: Counts::default() })
    }
}

/// One request's or stream's place among those under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    route: Arc<RouteState>,
    total: Arc<Total>,
    stream: bool,
}

impl Place {
    /// A place on `route`, where there is one.
    ///
    /// # Errors
    /// Which limit is reached.
    pub(crate) fn take(
        route: &Route,
        state: &Arc<RouteState>,
        total: &Arc<Total>,
        stream: bool,
    ) -> Result<Self, Failure> {
        if !state.counts.begin(stream, Most::of_route(route).of(stream)) {
            return Err(Failure::RouteBusy);
        }
        if !total.counts.begin(stream, total.most.of(stream)) {
            state.counts.end(stream);
            return Err(Failure::GatewayBusy);
        }
        Ok(Self { route: state.clone(), total: total.clone(), stream })
    }

    /// The answer is a stream, whatever was asked for. It is let go on beyond the limit: it has begun.
    pub(crate) fn is_stream(&mut self) {
        if !self.stream {
            self.stream = true;
            self.route.counts.turn();
            self.total.counts.turn();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.route.counts.end(self.stream);
        self.total.counts.end(self.stream);
    }
}

/// What stands for a client: its IPv4 address, or the first half of its IPv6 address, for a single customer
/// of an access network has all of the second half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    V4(u32),
    V6(u64),
}

impl Client {
    pub(crate) fn new(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.to_bits()),
            // Half of its bits are 64, so nothing is lost.
            IpAddr::V6(ip) => Self::V6(u64::try_from(ip.to_bits() >> 64).unwrap_or_default()),
        }
    }
}

/// The rate limit of one route.
#[derive(Debug)]
pub(crate) struct RouteRate {
    pub(crate) spec: RateLimitSpec,
    buckets: Mutex<RateLimiter<Client>>,
}

impl RouteRate {
    pub(crate) fn new(spec: RateLimitSpec) -> Self {
        let rate = Rate::new(spec.requests_per_second, spec.burst);
        Self { spec, buckets: Mutex::new(RateLimiter::new(rate, REMEMBERED_CLIENTS)) }
    }

    /// Whether `client` may ask now.
    pub(crate) fn take(&self, client: Client, now: Duration) -> Result<(), Failure> {
        let taken = self.buckets.lock().unwrap_or_else(PoisonError::into_inner).take(client, now);
        taken.map_err(|wait| Failure::RateLimited { seconds: whole_seconds(wait) })
    }
}

/// `wait` in whole seconds, never too few of them, at least one.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use fundbond_protocol::headers;
    use fundbond_routing::spec::LimitsSpec;
    use http::HeaderName;

    use super::*;
    use crate::{decide::Strategy, route_file::RouteTimeouts};

    #[test]
    fn one_customer_of_an_access_network_is_one_client() {
        let client = |ip: &str| Client::new(ip.parse().unwrap());
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:2"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_ne!(client("1.1.1.1"), client("1.1.1.2"));
    }

    fn route(requests: Option<u32>, streams: Option<u32>) -> Route {
        Route {
            name: "name".into(),
            origin: None,
            header: HeaderName::from_static(headers::X_CLUSTER_ROUTE),
            value: "value".into(),
            path_prefix: "/".to_owned(),
            strip_prefix: 0,
            default: false,
            timeouts: RouteTimeouts::default(),
            strategy: Strategy::RoundRobin,
            rate_limit: None,
            limits: LimitsSpec { concurrent_requests: requests, concurrent_streams: streams },
            endpoints: vec![],
        }
    }

    #[test]
    fn requests_and_streams_have_places_of_their_own_until_they_end() {
        let (route, state) = (route(Some(1), Some(2)), Arc::new(RouteState::default()));
        let total = Total::new(Most { requests: 9, streams: 9 });
        let take = |stream| Place::take(&route, &state, &total, stream);
        let request = take(false).unwrap();
        assert_eq!(take(false).unwrap_err(), Failure::RouteBusy);
        let (one, _two) = (take(true).unwrap(), take(true).unwrap());
        assert_eq!(take(true).unwrap_err(), Failure::RouteBusy);
        drop(request);
        let request = take(false).unwrap();
        drop(one);
        assert!(take(true).is_ok());
        assert_eq!(
            take(false).unwrap_err(),
            Failure::RouteBusy,
            "a stream that ends is no request that ends"
        );
        drop(request);
    }

    #[test]
    fn all_routes_share_what_the_gateway_takes_and_who_is_refused_takes_nothing() {
        let (one, other) = (Arc::new(RouteState::default()), Arc::new(RouteState::default()));
        let (anything, narrow) = (route(None, None), route(Some(1), None));
        let total = Total::new(Most { requests: 1, streams: 1 });
        let stream = Place::take(&anything, &one, &total, true).unwrap();
        let request = Place::take(&anything, &one, &total, false).unwrap();
        for streams in [true, false] {
            let refused = Place::take(&narrow, &other, &total, streams);
            assert_eq!(refused.unwrap_err(), Failure::GatewayBusy);
        }
        drop((stream, request));
        assert!(Place::take(&narrow, &other, &total, false).is_ok(), "nothing of it is left on the route");
    }

    #[test]
    fn a_request_that_turns_out_to_be_a_stream_gives_its_place_to_a_request() {
        let (route, state) = (route(Some(1), Some(1)), Arc::new(RouteState::default()));
        let total = Total::new(Most { requests: 1, streams: 1 });
        let take = |stream| Place::take(&route, &state, &total, stream);
        let mut turned = take(false).unwrap();
        turned.is_stream();
        turned.is_stream();
        let request = take(false).unwrap();
        assert_eq!(take(true).unwrap_err(), Failure::RouteBusy);
        drop(turned);
        assert!(take(true).is_ok());
        assert_eq!(take(false).unwrap_err(), Failure::RouteBusy);
        drop(request);
        let mut stream = take(true).unwrap();
        stream.is_stream();
        let _request = take(false).unwrap();
        assert_eq!(
            take(false).unwrap_err(),
            Failure::RouteBusy,
            "what was a stream from the start turns into nothing"
        );
    }

    #[test]
    fn a_client_that_asks_too_often_is_told_how_long_to_wait() {
        let rate = RouteRate::new(RateLimitSpec { requests_per_second: 1, burst: 2 });
        let (one, other) = (Client::V4(1), Client::V4(2));
        let now = Duration::from_mins(1);
        assert_eq!([rate.take(one, now), rate.take(one, now)], [Ok(()), Ok(())]);
        assert_eq!(rate.take(one, now), Err(Failure::RateLimited { seconds: 1 }));
        assert_eq!(rate.take(other, now), Ok(()));
        assert_eq!(rate.take(one, now + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn a_route_is_retired_once_it_is_told() {
        let state = RouteState::default();
        assert!(!state.is_retired());
        state.retire();
        assert!(state.is_retired());
    }

    #[test]
    fn a_wait_is_rounded_up() {
        let check = |millis, expected| assert_eq!(whole_seconds(Duration::from_millis(millis)), expected);
        check(0, 1);
        check(1, 1);
        check(1000, 1);
        check(1001, 2);
    }
}
