//! Who holds what, asked all along: streams that are open and registered to nobody, and what is left of pods that are gone.
//!
//! It asks only in runs that promise something about it, as each look takes all registrations out of the store.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fundbond_protocol::{ClusterId, ConnectionId, PodId};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    error::ChaosError,
    fact::{Fact, Page, What},
    history::History,
    http::CLUSTER,
    site::Site,
};

/// Between two looks: short against what is promised, and long against what a look takes.
const EVERY: Duration = Duration::from_millis(500);

/// Looks until it is dropped.
///
/// # Errors
/// Where Redis cannot be asked.
pub async fn take(site: &Site, history: &History) -> Result<(), ChaosError> {
    let cluster = ClusterId::parse(CLUSTER)?;
    let mut open = Open::default();
    let mut left: BTreeMap<(String, PodId), What> = BTreeMap::new();
    let mut looks = interval(EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        open.learn(&history.since(open.read));
        let before = open.streams();
        let redis = site.redis.lock().await;
        let holders = redis.registrations().await?;
        // A stream that ended while this was asked was nobody's to hold.
        open.learn(&history.since(open.read));
        let after = open.streams();
        let both: Vec<&ConnectionId> = before.intersection(&after).collect();
        let missing = both.iter().filter(|stream| !holders.contains_key(stream.as_str()));
        let missing = missing.map(|stream| (*stream).clone()).collect();
        history.say(What::Registrations { open: both.len(), missing });
        for (process, pod) in site.gone()? {
            let named = holders.values().filter(|holder| holder.split(':').next() == Some(pod.as_str()));
            let what = What::Left {
                process: process.clone(),
                pod: pod.to_string(),
                registrations: named.count(),
                keys: redis.keys_of(&pod, &cluster).await?,
            };
            if left.insert((process, pod), what.clone()) != Some(what.clone()) {
                history.say(what);
            }
        }
    }
}

/// Streams that have said something and not ended, after these facts from the first on.
pub fn open_streams(facts: &[Fact]) -> BTreeSet<ConnectionId> {
    let mut open = Open::default();
    open.learn(facts);
    open.streams()
}

/// Pages with a stream that has said something and not ended.
#[derive(Debug, Default)]
struct Open {
    pages: BTreeSet<Page>,
    /// How many facts have been read.
    read: usize,
}

impl Open {
    fn learn(&mut self, facts: &[Fact]) {
        for fact in facts {
            match &fact.what {
                What::Saw { page, .. } => {
                    self.pages.insert(page.clone());
                }
                What::Ended { page, .. } => {
                    self.pages.remove(page);
                }
                _ => {}
            }
        }
        self.read += facts.len();
    }

    fn streams(&self) -> BTreeSet<ConnectionId> {
        self.pages.iter().map(|page| page.connection.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::{Ending, Frame};

    #[test]
    fn a_stream_is_open_from_its_first_word_until_its_last_page_has_ended() {
        let page = |number| Page { connection: ConnectionId::parse("desk0").unwrap(), number };
        let saw = |number| What::Saw { page: page(number), frame: Frame::default() };
        let ended = |number| What::Ended { page: page(number), how: Ending::Closed };
        let open = |whats: &[What]| {
            let facts = whats.iter().map(|what| Fact { at: Duration::ZERO, what: what.clone() });
            !open_streams(&facts.collect::<Vec<_>>()).is_empty()
        };
        assert!(!open(&[What::Opened { page: page(0), status: 200, by: None }]));
        assert!(open(&[saw(0)]));
        assert!(!open(&[saw(0), ended(0)]));
        assert!(open(&[saw(0), saw(1), ended(0)]));
    }

    #[test]
    fn facts_are_read_once() {
        let page = Page { connection: ConnectionId::parse("desk0").unwrap(), number: 0 };
        let fact = Fact { at: Duration::ZERO, what: What::Saw { page, frame: Frame::default() } };
        let mut open = Open::default();
        open.learn(&[fact.clone(), fact]);
        assert_eq!((open.read, open.streams().len()), (2, 1));
    }
}
