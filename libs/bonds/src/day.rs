//! Days as plain integers: all schedule and day-count work happens on these, because a calendar object per date is
//! what makes schedule construction slow. Proleptic Gregorian, day 0 is 1970-01-01.

use jiff::civil::Date;

/// Earliest year accepted in any input: older bonds are history, and the holiday rules know nothing about them.
pub const FIRST_YEAR: i16 = 1900;
/// Latest year accepted in any input: past every perpetual-like maturity in use, and well inside `i32` days.
pub const LAST_YEAR: i16 = 2200;

/// Days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(pub(crate) i32);

/// Year, month (1-12) and day of month (1-31).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i32,
    pub(crate) month: i32,
    pub(crate) day: i32,
}

/// Monday is 0, Sunday is 6.
pub(crate) const MONDAY: i32 = 0;
pub(crate) const TUESDAY: i32 = 1;
pub(crate) const THURSDAY: i32 = 3;
pub(crate) const FRIDAY: i32 = 4;
pub(crate) const SATURDAY: i32 = 5;

/// Days of the 400-year cycle after which the Gregorian calendar repeats.
const DAYS_PER_ERA: i32 = 146_097;
/// Days from 0000-03-01, where the year counted from March starts, to 1970-01-01.
const EPOCH_SHIFT: i32 = 719_468;

impl Day {
    /// The day of a civil date; the year is shifted to start in March so that a leap day is its last day.
    pub(crate) fn from_civil(year: i32, month: i32, day: i32) -> Self {
        let shifted = if month <= 2 { year - 1 } else { year };
        let era = shifted.div_euclid(400);
        let year_of_era = shifted - era * 400;
        let month_from_march = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Self(era * DAYS_PER_ERA + day_of_era - EPOCH_SHIFT)
    }

    /// The inverse of [`Day::from_civil`].
    pub(crate) fn civil(self) -> Civil {
        let from_march = self.0 + EPOCH_SHIFT;
        let era = from_march.div_euclid(DAYS_PER_ERA);
        let day_of_era = from_march - era * DAYS_PER_ERA;
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / (DAYS_PER_ERA - 1)) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Civil { year: year_of_era + era * 400 + i32::from(month <= 2), month, day }
    }

    /// Monday is 0.
    pub(crate) fn weekday(self) -> i32 {
        (self.0 + 3).rem_euclid(7)
    }

    /// `days` later (earlier when negative).
    pub(crate) fn plus(self, days: i32) -> Self {
        Self(self.0 + days)
    }

    /// Days from `earlier` to here.
    pub(crate) fn since(self, earlier: Self) -> i32 {
        self.0 - earlier.0
    }

    /// Whether it is the last day of its month.
    pub(crate) fn is_month_end(self) -> bool {
        self.plus(1).civil().day == 1
    }

    /// The last day of its month.
    pub(crate) fn month_end(self) -> Self {
        let civil = self.civil();
        Self::from_civil(civil.year, civil.month, days_in_month(civil.year, civil.month))
    }

    /// The same day of the month `months` away, or that month's last day where it is shorter.
    pub(crate) fn plus_months(self, months: i32) -> Self {
        self.civil().plus_months(months)
    }
}

impl Civil {
    /// The same day of the month `months` away, or that month's last day where it is shorter.
    pub(crate) fn plus_months(self, months: i32) -> Day {
        let index = self.year * 12 + self.month - 1 + months;
        let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
        Day::from_civil(year, month, self.day.min(days_in_month(year, month)))
    }
}

impl From<Date> for Day {
    fn from(date: Date) -> Self {
        Self::from_civil(i32::from(date.year()), i32::from(date.month()), i32::from(date.day()))
    }
}

impl Day {
    /// The civil date; `None` only outside the years -9999 to 9999, which validated input cannot reach.
    pub(crate) fn to_date(self) -> Option<Date> {
        let civil = self.civil();
        Date::new(
            i16::try_from(civil.year).ok()?,
            i8::try_from(civil.month).ok()?,
            i8::try_from(civil.day).ok()?,
        )
        .ok()
    }
}

/// Whether February has 29 days.
pub(crate) fn is_leap_year(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Length of a month, 28 to 31.
pub(crate) fn days_in_month(year: i32, month: i32) -> i32 {
    match month {
        2 if is_leap_year(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_the_accepted_years_converts_there_and_back_and_agrees_with_jiff() {
        let mut date = Date::new(FIRST_YEAR - 1, 1, 1).unwrap();
        let mut day = Day::from(date);
        while date.year() <= LAST_YEAR + 1 {
            assert_eq!(Day::from(date), day);
            assert_eq!(day.to_date(), Some(date));
            assert_eq!(day.weekday(), i32::from(date.weekday().to_monday_zero_offset()));
            assert_eq!(day.is_month_end(), date == date.last_of_month());
            date = date.tomorrow().unwrap();
            day = day.plus(1);
        }
    }

    #[test]
    fn adding_months_stops_at_the_end_of_a_shorter_month() {
        let day = Day::from_civil(2024, 8, 31);
        assert_eq!(day.plus_months(6), Day::from_civil(2025, 2, 28));
        assert_eq!(day.plus_months(-6), Day::from_civil(2024, 2, 29));
        assert_eq!(day.plus_months(-12 * 100), Day::from_civil(1924, 8, 31));
    }
}
