//! An elector on a lease in memory, under paused time.

use std::{
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

use async_trait::async_trait;
use tokio::{sync::oneshot, task::JoinHandle, time::advance};
use tracing::Dispatch;

use super::*;
use crate::{Expected, MemoryLeases, Stored, Written};

/// A lease that can be out of reach: then no attempt has an answer. Or each is refused.
#[derive(Default)]
struct Far {
    lease: Arc<MemoryLeases>,
    away: AtomicBool,
    refuses: Mutex<Option<&'static str>>,
}

impl Far {
    async fn reach(&self) -> Result<&MemoryLeases, LeaseError> {
        if self.away.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let refuses = *self.refuses.lock().unwrap();
        refuses.map_or(Ok(&*self.lease), |why| Err(LeaseError(why.into())))
    }
}

#[async_trait]
impl LeaseStore for Far {
    async fn read(&self) -> Result<Option<Stored>, LeaseError> {
        self.reach().await?.read().await
    }

    async fn write(&self, holder: Option<&str>, expected: Expected) -> Result<Written, LeaseError> {
        self.reach().await?.write(holder, expected).await
    }
}

static OTHER: OnceLock<Dispatch> = OnceLock::new();

/// What this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(move || writer.clone());
        // While there is one subscriber alone, a line that another test meets first, on a thread without one, counts
        // as unwanted by all.
        OTHER.get_or_init(|| Dispatch::new(tracing_subscriber::registry()));
        (log, tracing::subscriber::set_default(subscriber.finish()))
    }

    /// What was logged since the last time.
    fn said(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(|line| line.trim().to_owned()).collect()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Candidate {
    store: Arc<Far>,
    told: watch::Receiver<Option<Leadership>>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Candidate {
    fn start(name: &str, lease: &Arc<MemoryLeases>) -> Self {
        let store = Arc::new(Far { lease: lease.clone(), ..Far::default() });
        let (elector, told) = Elector::new(name, Timing::USUAL, store.clone());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(elector.run(async {
            let _ = stopped.await;
        }));
        Self { store, told, stop, running }
    }

    fn leads(&self) -> Option<Token> {
        self.told.borrow().filter(Leadership::holds).map(|leadership| leadership.token)
    }
}

/// Lets time pass a little at a time, and says after how many seconds something was so.
async fn until(limit: u64, so: impl Fn() -> bool) -> f64 {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(limit), "not within {limit} s");
        advance(Duration::from_millis(50)).await;
        settle().await;
    }
    began.elapsed().as_secs_f64()
}

/// Lets everybody do what there is to do now: every task that woke may wake others.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leadership_holds_until_its_very_end() {
    let renewed = Instant::now();
    let leadership = Leadership { token: Token(1), renewed, until: renewed + Timing::USUAL.lead };
    assert!(leadership.holds());
    advance(Timing::USUAL.lead).await;
    assert!(!leadership.holds(), "from here on somebody else may lead");
}

#[tokio::test(start_paused = true)]
async fn whoever_listens_is_told_of_each_renewal_and_of_nothing_else() {
    let began = Instant::now();
    let one = Candidate::start("a", &Arc::new(MemoryLeases::default()));
    let mut told = one.told.clone();
    for renewal in 0..5 {
        settle().await;
        assert!(told.has_changed().unwrap(), "renewal {renewal}");
        let leadership = told.borrow_and_update().unwrap();
        assert_eq!(leadership.renewed, began + Timing::USUAL.retry * renewal, "when it was sent");
        assert_eq!(leadership.until, leadership.renewed + Timing::USUAL.lead);
        advance(Timing::USUAL.retry / 2).await;
        settle().await;
        assert!(!told.has_changed().unwrap());
        advance(Timing::USUAL.retry / 2).await;
    }
}

