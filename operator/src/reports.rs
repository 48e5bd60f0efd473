//! What clusters say of themselves, and which of it is news for their FundClusters. Decides, and asks nobody.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use fundbond_crds::FundClusterStatus;
use fundbond_protocol::api::ClusterStatus;

use crate::seen::Key;

/// So many questions in a row without an answer, and what was said before is said no more: one lost answer is no news, and
/// numbers of long ago are none.
const PATIENCE: u8 = 3;

/// What a cluster says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Streams that living pods hold.
    pub(crate) streams: Option<i64>,
    /// Accepted tasks that no pod runs yet.
    pub(crate) backlog: Option<i64>,
    /// The pod that keeps house.
    pub(crate) leader: Option<String>,
}

impl Report {
    /// What the answer of a pod comes to.
    pub(crate) fn of(status: &ClusterStatus) -> Self {
        let living = status.nodes.iter().filter(|node| node.alive);
        let number = |number: u64| Some(i64::try_from(number).unwrap_or(i64::MAX));
        Self {
            streams: number(living.map(|node| node.streams).fold(0, u64::saturating_add)),
            backlog: number(status.tasks.waiting),
            leader: status.leader.clone(),
        }
    }

    /// What a FundCluster was told.
    fn told(status: &FundClusterStatus) -> Self {
        Self { streams: status.streams, backlog: status.backlog, leader: status.leader.clone() }
    }

    /// Whether whoever knows `before` should hear of this.
    fn is_news_after(&self, before: &Self) -> bool {
        self.leader != before.leader
            || moved(before.streams, self.streams)
            || moved(before.backlog, self.backlog)
    }
}

/// Whether a number is at least a tenth off. Whether it is none is news as well.
fn moved(before: Option<i64>, now: Option<i64>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => {
            let by = i128::from(now) - i128::from(before);
            by != 0 && by.abs() * 10 >= i128::from(before)
        }
        (before, now) => before != now,
    }
}

/// What is to be told to FundClusters, until they know it.
#[derive(Debug, Default)]
pub(crate) struct Reports(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    news: HashMap<Key, Report>,
    /// How often in a row there was no answer.
    silent: HashMap<Key, u8>,
}

impl Reports {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A cluster said this, or nothing; its FundCluster was told `told`. Answers whether it is to be told something else.
    pub(crate) fn take(&self, key: &Key, told: Option<&FundClusterStatus>, said: Option<Report>) -> bool {
        let mut state = self.state();
        let report = if let Some(report) = said {
            state.silent.remove(key);
            report
        } else {
            let silent = state.silent.entry(key.clone()).or_default();
            *silent = silent.saturating_add(1);
            if *silent < PATIENCE {
                return false;
            }
            Report::default()
        };
        let is_news = report.is_news_after(&told.map(Report::told).unwrap_or_default());
        if is_news {
            state.news.insert(key.clone(), report);
        } else {
            state.news.remove(key);
        }
        is_news
    }

    /// How often in a row a cluster said nothing.
    pub(crate) fn silent(&self, key: &Key) -> u8 {
        self.state().silent.get(key).copied().unwrap_or_default()
    }

    /// What a FundCluster is to be told, where that is not what it was told before.
    pub(crate) fn news(&self, key: &Key) -> Option<Report> {
        self.state().news.get(key).cloned()
    }

    /// Only these are there.
    pub(crate) fn keep(&self, there: impl Fn(&Key) -> bool) {
        let mut state = self.state();
        state.news.retain(|key, _| there(key));
        state.silent.retain(|key, _| there(key));
    }
}

#[cfg(test)]
mod tests {
    use fundbond_protocol::api::{BacklogStatus, BreakerStatus, NodeStatus};

    use super::*;

    fn report(streams: i64, backlog: i64, leader: &str) -> Report {
        Report { streams: Some(streams), backlog: Some(backlog), leader: Some(leader.to_owned()) }
    }

