use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn key(number: usize) -> KeyHash {
    KeyHash::of(format!("user-{number}").as_bytes())
}

fn names(count: usize, seed: u32) -> Vec<String> {
    (0..count).map(|number| format!("pod-{seed:x}-{number}-9090")).collect()
}

fn between(names: &[String]) -> Rendezvous {
    Rendezvous::new(names.iter().map(String::as_str))
}

/// Where each of `keys` keys goes, by name.
fn places(names: &[String], keys: usize) -> Vec<&str> {
    let rendezvous = between(names);
    (0..keys).map(|number| &*names[rendezvous.pick(key(number), |_| true).unwrap()]).collect()
}

#[test]
fn what_it_answers_never_changes() {
    let rendezvous = Rendezvous::new(["pod-a-9090", "pod-b-9090", "pod-c-9090"]);
    let weights =
        |key: &[u8]| [0, 1, 2].map(|endpoint| rendezvous.weight(KeyHash::of(key), endpoint).unwrap());
    // From the reference implementation, by the rule in the documentation.
    assert_eq!(weights(b"u-1"), GOLDEN[0]);
    assert_eq!(weights(b"42"), GOLDEN[1]);
    assert_eq!(weights(&[10, 0, 0, 7]), GOLDEN[2]);
    assert_eq!(rendezvous.weight(KeyHash::of(b"u-1"), 3), None);
}

/// For each key, the weight of each name.
const GOLDEN: [[u64; 3]; 3] = [
    [0x0d80_b3b9_ab0c_1a0a, 0xbacf_2465_b683_49e5, 0xd9d7_15f4_88c1_f559],
    [0xcee5_331e_61af_b46f, 0x3ca5_cdb2_e69e_8e8c, 0xc90e_035f_8861_ab35],
    [0x9a11_5243_cf9b_1215, 0x8f18_e7df_ef32_a4c0, 0xfb65_3105_62b7_ae6b],
];

#[test]
fn the_order_of_the_list_and_where_it_is_asked_change_nothing() {
    let (mut names, keys) = (names(7, 1), 500);
    let owned = names.clone();
    let before = places(&owned, keys);
    names.reverse();
    assert_eq!(places(&names, keys), before);
}

#[test]
fn the_ranking_begins_with_the_pick_and_goes_on_with_the_next_picks() {
    let rendezvous = between(&names(5, 7));
    for number in 0..50 {
        let mut gone = Vec::new();
        while let Some(next) = rendezvous.pick(key(number), |endpoint| !gone.contains(&endpoint)) {
            gone.push(next);
        }
        assert_eq!(rendezvous.ranking(key(number)), gone);
    }
}

#[test]
fn with_nobody_usable_nobody_is_picked() {
    let rendezvous = between(&names(3, 1));
    assert_eq!(rendezvous.pick(key(1), |_| false), None);
    assert_eq!(rendezvous.pick_bounded(key(1), LoadBound::default(), |_| false, |_| 0), None);
    assert_eq!(between(&[]).pick(key(1), |_| true), None);
}

#[test]
fn whoever_is_full_is_passed_over_for_the_next_by_weight() {
    let rendezvous = between(&names(4, 3));
    let ranking = rendezvous.ranking(key(1));
    let mut loads = [0_usize; 4];
    let mut taken = Vec::new();
    for _ in 0..6 {
        let picked = rendezvous
            .pick_bounded(key(1), LoadBound::default(), |_| true, |endpoint| loads[endpoint])
            .unwrap();
        loads[picked.endpoint] += 1;
        taken.push((
            ranking.iter().position(|endpoint| *endpoint == picked.endpoint).unwrap(),
            picked.spilled,
        ));
    }
    // Shares of 1.25 / 4 of 1 to 6 requests, rounded up: 1, 1, 1, 2, 2, 2.
    assert_eq!(taken, [(0, false), (1, true), (2, true), (0, false), (1, true), (2, true)]);
}

#[test]
fn what_runs_at_endpoints_that_are_not_usable_counts_for_nothing() {
    let rendezvous = between(&names(3, 3));
    let ranking = rendezvous.ranking(key(1));
    // The third is gone with a thousand streams: of the other two, one has the one request there is.
    let load =
        |endpoint: usize| if endpoint == ranking[2] { 1000 } else { usize::from(endpoint == ranking[0]) };
    let picked =
        rendezvous.pick_bounded(key(1), LoadBound::default(), |endpoint| endpoint != ranking[2], load);
    // 1.25 * 2 / 2, rounded up, are 2: there is room for it where the first is.
    assert_eq!(picked, Some(Bounded { endpoint: ranking[0], spilled: false }));
    let load =
        |endpoint: usize| if endpoint == ranking[2] { 1000 } else { 2 * usize::from(endpoint == ranking[0]) };
    let picked =
        rendezvous.pick_bounded(key(1), LoadBound::default(), |endpoint| endpoint != ranking[2], load);
    assert_eq!(picked, Some(Bounded { endpoint: ranking[1], spilled: true }));
    // Whoever is away is not passed over for being full.
    let picked =
        rendezvous.pick_bounded(key(1), LoadBound::default(), |endpoint| endpoint != ranking[0], |_| 0);
    assert_eq!(picked, Some(Bounded { endpoint: ranking[1], spilled: false }));
}

