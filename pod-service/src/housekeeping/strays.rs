//! Which registrations of nobody are to be swept: those that two scans found, far enough apart for a living owner to have
//! said something in between.

use std::{collections::BTreeMap, time::Duration};

use fundbond_store::{Nodes, Stray};

use super::plan::Rules;

/// Strays that are remembered. More than that are found again later: whoever writes so many by hand can wait.
const REMEMBERED: usize = 10_000;

/// Who was found when.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    first: BTreeMap<Stray, Duration>,
    life: String,
}

impl Sightings {
    /// A scan found `strays`. Those that are to be swept now, by owner and cluster: two scans found them, at least as far
    /// apart as a node counts as alive after it spoke.
    pub fn seen(
        &mut self,
        rules: &Rules,
        mut strays: Vec<Stray>,
        nodes: &Nodes,
        now: Duration,
    ) -> Vec<Vec<Stray>> {
        // A server that forgot who is alive makes everybody a stray until they say so.
        if self.life != nodes.life {
            self.life.clone_from(&nodes.life);
            self.first.clear();
        }
        strays.sort();
        strays.dedup();
        strays.truncate(REMEMBERED);
        // Who is found no more is known, or gone.
        self.first.retain(|stray, _| strays.binary_search(stray).is_ok());
        let mut due: BTreeMap<(String, String), Vec<Stray>> = BTreeMap::new();
        for stray in strays {
            let first = *self.first.entry(stray.clone()).or_insert(now);
            if nodes.stable >= rules.settle() && now.saturating_sub(first) >= rules.node_timeout {
                due.entry((stray.owner.clone(), stray.cluster.clone())).or_default().push(stray);
            }
        }
        due.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stray(owner: &str, connection: &str) -> Stray {
        Stray { owner: owner.into(), cluster: "k".into(), connection: connection.into() }
    }

    fn nodes(life: &str, stable: Duration) -> Nodes {
        Nodes { life: life.into(), stable, note: None, nodes: Vec::new() }
    }

    const RULES: Rules =
        Rules { node_timeout: Duration::from_secs(30), together: Duration::ZERO, percent: 50 };
    const LONG: Duration = Duration::from_hours(1);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_what_two_scans_found_half_a_minute_apart_is_swept() {
        let mut sightings = Sightings::default();
        let found = || vec![stray("a", "2"), stray("a", "1"), stray("b", "3"), stray("a", "1")];
        assert!(sightings.seen(&RULES, found(), &nodes("x", LONG), at(0)).is_empty());
        assert!(sightings.seen(&RULES, found(), &nodes("x", LONG), at(29)).is_empty());
        assert_eq!(
            sightings.seen(&RULES, found(), &nodes("x", LONG), at(30)),
            [vec![stray("a", "1"), stray("a", "2")], vec![stray("b", "3")]]
        );
    }

    #[test]
    fn what_one_scan_missed_begins_anew() {
        let mut sightings = Sightings::default();
        sightings.seen(&RULES, vec![stray("a", "1")], &nodes("x", LONG), at(0));
        sightings.seen(&RULES, vec![], &nodes("x", LONG), at(60));
        assert!(sightings.seen(&RULES, vec![stray("a", "1")], &nodes("x", LONG), at(120)).is_empty());
        assert_eq!(sightings.seen(&RULES, vec![stray("a", "1")], &nodes("x", LONG), at(180)).len(), 1);
    }

    #[test]
    fn after_a_change_of_the_server_nothing_counts_that_was_found_before() {
        let mut sightings = Sightings::default();
        sightings.seen(&RULES, vec![stray("a", "1")], &nodes("x", LONG), at(0));
        assert!(sightings.seen(&RULES, vec![stray("a", "1")], &nodes("y", at(5)), at(60)).is_empty());
        assert!(sightings.seen(&RULES, vec![stray("a", "1")], &nodes("y", at(59)), at(114)).is_empty());
        assert_eq!(sightings.seen(&RULES, vec![stray("a", "1")], &nodes("y", at(119)), at(174)).len(), 1);
    }

    #[test]
    fn two_scans_under_one_life_of_the_server_must_find_it() {
        let mut sightings = Sightings::default();
        sightings.seen(&RULES, vec![stray("a", "1")], &nodes("x", LONG), at(0));
        // Whoever lives had its minute to say so, but nobody has looked since.
        assert!(sightings.seen(&RULES, vec![stray("a", "1")], &nodes("y", at(61)), at(120)).is_empty());
        assert_eq!(sightings.seen(&RULES, vec![stray("a", "1")], &nodes("y", at(91)), at(150)).len(), 1);
    }
}
