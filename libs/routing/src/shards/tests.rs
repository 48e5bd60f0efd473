use proptest::prelude::*;

use super::*;

fn table(ranges: &[(u64, u64)]) -> ShardTable {
    ShardTable::ranges(ranges.iter().copied()).unwrap()
}

fn check(table: &ShardTable, user: &str, expected: Option<usize>) {
    assert_eq!(table.group_of(user.as_bytes()), expected, "{user:?}");
}

#[test]
fn both_ends_of_a_range_belong_to_it_and_their_neighbours_do_not() {
    let table = table(&[(10, 19), (20, 29), (40, 40)]);
    for (user, expected) in [
        ("9", None),
        ("10", Some(0)),
        ("19", Some(0)),
        ("20", Some(1)),
        ("29", Some(1)),
        ("30", None),
        ("39", None),
        ("40", Some(2)),
        ("41", None),
        ("0", None),
        ("18446744073709551615", None),
    ] {
        check(&table, user, expected);
    }
    assert_eq!(table.gaps().collect::<Vec<_>>(), [(2, 30, 39)]);
}

#[test]
fn digits_are_a_number_however_they_are_written() {
    let table = table(&[(0, 6), (7, 7), (8, u64::MAX)]);
    for (user, expected) in [
        ("7", Some(1)),
        ("007", Some(1)),
        ("0000000000000000000000000000000000000000000000000000000000000007", Some(1)),
        ("000", Some(0)),
        ("18446744073709551615", Some(2)),
        ("18446744073709551616", None),
        ("99999999999999999999999999999999999999999999999999999999999999999", None),
        ("", None),
    ] {
        check(&table, user, expected);
    }
    assert_eq!(table.gaps().next(), None);
}

#[test]
fn the_greatest_range_there_can_be_holds_everything() {
    let table = table(&[(0, u64::MAX)]);
    for user in ["0", "18446744073709551615", "u-1", "-1", "1.5", "+1", "٣"] {
        check(&table, user, Some(0));
    }
    check(&table, "18446744073709551616", None);
}

#[test]
fn in_turn_is_the_remainder_of_the_number_whatever_its_length() {
    let table = ShardTable::modulo(3).unwrap();
    for (user, expected) in [
        ("0", 0),
        ("1", 1),
        ("2", 2),
        ("3", 0),
        ("0004", 1),
        ("18446744073709551615", 0),
        ("18446744073709551616", 1),
        // 10^64 - 1: its digits add up to a multiple of 3.
        ("9999999999999999999999999999999999999999999999999999999999999999", 0),
        ("10000000000000000000000000000000000000000000000000000000000000000", 1),
    ] {
        check(&table, user, Some(expected));
    }
    check(&table, "", None);
    assert_eq!(table.gaps().next(), None);
}

#[test]
fn any_other_id_has_the_place_of_its_hash_and_keeps_it() {
    // XXH64 of "a" is 0xd24ec4f1a98c6e5b, 15154266338359012955: modulo 1000 it is 955, modulo 3 it is 2.
    check(&table(&[(0, 954), (955, 955), (956, 999)]), "a", Some(1));
    check(&ShardTable::modulo(3).unwrap(), "a", Some(2));
    // With gaps the places are counted over those that there are: 955 is the 956th of 1000.
    check(&table(&[(500, 1454), (7000, 7000), (9000, 9043)]), "a", Some(1));
    check(&table(&[(500, 1455), (7000, 7000), (9000, 9042)]), "a", Some(0));
}

#[test]
fn what_is_no_table_is_refused_with_the_group_to_blame() {
    let refused = |ranges: &[(u64, u64)]| ShardTable::ranges(ranges.iter().copied()).unwrap_err();
    for (ranges, error, group) in [
        (&[][..], ShardError::Empty, None),
        (&[(0, 1), (3, 2)], ShardError::Backwards { group: 1 }, Some(1)),
        (&[(5, 9), (0, 4)], ShardError::Unsorted { group: 1 }, Some(1)),
        (&[(5, 9), (0, 5)], ShardError::Unsorted { group: 1 }, Some(1)),
        (&[(0, 5), (5, 9)], ShardError::Overlap { group: 1 }, Some(1)),
        (&[(0, 5), (0, 5)], ShardError::Overlap { group: 1 }, Some(1)),
        (&[(0, 0), (1, u64::MAX), (u64::MAX, u64::MAX)], ShardError::Overlap { group: 2 }, Some(2)),
    ] {
        assert_eq!((refused(ranges), refused(ranges).group()), (error, group), "{ranges:?}");
    }
    assert_eq!(ShardTable::modulo(0), Err(ShardError::Empty));
}

/// Ranges in order, with and without gaps, and where they begin.
fn ranges() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let pieces = prop::collection::vec((0_u64..4, 0_u64..50), 1..20);
    (prop_oneof![Just(0), 0..u64::MAX - 2000], pieces).prop_map(|(start, pieces)| {
        let mut next = start;
        pieces
            .into_iter()
            .map(|(gap, length)| {
                let (from, to) = (next + gap, next + gap + length);
                next = to + 1;
                (from, to)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn a_number_belongs_to_the_range_that_holds_it(ranges in ranges(), number in any::<u64>(), zeros in 0_usize..30) {
        let table = table(&ranges);
        let edges = ranges.iter().flat_map(|(from, to)| [from.saturating_sub(1), *from, *to, to.saturating_add(1)]);
        for number in edges.chain([number]) {
            let expected = ranges.iter().position(|(from, to)| (*from..=*to).contains(&number));
            let user = format!("{}{number}", "0".repeat(zeros));
            prop_assert_eq!(table.group_of(user.as_bytes()), expected, "{}", user);
        }
    }

    #[test]
    fn a_gap_is_what_lies_between_two_ranges(ranges in ranges()) {
        let gaps: Vec<_> = table(&ranges).gaps().collect();
        let expected: Vec<_> = (1..ranges.len())
            .filter(|group| ranges[group - 1].1 + 1 < ranges[*group].0)
            .map(|group| (group, ranges[group - 1].1 + 1, ranges[group].0 - 1))
            .collect();
        prop_assert_eq!(gaps, expected);
    }

    #[test]
    fn any_id_but_an_empty_one_that_is_no_number_is_somewhere(ranges in ranges(), user in "[a-zA-Z0-9._~-]{0,64}[a-zA-Z._~-]") {
        let group = table(&ranges).group_of(user.as_bytes());
        prop_assert!(group.is_some_and(|group| group < ranges.len()));
    }

    #[test]
    fn numbers_in_turn_are_their_remainders(number in any::<u128>(), groups in 1_usize..64) {
        let group = ShardTable::modulo(groups).unwrap().group_of(number.to_string().as_bytes());
        prop_assert_eq!(group, usize::try_from(number % groups as u128).ok());
    }

    /// Half the places, half the ids: places are drawn evenly.
    #[test]
    fn ids_that_are_no_numbers_are_shared_by_the_size_of_the_ranges(first in 100_u64..900, seed in any::<u32>()) {
        let table = table(&[(0, first - 1), (first, 999)]);
        let users = 20_000_u32;
        let in_first = (0..users).filter(|user| table.group_of(format!("u-{seed}-{user}").as_bytes()) == Some(0)).count();
        let expected = f64::from(users) * first as f64 / 1000.0;
        // Six standard deviations of as many throws of a coin that falls as unevenly.
        let allowed = 6.0 * (expected * (1.0 - first as f64 / 1000.0)).sqrt();
        prop_assert!((in_first as f64 - expected).abs() <= allowed, "{} instead of {}", in_first, expected);
    }
}
