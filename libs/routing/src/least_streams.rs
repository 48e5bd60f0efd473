//! The emptier of two.

/// Draws two usable endpoints and takes the one with less under way.
///
/// Looking at all and taking the emptiest would send everything that comes before the counts move to the
/// same endpoint, one that just started above all; of two drawn at random, the fullest endpoint is never
/// taken (where loads differ), and the longest queue still grows only with log log n (Mitzenmacher, "The
/// Power of Two Choices in Randomized Load Balancing", 2001).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeastStreams;

impl LeastStreams {
    /// One of `count` endpoints for which `usable` holds, or none where it holds for none.
    ///
    /// `load` says how much is under way at an endpoint; of two with the same, the first drawn is taken,
    /// which is either with the same chance. `draw(n)` is a random number below `n`.
    pub fn pick(
        self,
        count: usize,
        usable: impl Fn(usize) -> bool,
        load: impl Fn(usize) -> usize,
        mut draw: impl FnMut(usize) -> usize,
    ) -> Option<usize> {
        let usable = || (0..count).filter(|index| usable(*index));
        let choices = usable().count();
        if choices < 2 {
            return usable().next();
        }
        let first = draw(choices);
        // Of the others, so that there are always two.
        let second = draw(choices - 1);
        let second = if second >= first { second + 1 } else { second };
        // Walked again rather than kept: a list of them would be an allocation a request.
        let (mut drawn, mut last) = ([None; 2], None);
        for (place, endpoint) in usable().enumerate() {
            for (number, drawn) in [first, second].into_iter().zip(&mut drawn) {
                if place == number {
                    *drawn = Some(endpoint);
                }
            }
            last = Some(endpoint);
        }
        // Where fewer are usable than a moment ago, the last one stands in for a number that is gone.
        let [first, second] = drawn.map(|drawn| drawn.or(last));
        let (first, second) = (first?, second?);
        Some(if load(second) < load(first) { second } else { first })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Draws the numbers given, in turn, each taken modulo what is asked for.
    fn drawn(numbers: &[usize]) -> impl FnMut(usize) -> usize {
        let mut numbers = numbers.iter().copied().cycle();
        move |below| numbers.next().unwrap_or_default() % below
    }

    #[test]
    fn the_emptier_of_two_is_taken_whichever_is_drawn_first() {
        let load = |index: usize| [3, 1][index];
        for numbers in [[0, 0], [1, 0]] {
            assert_eq!(LeastStreams.pick(2, |_| true, load, drawn(&numbers)), Some(1));
        }
    }

    #[test]
    fn a_tie_goes_to_the_one_drawn_first() {
        assert_eq!(LeastStreams.pick(3, |_| true, |_| 7, drawn(&[2, 0])), Some(2));
        assert_eq!(LeastStreams.pick(3, |_| true, |_| 7, drawn(&[0, 0])), Some(0));
    }

    #[test]
    fn with_one_usable_nothing_is_drawn_and_with_none_nothing_is_taken() {
        let never = |_| -> usize { panic!("drew a number") };
        assert_eq!(LeastStreams.pick(3, |index| index == 2, |_| 9, never), Some(2));
        assert_eq!(LeastStreams.pick(3, |_| false, |_| 0, never), None);
        assert_eq!(LeastStreams.pick(0, |_| true, |_| 0, never), None);
    }

    #[test]
    fn an_answer_that_changes_between_two_looks_leaves_no_drawn_number_without_an_endpoint() {
        let looks = std::cell::Cell::new(0);
        let usable = |index: usize| {
            looks.set(looks.get() + 1);
            // The second look finds only the first of four.
            looks.get() <= 4 || index == 0
        };
        assert_eq!(LeastStreams.pick(4, usable, |_| 7, drawn(&[3, 2])), Some(0));
        let looks = std::cell::Cell::new(0);
        let gone = |_| {
            looks.set(looks.get() + 1);
            looks.get() <= 4
        };
        assert_eq!(LeastStreams.pick(4, gone, |_| 7, drawn(&[3, 2])), None);
    }

    proptest! {
        #[test]
        fn only_usable_ones_are_taken_and_never_the_single_fullest(
            endpoints in prop::collection::vec((any::<bool>(), 0_usize..6), 0..9),
            numbers in prop::collection::vec(any::<usize>(), 2..20),
        ) {
            let picked =
                LeastStreams.pick(endpoints.len(), |i| endpoints[i].0, |i| endpoints[i].1, drawn(&numbers));
            let usable: Vec<usize> = endpoints.iter().filter(|e| e.0).map(|e| e.1).collect();
            prop_assert_eq!(picked.is_some(), !usable.is_empty());
            let Some(picked) = picked else { return Ok(()) };
            let (ready, load) = endpoints[picked];
            prop_assert!(ready);
            let fullest = usable.iter().max().copied().unwrap();
            let alone = usable.iter().filter(|l| **l == fullest).count() == 1;
            prop_assert!(usable.len() == 1 || !alone || load < fullest);
        }

        /// Requests that never end, one after the other: the fullest and the emptiest stay close together.
        #[test]
        fn loads_stay_even(endpoints in 2_usize..12, seed in any::<u64>()) {
            let mut loads = vec![0_usize; endpoints];
            // A generator of its own (Knuth's MMIX constants; the high bits are the random ones), so that
            // the picker's randomness is the test's.
            let mut state = seed;
            let mut draw = |below: usize| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                usize::try_from(state >> 33).unwrap() % below
            };
            for _ in 0..endpoints * 50 {
                let picked = LeastStreams.pick(endpoints, |_| true, |i| loads[i], &mut draw).unwrap();
                loads[picked] += 1;
            }
            let spread = loads.iter().max().unwrap() - loads.iter().min().unwrap();
            prop_assert!(spread <= 16, "{:?}", loads);
        }
    }
}
