//! Coupon dates of a bond: counted from one end, stubs where the other end does not fit, then adjusted.

use crate::calendar::{Calendar, Convention};
use crate::day::{Civil, Day};
use crate::instrument::{ScheduleRule, ScheduleTerms};

/// Enough for a century and a half of monthly coupons; bounds the work one line of input can cause.
pub(crate) const MAX_PERIODS: usize = 2000;

/// Why there is no schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScheduleError {
    #[error("leads to more than {MAX_PERIODS} coupon periods; shorten the life or lower the frequency")]
    TooManyPeriods,
    #[error(
        "leaves no coupon period once dates are adjusted; move maturityDate or use the convention unadjusted"
    )]
    NoPeriod,
}

/// Accrual dates, first to last, and which periods between them are regular. Reused from bond to bond.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    dates: Vec<Day>,
    regular: Vec<bool>,
    /// Coupon and quasi-coupon dates; filled only for a schedule with an irregular period.
    grid: Vec<Day>,
}

impl Schedule {
    pub(crate) fn dates(&self) -> &[Day] {
        &self.dates
    }

    /// One entry a period.
    pub(crate) fn regular(&self) -> &[bool] {
        &self.regular
    }

    pub(crate) fn periods(&self) -> usize {
        self.regular.len()
    }

    /// Empty when every period is regular.
    pub(crate) fn grid(&self) -> &[Day] {
        &self.grid
    }

    /// Fills the schedule for `terms`; on an error its content is meaningless.
    pub(crate) fn build(&mut self, terms: &ScheduleTerms) -> Result<(), ScheduleError> {
        self.dates.clear();
        self.regular.clear();
        self.grid.clear();
        let seed = match terms.rule {
            ScheduleRule::Backward => self.count_backward(terms)?,
            ScheduleRule::Forward => self.count_forward(terms)?,
        };
        self.adjust(terms, seed);
        self.drop_collapsed_ends();
        self.drop_empty_periods();
        if self.dates.len() < 2 {
            return Err(ScheduleError::NoPeriod);
        }
        if self.regular.iter().any(|regular| !regular) {
            self.fill_grid(terms);
        }
        Ok(())
    }

    fn push(&mut self, date: Day, regular: bool) -> Result<(), ScheduleError> {
        if self.regular.len() >= MAX_PERIODS {
            return Err(ScheduleError::TooManyPeriods);
        }
        self.dates.push(date);
        self.regular.push(regular);
        Ok(())
    }

    /// Whether `date` is another day than the last one collected, once both are adjusted.
    fn is_new(&self, date: Day, terms: &ScheduleTerms) -> bool {
        let adjust = |date: Day| terms.calendar.adjust(date, terms.convention);
        self.dates.last().is_none_or(|last| adjust(*last) != adjust(date))
    }

    /// Collects dates from the maturity down, then turns them round. Returns the date they were counted from.
    fn count_backward(&mut self, terms: &ScheduleTerms) -> Result<Day, ScheduleError> {
        let first = terms.first_coupon;
        let mut seed = terms.maturity;
        self.dates.push(seed);
        if let Some(penultimate) = terms.penultimate_coupon.filter(|date| *date != terms.maturity) {
            let counted = Stepper::new(seed, terms).date(-1);
            self.push(penultimate, counted == penultimate)?;
            seed = penultimate;
        }
        let stop = first.unwrap_or(terms.dated);
        let stepper = Stepper::new(seed, terms);
        for step in 1.. {
            let date = stepper.date(-step);
            if date < stop {
                break;
            }
            if self.is_new(date, terms) {
                self.push(date, true)?;
            }
        }
        for end in first.into_iter().chain([terms.dated]) {
            if self.is_new(end, terms) {
                // A month end may be a whole period away from a date that was clamped to its own month's end.
                let whole = self.dates.last().is_some_and(|last| Stepper::new(*last, terms).date(-1) == end);
                self.push(end, whole)?;
            }
        }
        self.dates.reverse();
        self.regular.reverse();
        Ok(seed)
    }

