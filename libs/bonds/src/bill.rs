//! Treasury bills: discount rate, price and investment rate by 31 CFR 356 Appendix B section VI.

use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};

use crate::day::Day;
use crate::instrument::BillTerms;

/// A bill at one settlement: everything its formulas need.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BillClock {
    /// Days from settlement to maturity.
    days: i32,
    /// 365, or 366 when 29 February falls within the year after issue.
    year: f64,
}

/// Price per 100 of a bill with its investment rate and the derivatives of that relation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BillValuation {
    pub(crate) price: f64,
    pub(crate) investment_rate: f64,
    /// `-1/P dP/di`.
    pub(crate) modified_duration: f64,
    /// `1/P d2P/di2`.
    pub(crate) convexity: f64,
}

impl BillClock {
    pub(crate) fn new(terms: &BillTerms, settlement: Day) -> Self {
        Self { days: terms.maturity.since(settlement), year: f64::from(year_after(terms.issue)) }
    }

    /// Years to maturity.
    pub(crate) fn years(self) -> f64 {
        f64::from(self.days) / self.year
    }

    /// `100 (1 - d r / 360)`, rounded to six decimals. Worked in decimals, so that a price that ends on a half is
    /// rounded as it would be on paper. `None` when the rate is no usable number.
    pub(crate) fn price_from_discount(self, rate: f64) -> Option<f64> {
        let rate = Decimal::try_from(rate).ok()?;
        let discount = rate.checked_mul(Decimal::from(self.days))?.checked_mul(Decimal::ONE_HUNDRED)?
            / Decimal::from(360);
        round_price(Decimal::ONE_HUNDRED.checked_sub(discount)?)
    }

    /// The discount rate of a price.
    pub(crate) fn discount_from_price(self, price: f64) -> f64 {
        (1.0 - price / 100.0) * 360.0 / f64::from(self.days)
    }

    /// The investment rate (coupon-equivalent yield) of a price.
    pub(crate) fn rate_from_price(self, price: f64) -> f64 {
        let years = self.years();
        let gain = (100.0 - price) / price;
        if years <= 0.5 {
            return gain / years;
        }
        // P (1 + (t - 1/2) i) (1 + i/2) = 100, solved for i in the form that keeps its digits when i is small.
        let a = years / 2.0 - 0.25;
        let root = (years * years + 4.0 * a * gain).max(0.0).sqrt();
        2.0 * gain / (years + root)
    }

    /// The unrounded price of an investment rate.
    fn exact_price(self, rate: f64) -> f64 {
        let years = self.years();
        if years <= 0.5 {
            100.0 / (1.0 + rate * years)
        } else {
            100.0 / ((1.0 + rate * (years - 0.5)) * (1.0 + rate / 2.0))
        }
    }

    /// The price of an investment rate, rounded to six decimals.
    pub(crate) fn price_from_rate(self, rate: f64) -> Option<f64> {
        let (head, tail) = self.factors(rate);
        if head <= 0.0 || tail <= 0.0 {
            return None;
        }
        round_price(Decimal::try_from(self.exact_price(rate)).ok()?)
    }

    fn factors(self, rate: f64) -> (f64, f64) {
        let years = self.years();
        if years <= 0.5 { (1.0 + rate * years, 1.0) } else { (1.0 + rate * (years - 0.5), 1.0 + rate / 2.0) }
    }

    /// Rate and sensitivities of a price.
    pub(crate) fn value(self, price: f64) -> BillValuation {
        let rate = self.rate_from_price(price);
        let years = self.years();
        let (head, tail) = self.factors(rate);
        let (head_years, tail_years) = if years <= 0.5 { (years, 0.0) } else { (years - 0.5, 0.5) };
        let (head, tail) = (head_years / head, tail_years / tail);
        let modified_duration = head + tail;
        BillValuation {
            price,
            investment_rate: rate,
            modified_duration,
            convexity: modified_duration * modified_duration + head * head + tail * tail,
        }
    }
}

/// A price to six decimals, halves away from zero as the Treasury rounds.
pub(crate) fn round_price(price: Decimal) -> Option<f64> {
    price.round_dp_with_strategy(6, RoundingStrategy::MidpointAwayFromZero).to_f64()
}

/// Days of the year that follows `issue`: 366 when a 29 February falls within it.
fn year_after(issue: Day) -> i32 {
    let civil = issue.civil();
    let leap_day_in = |year: i32| {
        let leap_day = Day::from_civil(year, 2, 29);
        let exists = leap_day.civil().day == 29;
        exists && leap_day > issue && leap_day <= issue.plus_months(12)
    };
    if leap_day_in(civil.year) || leap_day_in(civil.year + 1) { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_year_basis_is_366_only_when_29_february_falls_within_the_year_after_issue() {
        let basis = |year, month, day| year_after(Day::from_civil(year, month, day));
        assert_eq!(basis(2023, 2, 28), 365);
        assert_eq!(basis(2023, 3, 1), 366);
        assert_eq!(basis(2024, 2, 28), 366);
        assert_eq!(basis(2024, 2, 29), 365);
        assert_eq!(basis(2024, 3, 1), 365);
        assert_eq!(basis(2099, 6, 1), 365);
    }

    #[test]
    fn the_two_investment_rate_formulas_meet_at_half_a_year() {
        let short = BillClock { days: 182, year: 364.0 };
        let price = short.price_from_discount(0.05).unwrap();
        let gain = (100.0 - price) / price;
        assert!((short.rate_from_price(price) - 2.0 * gain).abs() < 1e-15);
        let long = BillClock { days: 183, year: 364.0 };
        assert!((long.rate_from_price(price) - short.rate_from_price(price)).abs() < 1e-3);
    }
}