#[test]
fn loads_that_change_between_two_looks_leave_nobody_without_an_endpoint() {
    let rendezvous = between(&names(3, 3));
    let looks = std::cell::Cell::new(0);
    let load = |_: usize| {
        looks.set(looks.get() + 1);
        if looks.get() <= 3 { 0 } else { 1000 }
    };
    let picked = rendezvous.pick_bounded(key(1), LoadBound::default(), |_| true, load);
    assert_eq!(picked, Some(Bounded { endpoint: rendezvous.ranking(key(1))[0], spilled: false }));
}

const KEYS: usize = 4_000;

proptest! {
    // Each case hashes every key for every endpoint.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn keys_are_shared_evenly(count in 2_usize..40, seed in any::<u32>()) {
        let names = names(count, seed);
        let mut shares: HashMap<&str, usize> = names.iter().map(|name| (&**name, 0)).collect();
        for place in places(&names, KEYS) {
            *shares.get_mut(place).unwrap() += 1;
        }
        let expected = KEYS as f64 / count as f64;
        // Six standard deviations of as many throws of a die with so many sides.
        let allowed = 6.0 * (expected * (1.0 - 1.0 / count as f64)).sqrt();
        for (name, share) in shares {
            prop_assert!((share as f64 - expected).abs() <= allowed, "{} has {} instead of {}", name, share, expected);
        }
    }

    #[test]
    fn one_endpoint_of_n_moves_at_most_its_share_of_keys_and_only_its_own(
        count in 2_usize..40,
        seed in any::<u32>(),
        leaves in any::<prop::sample::Index>(),
    ) {
        let all = names(count, seed);
        let mut fewer = all.clone();
        let gone = fewer.remove(leaves.index(count));
        let (with, without) = (places(&all, KEYS), places(&fewer, KEYS));
        let mut moved = 0;
        for (before, after) in with.iter().zip(&without) {
            // Read backwards: a key that moves when the endpoint joins moves to it.
            prop_assert_eq!(*before == gone, before != after);
            moved += usize::from(before != after);
        }
        prop_assert!(moved as f64 <= KEYS as f64 * (1.0 / count as f64 + 0.05), "{} of {}", moved, KEYS);
    }

    /// One that is not usable for a while is one that leaves and comes back.
    #[test]
    fn not_usable_is_as_good_as_gone(count in 2_usize..12, seed in any::<u32>(), away in any::<prop::sample::Index>()) {
        let all = names(count, seed);
        let mut fewer = all.clone();
        let away = away.index(count);
        fewer.remove(away);
        let (rendezvous, without) = (between(&all), between(&fewer));
        for number in 0..200 {
            let picked = rendezvous.pick(key(number), |endpoint| endpoint != away).unwrap();
            prop_assert_eq!(&all[picked], &fewer[without.pick(key(number), |_| true).unwrap()]);
        }
    }

    /// Requests begin and end in any order, with keys of which some are asked for all the time.
    #[test]
    fn nobody_is_given_more_than_the_bound(
        count in 1_usize..20,
        thousandths in prop_oneof![Just(1250_u32), 1050_u32..3000],
        steps in prop::collection::vec((any::<bool>(), 0_usize..50, any::<prop::sample::Index>()), 1..600),
        usable in prop::collection::vec(any::<bool>(), 20),
    ) {
        let rendezvous = between(&names(count, 5));
        let bound = LoadBound::new(f64::from(thousandths) / 1000.0).unwrap();
        let usable = |endpoint: usize| usable[endpoint];
        let ready = (0..count).filter(|endpoint| usable(*endpoint)).count();
        let mut loads = vec![0_usize; count];
        let mut under_way: Vec<usize> = Vec::new();
        for (ends, user, which) in steps {
            if ends && !under_way.is_empty() {
                let endpoint = under_way.swap_remove(which.index(under_way.len()));
                loads[endpoint] -= 1;
                continue;
            }
            // Squared, so that low numbers come more often.
            let key = key(user * user / 50);
            let picked = rendezvous.pick_bounded(key, bound, usable, |endpoint| loads[endpoint]);
            let Some(Bounded { endpoint: picked, spilled }) = picked else {
                prop_assert_eq!(ready, 0);
                continue;
            };
            prop_assert_eq!(spilled, rendezvous.pick(key, usable) != Some(picked));
            prop_assert!(usable(picked));
            loads[picked] += 1;
            under_way.push(picked);
            let total: usize = loads.iter().sum();
            // The rule in its own words, apart from the code.
            let most = (bound.get() * total as f64 / ready as f64 - 1e-9).ceil();
            prop_assert!(loads[picked] as f64 <= most, "{} of {} at one of {}", loads[picked], total, ready);
            // Everybody in front of it in the ranking is full or away.
            let full = |endpoint: &usize| loads[*endpoint] as f64 >= most;
            let passed = rendezvous.ranking(key).into_iter().take_while(|endpoint| *endpoint != picked);
            for endpoint in passed {
                prop_assert!(!usable(endpoint) || full(&endpoint), "{} had room", endpoint);
            }
        }
    }
}