    /// Collects dates from the dated date up. Returns the date they were counted from.
    fn count_forward(&mut self, terms: &ScheduleTerms) -> Result<Day, ScheduleError> {
        let penultimate = terms.penultimate_coupon.filter(|date| *date != terms.maturity);
        let mut seed = terms.dated;
        self.dates.push(seed);
        if let Some(first) = terms.first_coupon {
            let counted = Stepper::new(seed, terms).date(1);
            self.push(first, counted == first)?;
            seed = first;
        }
        let stop = penultimate.unwrap_or(terms.maturity);
        let stepper = Stepper::new(seed, terms);
        for step in 1.. {
            let date = stepper.date(step);
            if date > stop {
                break;
            }
            if self.is_new(date, terms) {
                self.push(date, true)?;
            }
        }
        if let Some(penultimate) = penultimate.filter(|date| self.is_new(*date, terms)) {
            self.push(penultimate, false)?;
        }
        if self.is_new(terms.maturity, terms) {
            self.push(terms.maturity, false)?;
        }
        Ok(seed)
    }

    fn adjust(&mut self, terms: &ScheduleTerms, seed: Day) {
        let (calendar, convention) = (terms.calendar, terms.convention);
        if convention == Convention::Unadjusted && !terms.end_of_month {
            return;
        }
        let last = self.dates.len() - 1;
        self.dates[0] = calendar.adjust(self.dates[0], convention);
        self.dates[last] = calendar.adjust(self.dates[last], convention);
        let inner = self.dates.get_mut(1..last).unwrap_or_default();
        if terms.end_of_month && calendar.is_month_end(seed) {
            for date in inner {
                *date = calendar.adjust(date.month_end(), convention);
            }
        } else if calendar != Calendar::None {
            for date in inner {
                *date = calendar.adjust(*date, convention);
            }
        }
    }

    /// Adjustment can push the dates next to an end onto or past it: such a period vanishes.
    fn drop_collapsed_ends(&mut self) {
        let count = self.dates.len();
        if count >= 2 && self.dates[count - 2] >= self.dates[count - 1] {
            if count >= 3 {
                self.regular[count - 3] = self.dates[count - 2] == self.dates[count - 1];
            }
            self.dates.remove(count - 2);
            self.regular.pop();
        }
        if self.dates.len() >= 2 && self.dates[1] <= self.dates[0] {
            if self.regular.len() >= 2 {
                self.regular[1] = self.dates[1] == self.dates[0];
            }
            self.dates.remove(1);
            self.regular.remove(0);
        }
    }

    /// Two dates given a day or two apart can meet at a month end: a period needs at least a day.
    fn drop_empty_periods(&mut self) {
        let mut index = 0;
        while index + 1 < self.dates.len() {
            if self.dates[index + 1] <= self.dates[index] {
                self.dates.remove(index + 1);
                self.regular.remove(index);
            } else {
                index += 1;
            }
        }
    }

    /// The accrual dates with quasi-coupon dates in place of odd ends: each quasi date is one period from the next.
    fn fill_grid(&mut self, terms: &ScheduleTerms) {
        let months = months_per_period(terms.frequency);
        let step = |date: Day, months: i32| {
            terms.calendar.plus_months(date, months, terms.convention, terms.end_of_month)
        };
        let (first, last) = (self.dates[0], self.dates[self.dates.len() - 1]);
        let odd_first = self.regular.first() == Some(&false);
        let odd_last = self.regular.last() == Some(&false);
        if odd_first {
            let mut quasi = self.dates[1];
            while quasi > first {
                quasi = step(quasi, -months);
                self.grid.push(quasi);
            }
            self.grid.reverse();
        } else {
            self.grid.push(first);
        }
        let inner = 1..self.dates.len() - 1;
        self.grid.extend_from_slice(&self.dates[inner]);
        if odd_last && self.dates.len() > 2 {
            let mut quasi = self.dates[self.dates.len() - 2];
            while quasi < last {
                quasi = step(quasi, months);
                self.grid.push(quasi);
            }
        } else {
            self.grid.push(last);
        }
    }
}

/// Months from one coupon to the next.
pub(crate) fn months_per_period(frequency: u32) -> i32 {
    match frequency {
        1 => 12,
        2 => 6,
        4 => 3,
        _ => 1,
    }
}

/// Unadjusted dates a whole number of periods from a seed, each counted from the seed so that short months do not
/// drag later dates along.
struct Stepper {
    seed: Civil,
    months: i32,
}