// One that is awake all the time makes no other attempt, and takes a whole processor.
#[tokio::test(start_paused = true)]
async fn a_candidate_that_waits_is_woken_by_nothing_but_time() {
    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let (elector, told) = Elector::new("a", Timing::USUAL, Arc::new(MemoryLeases::default()));
    let mut running = std::pin::pin!(elector.run(std::future::pending()));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    for _ in 0..3 {
        woken.0.store(false, Ordering::Relaxed);
        assert!(running.as_mut().poll(&mut context).is_pending());
    }
    assert!(told.borrow().is_some());
    // Whoever used up its turn is woken in the next one.
    settle().await;
    assert!(!woken.0.load(Ordering::Relaxed), "it has nothing to do until it renews");
    advance(Timing::USUAL.retry).await;
    assert!(woken.0.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_goes_on() {
    let lease = Arc::new(MemoryLeases::default());
    let candidates = [Candidate::start("a", &lease), Candidate::start("b", &lease)];
    until(1, || candidates.iter().any(|c| c.leads().is_some())).await;
    let first = candidates.iter().find_map(Candidate::leads);
    let holder = lease.read().await.unwrap().unwrap().holder;
    let named = ["a", "b"].into_iter().zip(&candidates).find(|(_, candidate)| candidate.leads().is_some());
    assert_eq!(holder.as_deref(), named.map(|(name, _)| name), "the lease says who leads");
    let began = Instant::now();
    until(120, || {
        assert_eq!(candidates.iter().filter_map(Candidate::leads).collect::<Vec<_>>(), Vec::from_iter(first));
        began.elapsed() > Duration::from_secs(100)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_stops_gives_back_and_the_other_leads_within_one_retry() {
    let lease = Arc::new(MemoryLeases::default());
    let one = Candidate::start("a", &lease);
    until(1, || one.leads().is_some()).await;
    let two = Candidate::start("b", &lease);
    let token = one.leads().unwrap();
    one.stop.send(()).unwrap();
    one.running.await.unwrap();
    let waited = until(5, || two.leads().is_some()).await;
    assert!(waited <= 2.2, "{waited} s");
    assert!(two.leads().unwrap() > token);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_stops_before_the_other_begins() {
    let lease = Arc::new(MemoryLeases::default());
    let one = Candidate::start("a", &lease);
    until(1, || one.leads().is_some()).await;
    let two = Candidate::start("b", &lease);
    let token = one.leads().unwrap();
    one.store.away.store(true, Ordering::Relaxed);
    let mut listener = one.told.clone();
    let heard = tokio::spawn(async move {
        listener.wait_for(Option::is_none).await.unwrap();
        Instant::now()
    });
    let stopped = until(15, || one.leads().is_none()).await;
    assert!(stopped <= 10.1, "{stopped} s");
    let now = Instant::now();
    assert_eq!(
        heard.await.unwrap(),
        now,
        "whoever waits for it is told at once, in the middle of an attempt"
    );
    let began = until(20, || two.leads().is_some()).await;
    assert!(stopped + began <= 17.2, "{stopped} + {began} s");
    assert!(two.leads().unwrap() > token);
    // Back again, it does not disturb.
    one.store.away.store(false, Ordering::Relaxed);
    let back = Instant::now();
    until(30, || {
        assert!(one.leads().is_none() && two.leads().is_some());
        back.elapsed() > Duration::from_secs(20)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn after_a_lease_is_deleted_one_leads_again_under_a_greater_token() {
    let lease = Arc::new(MemoryLeases::default());
    let one = Candidate::start("a", &lease);
    until(1, || one.leads().is_some()).await;
    let two = Candidate::start("b", &lease);
    let token = one.leads().unwrap();
    lease.delete();
    until(16, || {
        let leads = [one.leads(), two.leads()];
        assert!(leads.contains(&None), "{leads:?}");
        leads.into_iter().flatten().any(|now| now > token)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_stops_while_the_lease_is_out_of_reach_does_not_hang() {
    let lease = Arc::new(MemoryLeases::default());
    let one = Candidate::start("a", &lease);
    until(1, || one.leads().is_some()).await;
    one.store.away.store(true, Ordering::Relaxed);
    one.stop.send(()).unwrap();
    let began = Instant::now();
    one.running.await.unwrap();
    assert!(began.elapsed() <= Timing::USUAL.attempt);
}
/// Lets so many seconds pass.
async fn pass(seconds: u64) {
    let began = Instant::now();
    until(seconds + 1, || began.elapsed() >= Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_said_once_and_again_where_it_is_another_thing() {
    let (log, _logging) = Log::start();
    let lease = Arc::new(MemoryLeases::default());
    let one = Candidate::start("a", &lease);
    until(1, || one.leads().is_some()).await;
    let token = one.leads().unwrap();
    assert_eq!(log.said(), [format!("INFO leads holder=\"a\" token={token}")]);
    pass(10).await;
    assert_eq!(log.said(), [""; 0], "a renewal is no news");
    let failed = |why: &str| {
        format!(
            "WARN an attempt on the lease failed; trying again holder=\"a\" \
             error=the lease cannot be reached error.sources=[{why}]"
        )
    };
    for why in ["no route", "not allowed", "no route"] {
        *one.store.refuses.lock().unwrap() = Some(why);
        // Twice at least.
        pass(5).await;
        let said = log.said();
        let troubles: Vec<_> = said.iter().filter(|line| line.starts_with("WARN")).collect();
        assert_eq!(troubles, [&failed(why)], "{said:?}");
    }
    assert!(one.leads().is_none(), "it could not renew for longer than it leads");
    *one.store.refuses.lock().unwrap() = None;
    until(5, || one.leads().is_some()).await;
    let again = one.leads().unwrap();
    let said = log.said();
    let succeeds = "INFO attempts on the lease succeed again holder=\"a\"".to_owned();
    assert_eq!(said, [succeeds, format!("INFO leads holder=\"a\" token={again}")]);
    // All is well again: the same trouble is news.
    *one.store.refuses.lock().unwrap() = Some("no route");
    until(11, || one.leads().is_none()).await;
    assert_eq!(log.said(), [failed("no route"), format!("INFO leads no more holder=\"a\" token={again}")]);
}
