//! Currency amounts: exact decimals, rounded half-even to cents where an amount comes into being.

use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};

/// Cents.
const AMOUNT_DECIMALS: u32 = 2;
/// Unit prices are published with more digits than amounts: a fund has many units.
const UNIT_PRICE_DECIMALS: u32 = 6;

/// A million times the largest face: a holding worth more was mistyped, and sums of smaller ones cannot overflow.
const MAX_AMOUNT: i64 = 1_000_000_000_000_000_000;

fn half_even(value: Decimal, decimals: u32) -> Decimal {
    let mut rounded = value.round_dp_with_strategy(decimals, RoundingStrategy::MidpointNearestEven);
    // One amount has one spelling, whatever it was computed from.
    rounded.rescale(decimals);
    rounded
}

/// `face` times a price per 100, in cents. `None` when it is too large to be meant.
pub(super) fn amount(face: Decimal, per_hundred: f64) -> Option<Decimal> {
    let price = Decimal::from_f64_retain(per_hundred)?;
    let value = face.checked_mul(price)?.checked_div(Decimal::ONE_HUNDRED)?;
    (value.abs() <= Decimal::from(MAX_AMOUNT)).then(|| half_even(value, AMOUNT_DECIMALS))
}

/// An amount given from outside, in cents.
pub(super) fn cents(value: Decimal) -> Decimal {
    half_even(value, AMOUNT_DECIMALS)
}

/// Net assets of one unit. The bounds of a request keep the quotient inside a decimal; 0 for no units at all.
pub(super) fn per_unit(net_assets: Decimal, units: Decimal) -> Decimal {
    half_even(net_assets.checked_div(units).unwrap_or_default(), UNIT_PRICE_DECIMALS)
}

/// The nearest f64, for ratios and analytics; every amount within the bounds of a request has one.
pub(super) fn float(value: Decimal) -> f64 {
    value.to_f64().unwrap_or(f64::NAN)
}

/// Digits in groups of three, for messages that people read.
pub(super) fn grouped(value: Decimal) -> String {
    let text = value.abs().to_string();
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(a, b)| (a, Some(b)));
    let mut out = String::with_capacity(text.len() + text.len() / 3 + 1);
    if value.is_sign_negative() && !value.is_zero() {
        out.push('-');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn amounts_round_half_to_even() {
        assert_eq!(amount(decimal("1"), 0.5), Some(decimal("0.00")));
        assert_eq!(amount(decimal("1"), 1.5), Some(decimal("0.02")));
        assert_eq!(amount(decimal("1000000"), 101.25).unwrap().to_string(), "1012500.00");
        assert_eq!(amount(Decimal::MAX, 200.0), None);
        assert_eq!(amount(Decimal::ONE, f64::NAN), None);
    }

    #[test]
    fn digits_are_grouped_in_threes() {
        assert_eq!(grouped(decimal("1234567.80")), "1,234,567.80");
        assert_eq!(grouped(decimal("-999.00")), "-999.00");
        assert_eq!(grouped(decimal("0.00")), "0.00");
    }
}
