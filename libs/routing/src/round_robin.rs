//! One after the other.

/// Takes the ready endpoints in turn.
///
/// The turn continues after the endpoint that was *picked*, not after a counter. A plain counter that skips
/// the endpoints that are not ready gives each skipped turn to the next ready one, which then takes double.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundRobin {
    next: usize,
}

impl RoundRobin {
    /// The next of `count` endpoints for which `usable` holds, or none where it holds for none.
    ///
    /// `count` may differ from call to call: the turn then goes on at the same index.
    pub fn pick(&mut self, count: usize, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let start = if self.next < count { self.next } else { 0 };
        let picked = (start..count).chain(0..start).find(|index| usable(*index))?;
        self.next = picked + 1;
        Some(picked)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_usable_is_nothing_picked_and_keeps_the_turn() {
        let mut turn = RoundRobin::default();
        assert_eq!(turn.pick(0, |_| true), None);
        assert_eq!(turn.pick(3, |_| true), Some(0));
        assert_eq!(turn.pick(3, |_| false), None);
        assert_eq!(turn.pick(3, |_| true), Some(1));
    }

    #[test]
    fn the_endpoint_after_a_dead_one_does_not_take_double() {
        let mut turn = RoundRobin::default();
        let picks: Vec<_> = (0..6).filter_map(|_| turn.pick(3, |i| i != 1)).collect();
        assert_eq!(picks, [0, 2, 0, 2, 0, 2]);
    }

    #[test]
    fn a_list_that_shrinks_starts_over() {
        let mut turn = RoundRobin::default();
        for _ in 0..4 {
            turn.pick(5, |_| true);
        }
        assert_eq!(turn.pick(2, |_| true), Some(0));
        assert_eq!(turn.pick(2, |_| true), Some(1));
    }

    proptest! {
        #[test]
        fn only_usable_ones_are_picked_and_each_equally_often(
            usable in prop::collection::vec(any::<bool>(), 0..12),
            skip in 0_usize..20,
            rounds in 1_usize..8,
        ) {
            let mut turn = RoundRobin::default();
            for _ in 0..skip {
                turn.pick(usable.len(), |_| true);
            }
            let ready = usable.iter().filter(|u| **u).count();
            let mut counts = vec![0_usize; usable.len()];
            for _ in 0..ready * rounds {
                let picked = turn.pick(usable.len(), |i| usable[i]).unwrap();
                prop_assert!(usable[picked]);
                counts[picked] += 1;
            }
            let expected: Vec<_> = usable.iter().map(|ready| if *ready { rounds } else { 0 }).collect();
            prop_assert_eq!(&counts, &expected);
            if ready == 0 {
                prop_assert_eq!(turn.pick(usable.len(), |i| usable[i]), None);
            }
        }
    }
}