impl Stepper {
    fn new(seed: Day, terms: &ScheduleTerms) -> Self {
        let mut civil = seed.civil();
        if terms.end_of_month && seed.is_month_end() {
            // Each step shortens it to its month's length.
            civil.day = 31;
        }
        Self { seed: civil, months: months_per_period(terms.frequency) }
    }

    fn date(&self, periods: i32) -> Day {
        self.seed.plus_months(self.months * periods)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::from(text.parse::<jiff::civil::Date>().unwrap())
    }

    fn terms(dated: &str, maturity: &str, frequency: u32) -> ScheduleTerms {
        ScheduleTerms {
            dated: day(dated),
            first_coupon: None,
            penultimate_coupon: None,
            maturity: day(maturity),
            frequency,
            rule: ScheduleRule::Backward,
            end_of_month: false,
            calendar: Calendar::None,
            convention: Convention::Unadjusted,
        }
    }

    /// Dates separated by `-` for a regular and `~` for an irregular period.
    #[track_caller]
    fn check(terms: &ScheduleTerms, expected: &str) {
        let mut schedule = Schedule::default();
        schedule.build(terms).unwrap();
        let mut text = schedule.dates[0].to_date().unwrap().to_string();
        for (date, regular) in schedule.dates[1..].iter().zip(&schedule.regular) {
            text.push_str(if *regular { " - " } else { " ~ " });
            text.push_str(&date.to_date().unwrap().to_string());
        }
        assert_eq!(text, expected);
    }

    #[test]
    fn an_odd_end_is_where_the_count_does_not_start() {
        let mut terms = terms("2024-01-10", "2025-02-15", 2);
        check(&terms, "2024-01-10 ~ 2024-02-15 - 2024-08-15 - 2025-02-15");
        terms.rule = ScheduleRule::Forward;
        check(&terms, "2024-01-10 - 2024-07-10 - 2025-01-10 ~ 2025-02-15");
        terms.first_coupon = Some(day("2024-02-15"));
        check(&terms, "2024-01-10 ~ 2024-02-15 - 2024-08-15 - 2025-02-15");
    }

    #[test]
    fn given_coupon_dates_make_long_stubs() {
        let mut long = terms("2023-11-01", "2026-05-20", 2);
        long.first_coupon = Some(day("2024-08-15"));
        long.penultimate_coupon = Some(day("2025-08-15"));
        check(&long, "2023-11-01 ~ 2024-08-15 - 2025-02-15 - 2025-08-15 ~ 2026-05-20");
        let mut schedule = Schedule::default();
        schedule.build(&long).unwrap();
        let grid: Vec<_> = schedule.grid().iter().map(|date| date.to_date().unwrap().to_string()).collect();
        assert_eq!(
            grid,
            [
                "2023-08-15",
                "2024-02-15",
                "2024-08-15",
                "2025-02-15",
                "2025-08-15",
                "2026-02-15",
                "2026-08-15"
            ]
        );
    }

    #[test]
    fn month_ends_are_kept_only_when_asked_and_only_from_a_month_end() {
        let mut terms = terms("2023-08-31", "2024-08-31", 4);
        terms.end_of_month = true;
        check(&terms, "2023-08-31 - 2023-11-30 - 2024-02-29 - 2024-05-31 - 2024-08-31");
        terms.maturity = day("2024-08-30");
        check(&terms, "2023-08-31 - 2023-11-30 - 2024-02-29 - 2024-05-30 - 2024-08-30");
        terms.end_of_month = false;
        check(&terms, "2023-08-31 ~ 2023-11-30 - 2024-02-29 - 2024-05-30 - 2024-08-30");
    }

    #[test]
    fn adjusted_accrual_dates_move_with_both_ends() {
        let mut terms = terms("2023-12-30", "2024-06-30", 4);
        terms.calendar = Calendar::Target;
        terms.convention = Convention::Following;
        check(&terms, "2024-01-02 - 2024-04-02 - 2024-07-01");
        terms.convention = Convention::ModifiedFollowing;
        check(&terms, "2023-12-29 - 2024-03-28 - 2024-06-28");
    }

    #[test]
    fn a_life_inside_one_holiday_run_has_no_period() {
        let mut terms = terms("2024-03-29", "2024-04-01", 12);
        terms.calendar = Calendar::Target;
        terms.convention = Convention::Following;
        assert_eq!(Schedule::default().build(&terms), Err(ScheduleError::NoPeriod));
    }
}
