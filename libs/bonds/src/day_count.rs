//! Day counts: how many days, and what fraction of a year, lie between two dates.

use serde::{Deserialize, Serialize};

use crate::day::{Civil, Day, days_in_month, is_leap_year};

/// How accrued interest and discount times are measured.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DayCount {
    /// Actual days over the actual days of the coupon period (ICMA rule 251).
    #[serde(rename = "ACT/ACT ICMA")]
    ActActIcma,
    /// Actual days, those in leap years over 366 and the others over 365 (2006 ISDA definitions 4.16(b)).
    #[serde(rename = "ACT/ACT ISDA")]
    ActActIsda,
    /// Actual days over 365.
    #[serde(rename = "ACT/365F")]
    Act365Fixed,
    /// Actual days over 360.
    #[serde(rename = "ACT/360")]
    Act360,
    /// 30-day months with the United States rule for the end of February (SIFMA).
    #[serde(rename = "30/360 US")]
    Thirty360Us,
    /// 30-day months, bond basis (2006 ISDA definitions 4.16(f)).
    #[serde(rename = "30/360 BondBasis")]
    Thirty360BondBasis,
    /// 30-day months, Eurobond basis (2006 ISDA definitions 4.16(g)).
    #[serde(rename = "30E/360")]
    ThirtyE360,
}

/// The coupon period a fraction is measured against. Only ICMA looks at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reference<'a> {
    pub(crate) start: Day,
    pub(crate) end: Day,
    /// Coupon and quasi-coupon dates of a bond with an irregular period; empty when every period is regular.
    pub(crate) grid: &'a [Day],
}

impl DayCount {
    /// Days from `from` to `to` as this convention counts them; `from <= to`.
    pub(crate) fn days(self, from: Day, to: Day) -> i32 {
        match self {
            Self::ActActIcma | Self::ActActIsda | Self::Act365Fixed | Self::Act360 => to.since(from),
            Self::Thirty360Us => thirty_360_us(from.civil(), to.civil()),
            Self::Thirty360BondBasis => thirty_360_bond_basis(from.civil(), to.civil()),
            Self::ThirtyE360 => thirty_e_360(from.civil(), to.civil()),
        }
    }

    /// Years from `from` to `to`, negative when `to` is earlier.
    pub(crate) fn years(self, from: Day, to: Day, reference: Reference<'_>) -> f64 {
        match self {
            Self::Act365Fixed => f64::from(to.since(from)) / 365.0,
            Self::Act360 => f64::from(to.since(from)) / 360.0,
            Self::Thirty360Us | Self::Thirty360BondBasis | Self::ThirtyE360 => {
                f64::from(self.days(from, to)) / 360.0
            }
            _ if from == to => 0.0,
            _ if from > to => -self.years(to, from, reference),
            Self::ActActIsda => isda_years(from, to),
            Self::ActActIcma if reference.grid.is_empty() => {
                icma_years(from, to, reference.start, reference.end)
            }
            Self::ActActIcma => icma_years_on_grid(from, to, reference.grid),
        }
    }
}

fn thirty_360(from: Civil, to: Civil, from_day: i32, to_day: i32) -> i32 {
    360 * (to.year - from.year) + 30 * (to.month - from.month) + to_day - from_day
}

fn thirty_360_us(from: Civil, to: Civil) -> i32 {
    let is_end_of_february =
        |date: Civil| date.month == 2 && date.day == days_in_month(date.year, date.month);
    let (mut from_day, mut to_day) = (from.day, to.day);
    if is_end_of_february(from) {
        if is_end_of_february(to) {
            to_day = 30;
        }
        from_day = 30;
    }
    if to_day == 31 && from_day >= 30 {
        to_day = 30;
    }
    thirty_360(from, to, from_day.min(30), to_day)
}

fn thirty_360_bond_basis(from: Civil, to: Civil) -> i32 {
    let from_day = from.day.min(30);
    let to_day = if to.day == 31 && from_day == 30 { 30 } else { to.day };
    thirty_360(from, to, from_day, to_day)
}

fn thirty_e_360(from: Civil, to: Civil) -> i32 {
    thirty_360(from, to, from.day.min(30), to.day.min(30))
}

fn isda_years(from: Day, to: Day) -> f64 {
    let year_length = |year: i32| if is_leap_year(year) { 366.0 } else { 365.0 };
    let (first, last) = (from.civil().year, to.civil().year);
    f64::from(last - first - 1)
        + f64::from(Day::from_civil(first + 1, 1, 1).since(from)) / year_length(first)
        + f64::from(to.since(Day::from_civil(last, 1, 1))) / year_length(last)
}

/// The whole months nearest to a period of `days`: a regular period reveals its frequency by its length.
fn nearest_months(days: i32) -> i32 {
    (24 * days + 365).div_euclid(730)
}

