//! Housekeepers of whole clusters, on the in-memory store and in paused time.

use fundbond_lease::Expected;
use fundbond_protocol::{ConnectionId, LastEventId};
use fundbond_service_runtime::metrics::Catalogue;
use fundbond_store::{
    Housekeeping as _, Leases as _, MemoryStore, NODE_TIMEOUT, Node, ReadLimit, Register, Registered,
    Registry as _, memory::Restart,
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::*;

pub(super) fn cluster() -> ClusterId {
    ClusterId::parse("k").unwrap()
}

pub(super) fn pod_id(name: &str) -> PodId {
    PodId::parse(name).unwrap()
}

pub(super) fn connection(name: &str) -> ConnectionId {
    ConnectionId::parse(name).unwrap()
}

/// Long enough for anything here.
const SWEEP_EVERY: Duration = HousekeepingSettings::USUAL.sweep_interval;

/// How long the breaker waits.
const SETTLE: Duration = Duration::from_mins(1);

const SETTLED: Duration = Duration::from_hours(1);

/// A pod that lives and stands for election. Dropped, it is killed.
struct Life {
    names: watch::Sender<PodId>,
    leaving: Shutdown,
    metrics: Arc<SweepMetrics>,
    keeping: JoinHandle<()>,
    beating: JoinHandle<()>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.keeping.abort();
        self.beating.abort();
    }
}

/// A store whose server has lived for long, and whose lease was given back.
pub(super) async fn settled() -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    store.nodes(&cluster()).await.unwrap();
    store.lease(&lease_name(&cluster())).write(None, Expected::Absent).await.unwrap();
    // sleep-ok: of paused time.
    sleep(SETTLE).await;
    store
}

async fn start(store: &Arc<MemoryStore>, name: &str) -> Life {
    start_by(store.lease(&lease_name(&cluster())), store, name).await
}

async fn start_by(lease: Arc<dyn LeaseStore>, store: &Arc<MemoryStore>, name: &str) -> Life {
    let (names, known) = watch::channel(pod_id(name));
    let (leaving, metrics) = (Shutdown::new(), Arc::new(SweepMetrics::new(&mut Catalogue::default())));
    let housekeeper = Housekeeper {
        store: store.clone(),
        lease,
        cluster: cluster(),
        names: known.clone(),
        settings: HousekeepingSettings::USUAL,
        metrics: metrics.clone(),
    };
    store.heartbeat(&pod_id(name), &cluster()).await.unwrap();
    let store = store.clone();
    let beating = tokio::spawn(async move {
        loop {
            // sleep-ok: of paused time.
            sleep(Duration::from_secs(10)).await;
            let name = known.borrow().clone();
            store.heartbeat(&name, &cluster()).await.unwrap();
        }
    });
    let keeping = tokio::spawn(housekeeper.run(leaving.clone()));
    Life { names, leaving, metrics, keeping, beating }
}

pub(super) async fn open(store: &MemoryStore, pod: &str, stream: &str) {
    let request = Register {
        connection: connection(stream),
        pod: pod_id(pod),
        cluster: cluster(),
        last: LastEventId::Start,
        tasks: vec![],
        limit: ReadLimit::default(),
        asked: Instant::now(),
    };
    assert!(matches!(store.register(&request).await.unwrap(), Registered::Open(_)));
}

async fn leader(store: &MemoryStore) -> Option<String> {
    let lease = store.lease(&lease_name(&cluster())).read().await.unwrap();
    lease.and_then(|lease| lease.holder)
}

