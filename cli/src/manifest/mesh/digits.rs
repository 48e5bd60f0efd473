//! Numbers as regular expressions, for proxies that can compare text and nothing else.

/// An expression that matches, whole, every way to write a number from `from` to `to`: with zeros in front as well.
pub(super) fn range(from: u64, to: u64) -> String {
    let (mut next, to) = (u128::from(from), u128::from(to));
    let mut parts = Vec::new();
    while next <= to {
        // As many digits at the end as may be anything, while all before them stay the same.
        let length = next.to_string().len();
        let fits = |free: u32| next % 10_u128.pow(free) == 0 && next + 10_u128.pow(free) - 1 <= to;
        let free = (0..u32::try_from(length).unwrap_or(1)).take_while(|free| fits(*free)).last().unwrap_or(0);
        let block = 10_u128.pow(free);
        let first = next / block % 10;
        let last = (first + (to - next + 1) / block - 1).min(9);
        let before = match next / (block * 10) {
            0 => String::new(),
            before => before.to_string(),
        };
        let digit = if first == last { first.to_string() } else { format!("[{first}-{last}]") };
        let rest = match free {
            0 => String::new(),
            1 => "[0-9]".to_owned(),
            free => format!("[0-9]{{{free}}}"),
        };
        parts.push(format!("{before}{digit}{rest}"));
        next += (last - first + 1) * block;
    }
    format!("0*({})", parts.join("|"))
}

/// An expression that matches, whole, every number whose remainder by `divisor` is `remainder`; none where the last digit
/// does not tell.
pub(super) fn remainder(divisor: u64, remainder: u64) -> Option<String> {
    if divisor == 0 || 10 % divisor != 0 {
        return None;
    }
    let last: String =
        (0..10).filter(|digit| digit % divisor == remainder).map(|digit| digit.to_string()).collect();
    Some(format!("[0-9]*[{last}]"))
}

/// An expression that matches, whole, every number.
pub(super) const ANY: &str = "[0-9]+";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    fn whole(expression: &str) -> Regex {
        Regex::new(&format!("^(?:{expression})$")).unwrap()
    }

    #[test]
    fn a_range_holds_its_numbers_and_no_others() {
        for (from, to) in [(0, 0), (0, 9), (0, 333), (334, 999), (7, 13), (95, 1205), (1000, 1999), (9, 10)] {
            let expression = whole(&range(from, to));
            for number in 0..=2500_u64 {
                let holds = (from..=to).contains(&number);
                assert_eq!(
                    expression.is_match(&number.to_string()),
                    holds,
                    "{number} in {from}..={to}: {expression}"
                );
                assert_eq!(expression.is_match(&format!("00{number}")), holds, "00{number} in {from}..={to}");
            }
            assert!(!expression.is_match("") && !expression.is_match("1x"), "{expression}");
        }
        assert_eq!(range(0, 333), "0*([0-9]|[1-9][0-9]|[1-2][0-9]{2}|3[0-2][0-9]|33[0-3])");
    }

    #[test]
    fn the_greatest_numbers_fit() {
        let all = whole(&range(0, u64::MAX));
        assert!(all.is_match("0") && all.is_match(&u64::MAX.to_string()));
        assert!(!all.is_match("18446744073709551616"));
    }

    #[test]
    fn a_remainder_is_known_by_the_last_digit_or_not_at_all() {
        for divisor in [1, 2, 5, 10] {
            for rest in 0..divisor {
                let expression = whole(&remainder(divisor, rest).unwrap());
                for number in 0..300_u64 {
                    assert_eq!(expression.is_match(&number.to_string()), number % divisor == rest);
                }
            }
        }
        assert_eq!(remainder(3, 0), None);
        assert!(whole(ANY).is_match("007") && !whole(ANY).is_match("u-1"));
    }

    proptest! {
        #[test]
        fn any_range_holds_its_ends_and_not_what_is_beside_them(from in 1_u64.., length in 0_u64..1_000_000_000_000) {
            let to = from.saturating_add(length).min(u64::MAX - 1);
            let expression = whole(&range(from.min(to), to));
            prop_assert!(expression.is_match(&from.min(to).to_string()) && expression.is_match(&to.to_string()));
            prop_assert!(!expression.is_match(&(from.min(to) - 1).to_string()));
            prop_assert!(!expression.is_match(&(to + 1).to_string()));
        }
    }
}
