//! Does what [`decide`] says.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use crate::{Action, LeaseError, LeaseStore, Timing, Token, View, decide};

/// The word that this process leads, and until when it holds without being said again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// To check everything the leader changes against.
    pub token: Token,
    /// When the last claim was sent that succeeded: until then, nobody else has led since this leadership began.
    pub renewed: Instant,
    /// From here on somebody else may lead.
    pub until: Instant,
}

impl Leadership {
    /// Whether it holds now. To be asked before every step: the process may have been stopped since the last one.
    pub fn holds(&self) -> bool {
        Instant::now() < self.until
    }
}

/// One candidate.
pub struct Elector {
    store: Arc<dyn LeaseStore>,
    view: View,
    timing: Timing,
    /// The beginning of the view's time.
    origin: Instant,
    leadership: watch::Sender<Option<Leadership>>,
    /// What is wrong, as it was said.
    trouble: Option<String>,
}

impl std::fmt::Debug for Elector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Elector").field("view", &self.view).finish_non_exhaustive()
    }
}

impl Elector {
    /// A candidate by the name of `me`, which must be another one after each start of the process, and where it says
    /// whether it leads.
    pub fn new(
        me: impl Into<String>,
        timing: Timing,
        store: Arc<dyn LeaseStore>,
    ) -> (Self, watch::Receiver<Option<Leadership>>) {
        let (leadership, told) = watch::channel(None);
        let view = View::new(me, timing);
        (Self { store, view, timing, origin: Instant::now(), leadership, trouble: None }, told)
    }

    /// Stands for election until `shutdown`, then gives back what it has, so that the next need not wait.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        tokio::select! {
            () = self.stand() => {}
            () = shutdown => {}
        }
        self.view.retire();
        self.publish();
        // Long enough for one attempt; who cannot be reached will find out by the time.
        if timeout(self.timing.attempt, self.stand()).await.is_err() {
            tracing::warn!(holder = self.view.me(), "left without giving the lease back; it expires");
        }
    }

    /// Comes back only once the candidate has retired.
    async fn stand(&mut self) {
        loop {
            match decide(&self.view, self.now()) {
                Action::Rest => return,
                Action::Wait(until) => self.wait(self.origin + until).await,
                action => self.attempt(action).await,
            }
            self.publish();
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Waits, and not a moment longer than the leadership lasts.
    async fn wait(&self, until: Instant) {
        let lapses = self.leadership.borrow().map(|leadership| leadership.until);
        sleep_until(lapses.map_or(until, |lapses| until.min(lapses))).await;
    }

    /// Makes one attempt. Where it is dropped half way, the view knows that it was sent and nothing more.
    async fn attempt(&mut self, action: Action) {
        let sent = self.now();
        self.view.sent(sent);
        let answer = {
            let (store, me) = (self.store.clone(), self.view.me().to_owned());
            let asking = async move {
                match action {
                    Action::Look => store.read().await.map(Answer::Looked),
                    Action::Claim(expected) => {
                        store.write(Some(&me), expected).await.map(|w| Answer::Claimed(expected, w))
                    }
                    Action::GiveBack(version) => {
                        store.write(None, crate::Expected::Version(version)).await.map(Answer::GaveBack)
                    }
                    Action::Wait(_) | Action::Rest => unreachable!("no attempt"),
                }
            };
            self.in_time(asking).await
        };
        let now = self.now();
        match answer {
            Ok(answer) => {
                if self.trouble.take().is_some() {
                    tracing::info!(holder = self.view.me(), "attempts on the lease succeed again");
                }
                match answer {
                    Answer::Looked(found) => self.view.looked(found, now),
                    Answer::Claimed(expected, written) => self.view.claimed(expected, written, sent, now),
                    Answer::GaveBack(written) => self.view.gave_back(written, now),
                }
            }
            Err(error) => self.complain(&error),
        }
    }

    /// An attempt has its time; while it is under way, a leadership that lapses is said to be over.
    async fn in_time(
        &self,
        asking: impl Future<Output = Result<Answer, LeaseError>>,
    ) -> Result<Answer, LeaseError> {
        let lapses = self.leadership.borrow().map(|leadership| leadership.until);
        let lapsed = async {
            match lapses {
                Some(lapses) => sleep_until(lapses).await,
                None => std::future::pending().await,
            }
        };
        let mut attempt = std::pin::pin!(timeout(self.timing.attempt, asking));
        let answer = tokio::select! {
            biased;
            answer = &mut attempt => answer,
            () = lapsed => {
                self.publish();
                attempt.await
            }
        };
        answer
            .unwrap_or_else(|_| Err(LeaseError(format!("no answer within {:?}", self.timing.attempt).into())))
    }

    /// Tells the others in this process, if something changed.
    fn publish(&self) {
        let leads = self.view.leads(self.now());
        let word = leads.map(|(token, until)| {
            let until = self.origin + until;
            Leadership { token, renewed: until - self.timing.lead, until }
        });
        self.leadership.send_if_modified(|known| {
            let was = known.map(|leadership| leadership.token);
            let is = word.map(|leadership| leadership.token);
            match (was, is) {
                (before, Some(token)) if before != Some(token) => {
                    tracing::info!(holder = self.view.me(), token = token.0, "leads");
                }
                (Some(token), None) => {
                    tracing::info!(holder = self.view.me(), token = token.0, "leads no more");
                }
                _ => {}
            }
            std::mem::replace(known, word) != word
        });
    }

    fn complain(&mut self, error: &LeaseError) {
        let trouble = Some(error.with_causes());
        // Said once, and again where something else is wrong: what is missing next is another fix.
        if self.trouble != trouble {
            self.trouble = trouble;
            tracing::warn!(
                holder = self.view.me(),
                error = error as &dyn std::error::Error,
                "an attempt on the lease failed; trying again"
            );
        }
    }
}

/// What an attempt brought.
enum Answer {
    Looked(Option<crate::Stored>),
    Claimed(crate::Expected, crate::Written),
    GaveBack(crate::Written),
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    };

    use async_trait::async_trait;
    use tokio::{sync::oneshot, task::JoinHandle, time::advance};

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
            // Every task that woke may wake others.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        began.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_two_leads_and_goes_on() {
        let lease = Arc::new(MemoryLeases::default());
        let candidates = [Candidate::start("a", &lease), Candidate::start("b", &lease)];
        until(1, || candidates.iter().any(|c| c.leads().is_some())).await;
        let first = candidates.iter().find_map(Candidate::leads);
        let holder = lease.read().await.unwrap().unwrap().holder;
        let named =
            ["a", "b"].into_iter().zip(&candidates).find(|(_, candidate)| candidate.leads().is_some());
        assert_eq!(holder.as_deref(), named.map(|(name, _)| name), "the lease says who leads");
        let began = Instant::now();
        until(120, || {
            assert_eq!(
                candidates.iter().filter_map(Candidate::leads).collect::<Vec<_>>(),
                Vec::from_iter(first)
            );
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
        let mut heard = one.told.clone();
        heard.mark_unchanged();
        let stopped = until(15, || one.leads().is_none()).await;
        assert!(stopped <= 10.1, "{stopped} s");
        assert_eq!(*heard.borrow_and_update(), None, "whoever waits for it is told");
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
        assert_eq!(
            log.said(),
            [failed("no route"), format!("INFO leads no more holder=\"a\" token={again}")]
        );
    }
}