/// Waits until `so`, and says how long that took.
async fn until<F: Future<Output = bool>>(limit: Duration, so: impl Fn() -> F) -> Duration {
    let begun = Instant::now();
    let waiting = async {
        while !so().await {
            // sleep-ok: of paused time.
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(limit, waiting).await.unwrap_or_else(|_| panic!("not within {limit:?}"));
    begun.elapsed()
}

async fn is_gone(store: &MemoryStore, pod: &str) -> bool {
    !store.nodes(&cluster()).await.unwrap().nodes.iter().any(|node| node.pod == pod_id(pod))
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_pod_held_is_gone_and_what_others_hold_is_not() {
    let store = settled().await;
    let (_one, killed) = (start(&store, "pod-a~1").await, start(&store, "pod-b~1").await);
    for number in 0..250 {
        open(&store, "pod-b~1", &format!("c{number}")).await;
    }
    open(&store, "pod-a~1", "c7").await;
    drop(killed);
    until(NODE_TIMEOUT + SWEEP_EVERY, async || is_gone(&store, "pod-b~1").await).await;
    for number in 0..250 {
        let holder = store.holder(&connection(&format!("c{number}"))).await.unwrap();
        assert_eq!(holder.map(|(pod, _)| pod), (number == 7).then(|| pod_id("pod-a~1")));
    }
    assert_eq!(store.heartbeat(&pod_id("pod-b~1"), &cluster()).await.unwrap(), Node::Buried);
}

#[tokio::test(start_paused = true)]
async fn a_killed_leader_is_followed_and_swept_in_time() {
    let store = settled().await;
    let first = start(&store, "pod-a~1").await;
    until(SWEEP_EVERY, async || leader(&store).await.as_deref() == Some("pod-a~1")).await;
    let _others = [start(&store, "pod-b~1").await, start(&store, "pod-c~1").await];
    open(&store, "pod-a~1", "c").await;
    drop(first);
    // As long as it is believed alive, as long as a takeover takes, and one sweep.
    let limit = NODE_TIMEOUT + Duration::from_secs(20) + SWEEP_EVERY;
    until(limit, async || is_gone(&store, "pod-a~1").await).await;
    assert_eq!(store.holder(&connection("c")).await.unwrap(), None);
    assert_ne!(leader(&store).await.as_deref(), Some("pod-a~1"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_ends_in_order_is_followed_at_once() {
    let store = settled().await;
    let mut first = start(&store, "pod-a~1").await;
    until(SWEEP_EVERY, async || leader(&store).await.is_some()).await;
    let second = start(&store, "pod-b~1").await;
    first.leaving.begin();
    timeout(Duration::from_secs(1), &mut first.keeping).await.expect("it does not wait").unwrap();
    assert_eq!(leader(&store).await, None, "it gave the lease back");
    until(Duration::from_secs(3), async || second.metrics.leads.get() == 1).await;
    assert_eq!(leader(&store).await.as_deref(), Some("pod-b~1"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_takes_another_name_stands_again_under_it() {
    let store = settled().await;
    let pod = start(&store, "pod-a~1").await;
    until(SWEEP_EVERY, async || leader(&store).await.is_some()).await;
    pod.names.send(pod_id("pod-a~2")).unwrap();
    until(Duration::from_secs(5), async || leader(&store).await.as_deref() == Some("pod-a~2")).await;
    until(Duration::from_secs(5), async || pod.metrics.leads.get() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_registration_of_nobody_is_gone_after_two_scans() {
    let store = settled().await;
    let _pod = start(&store, "pod-a~1").await;
    open(&store, "pod-a~1", "mine").await;
    store.plant(&connection("ghost"), &pod_id("pod-1"), &ClusterId::parse("cluster-1").unwrap());
    let gone = async || store.holder(&connection("ghost")).await.unwrap().is_none();
    let took = until(SCAN_EVERY * 2 + SWEEP_EVERY, gone).await;
    assert!(took > NODE_TIMEOUT, "{took:?}");
    assert!(store.holder(&connection("mine")).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_forgot_who_lives_makes_nobody_dead() {
    let store = settled().await;
    let pods = [start(&store, "pod-a~1").await, start(&store, "pod-b~1").await];
    until(SWEEP_EVERY, async || leader(&store).await.is_some()).await;
    sleep(Duration::from_secs(3)).await;
    let backup = store.backup();
    sleep(Duration::from_mins(10)).await;
    // Its health is long past: so says what was kept of it.
    store.restart(Restart::RollBackTo(backup));
    sleep(Duration::from_mins(3)).await;
    for (pod, name) in pods.iter().zip(["pod-a~1", "pod-b~1"]) {
        assert_eq!(pod.metrics.buried.get(), 0);
        assert_eq!(store.heartbeat(&pod_id(name), &cluster()).await.unwrap(), Node::Alive);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_says_how_it_went() {
    let store = settled().await;
    let _pods = [start(&store, "pod-a~1").await, start(&store, "pod-b~1").await];
    open(&store, "pod-b~1", "c").await;
    for name in ["pod-c~1", "pod-d~1", "pod-e~1"] {
        store.heartbeat(&pod_id(name), &cluster()).await.unwrap();
    }
    let note = async || {
        let note = store.nodes(&cluster()).await.unwrap().note?;
        Some(serde_json::from_str::<Note>(&note).unwrap())
    };
    until(SWEEP_EVERY * 2, async || note().await.is_some_and(|note| !note.breaker.open)).await;
    until(NODE_TIMEOUT + SWEEP_EVERY, async || note().await.is_some_and(|note| note.breaker.open)).await;
    assert_eq!(note().await.unwrap().breaker.reason, Some(BreakerReason::ManyDead));
    until(SETTLE + SWEEP_EVERY * 2, async || {
        note().await.is_some_and(|note| note.last_sweep.buried == 3 && note.last_sweep.forgotten == 3)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_leads_no_more_gives_no_orders() {
    let store = settled().await;
    store.heartbeat(&pod_id("pod-a~1"), &cluster()).await.unwrap();
    open(&store, "pod-a~1", "c").await;
    store.silence(&pod_id("pod-a~1"));
    let metrics = SweepMetrics::new(&mut Catalogue::default());
    let order = Order { cluster: cluster(), token: Token(5) };
    let all = plan::Plan { bury: vec![pod_id("pod-a~1")], ..plan::Plan::default() };
    let now = Instant::now();
    let past = Leadership { token: Token(5), renewed: now, until: now };
    let others = Leadership { token: Token(4), renewed: now, until: now + SETTLED };
    for word in [None, Some(past), Some(others)] {
        let (_tell, leadership) = watch::channel(word);
        let sweeper = Sweeper { store: &*store, order: &order, leadership: &leadership, metrics: &metrics };
        let done = sweeper.carry_out(&all).await.unwrap();
        assert_eq!((done.end, done.buried), (End::Late, 0), "{word:?}");
        assert_eq!(sweeper.scan().await.unwrap(), None);
    }
    let (tell, leadership) = watch::channel(Some(Leadership { until: others.until, ..past }));
    let sweeper = Sweeper { store: &*store, order: &order, leadership: &leadership, metrics: &metrics };
    assert!(sweeper.leads());
    tell.send(None).unwrap();
    assert!(!sweeper.leads(), "it asks anew before each order");
    tell.send(Some(Leadership { until: others.until, ..past })).unwrap();
    let done = sweeper.carry_out(&all).await.unwrap();
    assert_eq!((done.end, done.buried, done.deleted, done.forgotten), (End::Done, 1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_moved_to_where_numbers_are_small_keeps_house_at_once() {
    let store = settled().await;
    // As a Redis numbers its leaders; then the lease was moved to a young Kubernetes.
    let yesterday = Order { cluster: cluster(), token: Token(1_795_000_000_000_000) };
    assert_eq!(store.note_sweep(&yesterday, "{}").await.unwrap(), Ordered::Done(()));
    let leases = Arc::new(fundbond_lease::MemoryLeases::default());
    let one = start_by(leases.clone(), &store, "pod-a~1").await;
    let two = start(&store, "pod-z~1").await;
    drop(two);
    let waited = until(SETTLED, async || {
        let nodes = store.nodes(&cluster()).await.unwrap().nodes;
        nodes.iter().all(|node| node.pod == pod_id("pod-a~1"))
    })
    .await;
    // Silent for half a minute, and the next sweep but one; an hour, if nobody doubted the greater token.
    assert!(waited < NODE_TIMEOUT + SWEEP_EVERY * 3, "{waited:?}");
    assert!(store.fence(&cluster()).await.unwrap().unwrap() < yesterday.token);
    drop(one);
}

#[tokio::test(start_paused = true)]
async fn only_who_renewed_since_it_saw_a_greater_token_doubts_it() {
    let store = settled().await;
    let [mine, others] = [5, 9].map(|token| Order { cluster: cluster(), token: Token(token) });
    assert_eq!(Doubt::of(&*store, &mine).await.unwrap(), None);
    assert_eq!(store.note_sweep(&mine, "").await.unwrap(), Ordered::Done(()));
    assert_eq!(Doubt::of(&*store, &mine).await.unwrap(), None, "its own token is no reason");
    let renewed = Instant::now();
    assert_eq!(store.note_sweep(&others, "").await.unwrap(), Ordered::Done(()));
    let doubt = Doubt::of(&*store, &mine).await.unwrap().unwrap();
    let second = Duration::from_secs(1);
    let leads = Leadership { token: mine.token, renewed, until: renewed + second * 10 };
    assert!(!doubt.is_refuted(&leads), "somebody may have led since");
    // sleep-ok: of paused time.
    sleep(second).await;
    assert!(!doubt.is_refuted(&leads), "time alone proves nothing");
    let renewed = Leadership { renewed: Instant::now(), ..leads };
    assert!(doubt.is_refuted(&renewed));
    assert!(!doubt.is_refuted(&Leadership { until: Instant::now(), ..renewed }), "it leads no more");
    assert!(!doubt.is_refuted(&Leadership { token: others.token, ..renewed }), "it is that leader by now");
    // Somebody else led in between after all: that is not what was seen.
    let later = Order { cluster: cluster(), token: Token(11) };
    assert_eq!(store.note_sweep(&later, "").await.unwrap(), Ordered::Done(()));
    doubt.overrule(&*store, &mine).await.unwrap();
    assert_eq!(store.fence(&cluster()).await.unwrap(), Some(later.token));
}