    fn status(report: &Report) -> FundClusterStatus {
        FundClusterStatus {
            streams: report.streams,
            backlog: report.backlog,
            leader: report.leader.clone(),
            ..FundClusterStatus::default()
        }
    }

    fn key() -> Key {
        Key::new("funds", "desk")
    }

    #[test]
    fn streams_are_those_of_pods_that_live() {
        let node = |pod: &str, alive, streams| NodeStatus {
            pod_id: pod.parse().unwrap(),
            alive,
            health_age_seconds: None,
            streams,
        };
        let status = ClusterStatus {
            cluster_id: "funds.desk".parse().unwrap(),
            nodes: vec![node("a", true, 3), node("b", false, 100), node("c", true, 4)],
            leader: Some("a".to_owned()),
            last_sweep: None,
            breaker: BreakerStatus::default(),
            tasks: BacklogStatus { waiting: 5, oldest_seconds: None, running: 9 },
        };
        assert_eq!(Report::of(&status), report(7, 5, "a"));
    }

    #[test]
    fn a_tenth_is_news_and_less_is_not() {
        for (before, now, is_news) in [
            (100, 109, false),
            (100, 110, true),
            (100, 91, false),
            (100, 90, true),
            (0, 1, true),
            (1, 0, true),
            (0, 0, false),
            (9, 10, true),
            (i64::MAX, i64::MAX - 1, false),
            (i64::MAX, 0, true),
        ] {
            assert_eq!(moved(Some(before), Some(now)), is_news, "{before} and then {now}");
            for (one, other) in
                [(report(before, 7, "a"), report(now, 7, "a")), (report(7, before, "a"), report(7, now, "a"))]
            {
                assert_eq!(other.is_news_after(&one), is_news);
            }
        }
        assert!(moved(None, Some(0)) && moved(Some(0), None) && !moved(None, None));
        assert!(report(1, 1, "a").is_news_after(&report(1, 1, "b")));
    }

    #[test]
    fn who_was_told_is_not_told_again() {
        let reports = Reports::default();
        assert!(reports.take(&key(), None, Some(report(100, 0, "a"))));
        assert_eq!(reports.news(&key()), Some(report(100, 0, "a")));
        let told = status(&report(100, 0, "a"));
        assert!(!reports.take(&key(), Some(&told), Some(report(105, 0, "a"))));
        assert_eq!(reports.news(&key()), None, "what it was told stays");
        assert!(reports.take(&key(), Some(&told), Some(report(105, 0, "b"))));
        assert_eq!(reports.news(&key()), Some(report(105, 0, "b")), "all of it is new then");
    }

    #[test]
    fn what_nobody_says_any_more_is_taken_back_after_three_questions() {
        let reports = Reports::default();
        let told = status(&report(100, 0, "a"));
        assert!(!reports.take(&key(), Some(&told), None));
        assert!(!reports.take(&key(), Some(&told), None));
        assert!(
            !reports.take(&key(), Some(&told), Some(report(100, 0, "a"))),
            "one word, and it begins anew"
        );
        for silent in [1, 2] {
            assert!(!reports.take(&key(), Some(&told), None));
            assert_eq!((reports.silent(&key()), reports.news(&key())), (silent, None));
        }
        assert!(reports.take(&key(), Some(&told), None));
        assert_eq!(reports.news(&key()), Some(Report::default()));
        assert!(!reports.take(&key(), Some(&status(&Report::default())), None), "said once");
        assert_eq!(reports.news(&key()), None);
    }

    #[test]
    fn nothing_is_kept_of_what_is_gone() {
        let reports = Reports::default();
        reports.take(&key(), None, Some(report(1, 1, "a")));
        reports.take(&Key::new("funds", "other"), None, None);
        reports.keep(|_| false);
        let state = reports.state();
        assert!(state.news.is_empty() && state.silent.is_empty());
    }
}
