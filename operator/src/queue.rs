//! Which FundClusters are to be looked at, and when.
//!
//! A key is in it once, however often it is added. Nobody looks at one FundCluster twice at a time: what is added meanwhile
//! is looked at again afterwards.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fundbond_service_runtime::Shutdown;
use tokio::{
    sync::Notify,
    task::yield_now,
    time::{Instant, sleep_until},
};

/// The queue. Whoever takes a key says so when it is done with it.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    ready: VecDeque<K>,
    /// What is in `ready`.
    waiting: HashSet<K>,
    /// What somebody looks at, and whether it is to be looked at again.
    taken: HashMap<K, bool>,
    /// In the order of time, and of asking where that is the same.
    later: BTreeMap<(Instant, u64), K>,
    /// Where in `later` a key is: the earliest time that was asked for.
    due: HashMap<K, (Instant, u64)>,
    asked: u64,
    /// Failures in a row.
    failures: HashMap<K, u32>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        let state = State {
            ready: VecDeque::new(),
            waiting: HashSet::new(),
            taken: HashMap::new(),
            later: BTreeMap::new(),
            due: HashMap::new(),
            asked: 0,
            failures: HashMap::new(),
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be looked at as soon as somebody is free.
    pub(crate) fn add(&self, key: K) {
        self.state().add(key);
        self.changed.notify_one();
    }

    /// To be looked at then, unless that happens earlier.
    pub(crate) fn add_after(&self, key: K, delay: Duration) {
        self.state().add_at(key, Instant::now() + delay);
        self.changed.notify_one();
    }

    /// The next one.
    pub(crate) async fn take(&self) -> K {
        loop {
            // Made before looking, so that nothing is added unseen in between.
            let changed = self.changed.notified();
            let next = {
                let mut state = self.state();
                state.ripen(Instant::now());
                if let Some(key) = state.take() {
                    // Several may have come with one notice.
                    if !state.ready.is_empty() {
                        self.changed.notify_one();
                    }
                    return key;
                }
                state.later.first_key_value().map(|((at, _), _)| *at)
            };
            match next {
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(at) => {}
                },
                None => changed.await,
            }
        }
    }

    /// The next one for somebody who takes one after the other; none once `shutdown` begins.
    ///
    /// Before it others have their turn: a look at what is as it should be waits for nothing, and ten thousand of those in a
    /// row would keep whoever renews the lease from doing so until it is lost.
    pub(crate) async fn next(&self, shutdown: &Shutdown) -> Option<K> {
        yield_now().await;
        tokio::select! {
            biased;
            () = shutdown.begun() => None,
            key = self.take() => Some(key),
        }
    }

    /// Somebody is done with it.
    pub(crate) fn done(&self, key: &K) {
        let again = self.state().taken.remove(key).unwrap_or_default();
        if again {
            self.add(key.clone());
        }
    }

    /// It went well.
    pub(crate) fn succeeded(&self, key: &K) {
        self.state().failures.remove(key);
    }

    /// It failed. Answers how often it did in a row.
    pub(crate) fn failed(&self, key: &K) -> u32 {
        let mut state = self.state();
        let failures = state.failures.entry(key.clone()).or_default();
        *failures = failures.saturating_add(1);
        *failures
    }

    /// How many wait to be looked at now, how many for a time to come, and how many are being looked at.
    pub(crate) fn lengths(&self) -> (usize, usize, usize) {
        let state = self.state();
        (state.ready.len(), state.later.len(), state.taken.len())
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn add(&mut self, key: K) {
        if let Some(place) = self.due.remove(&key) {
            self.later.remove(&place);
        }
        if let Some(again) = self.taken.get_mut(&key) {
            *again = true;
        } else if self.waiting.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    fn add_at(&mut self, key: K, at: Instant) {
        if self.waiting.contains(&key) {
            return;
        }
        match self.due.get(&key) {
            Some((earlier, _)) if *earlier <= at => return,
            Some(place) => {
                let place = *place;
                self.later.remove(&place);
            }
            None => {}
        }
        self.asked += 1;
        self.due.insert(key.clone(), (at, self.asked));
        self.later.insert((at, self.asked), key);
    }

    /// Moves what has come due.
    fn ripen(&mut self, now: Instant) {
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let key = entry.remove();
            self.due.remove(&key);
            self.add(key);
        }
    }

    fn take(&mut self) -> Option<K> {
        let key = self.ready.pop_front()?;
        self.waiting.remove(&key);
        self.taken.insert(key.clone(), false);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use futures::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_is_in_it_once() {
        let queue = Queue::default();
        queue.add("a");
        queue.add("b");
        queue.add("a");
        assert_eq!((queue.take().await, queue.take().await), ("a", "b"));
        assert!(queue.take().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn between_two_looks_others_have_their_turn() {
        let (queue, shutdown) = (Queue::default(), Shutdown::new());
        (0..3).for_each(|key| queue.add(key));
        let looked = AtomicUsize::new(0);
        let looking = async {
            while let Some(key) = queue.next(&shutdown).await {
                looked.fetch_add(1, Relaxed);
                queue.done(&key);
            }
        };
        let other = async {
            for looks in 0..=3 {
                assert!(looked.load(Relaxed) <= looks, "{looked:?} looks and no turn between them");
                yield_now().await;
            }
            shutdown.begin();
        };
        tokio::join!(looking, other);
        assert_eq!(looked.into_inner(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_looks_at_a_key_while_another_does() {
        let queue = Queue::default();
        queue.add("a");
        queue.take().await;
        queue.add("a");
        assert!(queue.take().now_or_never().is_none());
        queue.done(&"a");
        assert_eq!(queue.take().await, "a");
        queue.done(&"a");
        assert!(queue.take().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_times_the_earliest_counts_and_now_before_all() {
        let queue = Queue::default();
        let began = Instant::now();
        queue.add_after("a", Duration::from_secs(9));
        queue.add_after("a", Duration::from_secs(3));
        queue.add_after("a", Duration::from_secs(6));
        assert_eq!(queue.take().await, "a");
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        queue.done(&"a");
        assert_eq!(queue.lengths(), (0, 0, 0));
        queue.add_after("a", Duration::from_secs(9));
        queue.add("a");
        assert_eq!(queue.take().await, "a");
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        queue.done(&"a");
        assert_eq!(queue.lengths(), (0, 0, 0), "not a second time");
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_due_while_it_is_looked_at_is_looked_at_again() {
        let queue = Queue::default();
        queue.add("a");
        queue.take().await;
        queue.add_after("a", Duration::from_secs(1));
        assert!(tokio::time::timeout(Duration::from_secs(5), queue.take()).await.is_err());
        queue.done(&"a");
        assert_eq!(queue.take().await, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_who_waits_gets_something() {
        let queue = std::sync::Arc::new(Queue::default());
        let takers: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn({
                    let queue = queue.clone();
                    async move { queue.take().await }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        for key in 0..3 {
            queue.add(key);
        }
        let mut taken = Vec::new();
        for taker in takers {
            taken.push(taker.await.unwrap());
        }
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2]);
    }
}