/// Fraction by a notional period `start..end`, repeated backwards and forwards as far as needed.
fn icma_years(from: Day, to: Day, start: Day, end: Day) -> f64 {
    let mut months = nearest_months(end.since(start));
    let (mut start, mut end) = (start, end);
    if months <= 0 {
        // A period of a fortnight or less says nothing about a frequency: measure against the year from `from`.
        (start, end, months) = (from, from.plus_months(12), 12);
    }
    let period = f64::from(months) / 12.0;
    let within = |from: Day, to: Day, start: Day, end: Day| {
        period * f64::from(to.since(from)) / f64::from(end.since(start))
    };

    let mut total = 0.0;
    let (mut low, mut high) = (start, end);
    // The part before the notional period, walking back one notional period at a time.
    while from < low {
        let earlier = low.plus_months(-months);
        let part_end = to.min(low);
        let part_start = from.max(earlier);
        if part_end > part_start {
            total += within(part_start, part_end, earlier, low);
        }
        low = earlier;
    }
    if to > start && from < end {
        total += within(from.max(start), to.min(end), start, end);
    }
    // The part after it; always counted from its end, so that a short month does not shorten all later ones.
    let mut steps = 0;
    while to > high {
        steps += 1;
        let later = end.plus_months(months * steps);
        let part_start = from.max(high);
        let part_end = to.min(later);
        if part_end > part_start {
            total += within(part_start, part_end, high, later);
        }
        high = later;
    }
    total
}

/// Fraction by a list of coupon and quasi-coupon dates; past its ends the outermost period repeats.
fn icma_years_on_grid(from: Day, to: Day, grid: &[Day]) -> f64 {
    let (Some(first), Some(last)) = (grid.first_chunk::<2>(), grid.last_chunk::<2>()) else {
        return icma_years(from, to, from, to);
    };
    let mut total = 0.0;
    if from < first[0] {
        total += icma_years(from, to.min(first[0]), first[0], first[1]);
    }
    let begin = grid.partition_point(|date| *date <= from).saturating_sub(1);
    for pair in grid[begin..].windows(2) {
        let (start, end) = (pair[0], pair[1]);
        if start >= to {
            break;
        }
        let (part_start, part_end) = (from.max(start), to.min(end));
        if part_end > part_start {
            total += grid_cell_years(part_start, part_end, start, end);
        }
    }
    if to > last[1] {
        total += icma_years(from.max(last[1]), to, last[0], last[1]);
    }
    total
}

fn grid_cell_years(from: Day, to: Day, start: Day, end: Day) -> f64 {
    let months = nearest_months(end.since(start));
    let (length, per_year) = if months <= 0 {
        (from.plus_months(12).since(from), 1)
    } else {
        (end.since(start), (24 + months).div_euclid(2 * months))
    };
    f64::from(to.since(from)) / f64::from(length * per_year.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::from(text.parse::<jiff::civil::Date>().unwrap())
    }

    #[test]
    fn thirty_day_months_differ_only_at_month_ends() {
        let check = |from: &str, to: &str, us: i32, bond_basis: i32, eurobond: i32| {
            let days = |count: DayCount| count.days(day(from), day(to));
            assert_eq!(days(DayCount::Thirty360Us), us, "US {from} {to}");
            assert_eq!(days(DayCount::Thirty360BondBasis), bond_basis, "bond basis {from} {to}");
            assert_eq!(days(DayCount::ThirtyE360), eurobond, "30E {from} {to}");
        };
        check("2024-01-15", "2024-07-15", 180, 180, 180);
        check("2023-02-28", "2023-08-31", 180, 183, 182);
        check("2024-02-29", "2025-02-28", 360, 359, 359);
        check("2023-08-31", "2024-02-29", 179, 179, 179);
        check("2024-01-15", "2024-01-31", 16, 16, 15);
        check("2024-01-30", "2024-01-31", 0, 0, 0);
    }

    #[test]
    fn a_year_that_straddles_a_leap_year_is_split_by_isda() {
        let reference = Reference { start: day("2023-07-01"), end: day("2024-07-01"), grid: &[] };
        let years = DayCount::ActActIsda.years(day("2023-07-01"), day("2024-07-01"), reference);
        assert!((years - (184.0 / 365.0 + 182.0 / 366.0)).abs() < 1e-15);
    }

    #[test]
    fn an_icma_fraction_is_additive_over_stubs_and_negative_backwards() {
        let reference = Reference { start: day("2024-02-15"), end: day("2024-08-15"), grid: &[] };
        let years = |from: &str, to: &str| DayCount::ActActIcma.years(day(from), day(to), reference);
        assert!((years("2024-02-15", "2024-08-15") - 0.5).abs() < 1e-15);
        assert!((years("2023-08-15", "2025-02-15") - 1.5).abs() < 1e-15);
        let whole = years("2023-03-01", "2025-05-20");
        let parts = years("2023-03-01", "2024-05-05") + years("2024-05-05", "2025-05-20");
        assert!((whole - parts).abs() < 1e-14);
        assert!((years("2025-05-20", "2023-03-01") + whole).abs() < 1e-15);
    }
}
