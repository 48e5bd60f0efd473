use fundbond_service_runtime::telemetry::captured::Log;
use tokio::time::advance;

use super::*;
use crate::route_file::Address;

const PAUSE: Duration = Duration::from_secs(1);

/// An endpoint whose breaker opens at the second failure in a row, and who listens to its news.
fn endpoint() -> (Arc<Endpoint>, watch::Receiver<()>) {
    let address = || Address::parse("127.0.0.1:9090").unwrap();
    let target = Target { name: "pod".into(), address: address(), admin: address() };
    let breaker = BreakerSettings {
        consecutive_failures: 2,
        first_pause: PAUSE,
        longest_pause: PAUSE * 4,
        ..BreakerSettings::default()
    };
    let news = News::new();
    let listener = news.listen();
    (Arc::new(Endpoint::new(target, breaker, Clock::start(), news)), listener)
}

fn fails(endpoint: &Arc<Endpoint>) {
    endpoint.admit().unwrap().0.settle(Verdict::Failure);
}

/// Closed, open and probing: how often the breaker came there.
fn changes(endpoint: &Endpoint) -> [u64; 3] {
    BREAKER_STATES.map(|(state, _)| endpoint.breaker_changes(state))
}

#[tokio::test(start_paused = true)]
async fn probes_and_refusals_say_whether_it_is_ready_and_firsts_are_news() {
    let (endpoint, mut news) = endpoint();
    let mut told = || {
        let told = news.has_changed().unwrap();
        news.mark_unchanged();
        told
    };
    assert!(!endpoint.is_ready() && !endpoint.readiness().was_asked() && !told());
    endpoint.probed(false, "down");
    assert!(!endpoint.is_ready() && endpoint.readiness().was_asked() && told(), "the first probe has ended");
    endpoint.probed(false, "down");
    assert!(!told(), "nothing of that is the first");
    endpoint.probed(true, "up");
    assert!(endpoint.is_ready() && endpoint.signals().is_ready() && told(), "the first answer");
    endpoint.refused("nobody listens");
    assert!(!endpoint.is_ready() && endpoint.readiness().has_answered() && !told());
    endpoint.probed(true, "up");
    assert!(endpoint.is_ready() && !told());
}

#[tokio::test(start_paused = true)]
async fn its_breaker_shuts_it_for_a_while_and_one_request_finds_out() {
    let (endpoint, _) = endpoint();
    assert_eq!((endpoint.breaker_state(), changes(&endpoint)), (BreakerState::Closed, [0, 0, 0]));
    fails(&endpoint);
    assert_eq!(endpoint.signals().admits_from(), Some(Duration::ZERO));
    fails(&endpoint);
    assert_eq!((endpoint.breaker_state(), changes(&endpoint)), (BreakerState::Open, [0, 1, 0]));
    assert!(endpoint.admit().is_none());
    let from = endpoint.signals().admits_from().unwrap();
    assert!(from > Duration::ZERO && from < PAUSE * 2, "{from:?}");
    advance(PAUSE * 2).await;
    let (probe, _load) = endpoint.admit().unwrap();
    assert_eq!((endpoint.breaker_state(), changes(&endpoint)), (BreakerState::Probing, [0, 1, 1]));
    assert_eq!(endpoint.signals().admits_from(), None);
    assert!(endpoint.admit().is_none(), "one at a time");
    probe.settle(Verdict::Success);
    assert_eq!((endpoint.breaker_state(), changes(&endpoint)), (BreakerState::Closed, [1, 1, 1]));
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_client_left_lets_another_find_out() {
    let (endpoint, _) = endpoint();
    fails(&endpoint);
    fails(&endpoint);
    advance(PAUSE * 2).await;
    let probe = endpoint.admit().unwrap();
    drop(probe);
    assert!(endpoint.admit().is_some());
}

#[tokio::test(start_paused = true)]
async fn pauses_of_endpoints_that_fail_together_do_not_end_together() {
    let pauses = (0..20).map(|_| {
        let (endpoint, _) = endpoint();
        fails(&endpoint);
        fails(&endpoint);
        endpoint.signals().admits_from().unwrap()
    });
    let pauses: std::collections::BTreeSet<_> = pauses.collect();
    assert!(pauses.len() > 10, "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn only_what_turns_is_told() {
    let (endpoint, _) = endpoint();
    let told = [true, true, true, false, false, false].map(|ok| endpoint.change(|state| state.probed(ok)));
    assert_eq!(told, [Some(true), None, None, None, Some(false), None]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_counts_once() {
    let (endpoint, _) = endpoint();
    // Settled, then dropped: two would open it.
    fails(&endpoint);
    assert_eq!(endpoint.breaker_state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_after_it_was_away_begins_with_a_clean_slate() {
    let (endpoint, _) = endpoint();
    endpoint.probed(true, "up");
    fails(&endpoint);
    fails(&endpoint);
    endpoint.probed(true, "still up");
    assert_eq!(endpoint.breaker_state(), BreakerState::Open, "it was there all the time");
    endpoint.probed(false, "down");
    endpoint.probed(true, "up");
    assert_eq!(endpoint.breaker_state(), BreakerState::Open, "one lost probe is no absence");
    endpoint.probed(false, "down");
    endpoint.probed(false, "down");
    endpoint.probed(false, "down");
    assert_eq!(endpoint.breaker_state(), BreakerState::Open);
    endpoint.probed(true, "up");
    assert_eq!((endpoint.breaker_state(), changes(&endpoint)), (BreakerState::Closed, [1, 1, 0]));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_a_lost_probe_forgets_nothing() {
    let (endpoint, _) = endpoint();
    endpoint.probed(true, "up");
    fails(&endpoint);
    fails(&endpoint);
    endpoint.refused("nobody listens");
    endpoint.probed(true, "up");
    assert_eq!(endpoint.breaker_state(), BreakerState::Open, "it may be the same process");
}

#[tokio::test(start_paused = true)]
async fn what_runs_there_is_counted_until_it_ends() {
    let (endpoint, _) = endpoint();
    let first = endpoint.admit().unwrap();
    let (admission, load) = endpoint.admit().unwrap();
    assert_eq!(endpoint.signals().load(), 2);
    admission.settle(Verdict::Success);
    assert_eq!(endpoint.signals().load(), 2, "its answer still flows");
    drop(load);
    assert_eq!(endpoint.signals().load(), 1);
    drop(first);
    assert_eq!(endpoint.signals().load(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_log_says_when_its_readiness_changes_and_why() {
    let (log, _guard) = Log::listen();
    let (endpoint, _news) = endpoint();
    let said = |what: &dyn Fn()| {
        what();
        let lines = log.said().into_iter();
        lines.map(|line| (line["ready"].clone(), line["why"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(said(&|| endpoint.probed(true, "asked")), [(true.into(), "asked".into())]);
    assert_eq!(said(&|| endpoint.probed(true, "asked again")), []);
    assert_eq!(said(&|| endpoint.refused("nobody there")), [(false.into(), "nobody there".into())]);
}
