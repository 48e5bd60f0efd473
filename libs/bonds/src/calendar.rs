//! Business-day calendars as rules, valid for every year the crate accepts, and the business-day conventions.
//!
//! A rule set is a market's published holidays expressed by weekday and date; one-off closings are listed by year.

use serde::{Deserialize, Serialize};

use crate::day::{Civil, Day, FRIDAY, MONDAY, SATURDAY, THURSDAY, TUESDAY};

/// Which days are holidays.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Calendar {
    /// Every day is a business day.
    #[default]
    #[serde(rename = "none")]
    None,
    /// Saturdays and Sundays.
    #[serde(rename = "weekend")]
    Weekend,
    /// United States government bond market (SIFMA).
    #[serde(rename = "us_gov")]
    UsGov,
    /// England and Wales bank holidays.
    #[serde(rename = "uk")]
    Uk,
    /// Euro payment system T2 (TARGET).
    #[serde(rename = "target")]
    Target,
    /// Australian settlement days (New South Wales).
    #[serde(rename = "au")]
    Au,
}

/// What happens to a date that is a holiday.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Convention {
    /// Stays.
    #[default]
    Unadjusted,
    /// Moves to the next business day.
    Following,
    /// Moves to the next business day, unless that is in another month: then to the previous one.
    ModifiedFollowing,
    /// Moves to the previous business day.
    Preceding,
}

impl Calendar {
    pub(crate) fn is_business_day(self, day: Day) -> bool {
        if self == Self::None {
            return true;
        }
        let weekday = day.weekday();
        if weekday >= SATURDAY {
            return false;
        }
        let civil = day.civil();
        match self {
            Self::None | Self::Weekend => true,
            Self::UsGov => !is_us_government_holiday(day, civil, weekday),
            Self::Uk => !is_uk_holiday(day, civil, weekday),
            Self::Target => !is_target_holiday(day, civil),
            Self::Au => !is_australian_holiday(day, civil, weekday),
        }
    }

    pub(crate) fn adjust(self, day: Day, convention: Convention) -> Day {
        if self == Self::None {
            return day;
        }
        match convention {
            Convention::Unadjusted => day,
            Convention::Following => self.walk(day, 1),
            Convention::Preceding => self.walk(day, -1),
            Convention::ModifiedFollowing => {
                let next = self.walk(day, 1);
                if next.civil().month == day.civil().month { next } else { self.walk(day, -1) }
            }
        }
    }

    /// The first business day from `day` on, in steps of `direction`.
    fn walk(self, mut day: Day, direction: i32) -> Day {
        while !self.is_business_day(day) {
            day = day.plus(direction);
        }
        day
    }

    /// `count` business days before `day`.
    pub(crate) fn business_days_before(self, day: Day, count: u32) -> Day {
        let mut result = day;
        for _ in 0..count {
            result = self.walk(result.plus(-1), -1);
        }
        result
    }

    /// The last business day of the month.
    pub(crate) fn month_end(self, day: Day) -> Day {
        self.adjust(day.month_end(), Convention::Preceding)
    }

    /// Whether no business day of the month follows.
    pub(crate) fn is_month_end(self, day: Day) -> bool {
        day >= self.month_end(day)
    }

    /// `months` away, keeping month ends when `end_of_month` says so, then adjusted.
    pub(crate) fn plus_months(
        self,
        day: Day,
        months: i32,
        convention: Convention,
        end_of_month: bool,
    ) -> Day {
        let moved = day.plus_months(months);
        if convention == Convention::Unadjusted {
            if end_of_month && day.is_month_end() { moved.month_end() } else { moved }
        } else if end_of_month && self.is_month_end(day) {
            self.month_end(moved)
        } else {
            self.adjust(moved, convention)
        }
    }
}

/// Easter Monday by the Gregorian computus (Meeus, Jones, Butcher).
fn easter_monday(year: i32) -> Day {
    let golden = year % 19;
    let (century, in_century) = (year / 100, year % 100);
    let correction = (century - (century + 8) / 25 + 1) / 3;
    let epact = (19 * golden + century - century / 4 - correction + 15) % 30;
    let weekday = (32 + 2 * (century % 4) + 2 * (in_century / 4) - epact - in_century % 4) % 7;
    let late = (golden + 11 * epact + 22 * weekday) / 451;
    let index = epact + weekday - 7 * late + 114;
    Day::from_civil(year, index / 31, index % 31 + 1).plus(1)
}

/// Good Friday is three days before Easter Monday.
fn is_good_friday(day: Day, civil: Civil) -> bool {
    matches!(civil.month, 3 | 4) && day.weekday() == FRIDAY && day.plus(3) == easter_monday(civil.year)
}

fn is_easter_monday(day: Day, civil: Civil) -> bool {
    matches!(civil.month, 3 | 4) && day.weekday() == MONDAY && day == easter_monday(civil.year)
}

/// The holiday itself, or the Monday after when it falls on a Sunday, or the Friday before when on a Saturday.
fn observed(civil: Civil, weekday: i32, month: i32, day: i32) -> bool {
    civil.month == month
        && (civil.day == day
            || (civil.day == day + 1 && weekday == MONDAY)
            || (civil.day == day - 1 && weekday == FRIDAY))
}

/// The holiday itself, or the Monday after when it falls on a Sunday.
fn observed_monday(civil: Civil, weekday: i32, month: i32, day: i32) -> bool {
    civil.month == month && (civil.day == day || (civil.day == day + 1 && weekday == MONDAY))
}

/// `weekday` of the month whose day of month lies in the seven days from `first` on.
fn nth_weekday(civil: Civil, weekday: i32, month: i32, wanted: i32, first: i32) -> bool {
    civil.month == month && weekday == wanted && (first..first + 7).contains(&civil.day)
}

fn is_us_government_holiday(day: Day, civil: Civil, weekday: i32) -> bool {
    let year = civil.year;
    let presidents = if year >= 1971 {
        nth_weekday(civil, weekday, 2, MONDAY, 15)
    } else {
        observed(civil, weekday, 2, 22)
    };
    let memorial = if year >= 1971 {
        nth_weekday(civil, weekday, 5, MONDAY, 25)
    } else {
        observed(civil, weekday, 5, 30)
    };
    let veterans = if (1971..=1977).contains(&year) {
        nth_weekday(civil, weekday, 10, MONDAY, 22)
    } else {
        observed_monday(civil, weekday, 11, 11)
    };
    // Since 1996 the market opens for half a day on a Good Friday that is also payroll Friday (April's first).
    let payroll_friday = year >= 1996 && civil.month == 4 && civil.day <= 7;

    observed_monday(civil, weekday, 1, 1)
        || (year >= 1983 && nth_weekday(civil, weekday, 1, MONDAY, 15))
        || presidents
        || (!payroll_friday && is_good_friday(day, civil))
        || memorial
        || (year >= 2022 && observed(civil, weekday, 6, 19))
        || observed(civil, weekday, 7, 4)
        || nth_weekday(civil, weekday, 9, MONDAY, 1)
        || (year >= 1971 && nth_weekday(civil, weekday, 10, MONDAY, 8))
        || veterans
        || nth_weekday(civil, weekday, 11, THURSDAY, 22)
        || observed(civil, weekday, 12, 25)
        // State funerals of Presidents Reagan and Bush; Hurricane Sandy.
        || matches!((year, civil.month, civil.day), (2004, 6, 11) | (2012, 10, 30) | (2018, 12, 5))
}

/// 25 and 26 December, with Monday and Tuesday in lieu when they fall on a weekend.
fn is_christmas_with_substitutes(civil: Civil, weekday: i32) -> bool {
    civil.month == 12
        && (matches!(civil.day, 25 | 26)
            || (matches!(civil.day, 27 | 28) && (weekday == MONDAY || weekday == TUESDAY)))
}

/// 1 January, or the Monday after a weekend one.
fn is_new_year_with_substitute(civil: Civil, weekday: i32) -> bool {
    civil.month == 1 && (civil.day == 1 || (matches!(civil.day, 2 | 3) && weekday == MONDAY))
}

fn is_uk_holiday(day: Day, civil: Civil, weekday: i32) -> bool {
    let year = civil.year;
    // Moved to 8 May for the 50th and 75th anniversaries of VE day.
    let early_may = if matches!(year, 1995 | 2020) {
        civil.month == 5 && civil.day == 8
    } else {
        nth_weekday(civil, weekday, 5, MONDAY, 1)
    };
    // Moved into June for three royal jubilees.
    let spring = !matches!(year, 2002 | 2012 | 2022) && nth_weekday(civil, weekday, 5, MONDAY, 25);

    is_new_year_with_substitute(civil, weekday)
        || is_good_friday(day, civil)
        || is_easter_monday(day, civil)
        || early_may
        || spring
        || nth_weekday(civil, weekday, 8, MONDAY, 25)
        || is_christmas_with_substitutes(civil, weekday)
        || matches!(
            (year, civil.month, civil.day),
            (1999, 12, 31)                  // eve of the millennium
                | (2002, 6, 3 | 4)          // Golden Jubilee and the moved spring holiday
                | (2011, 4, 29)             // royal wedding
                | (2012, 6, 4 | 5)          // Diamond Jubilee and the moved spring holiday
                | (2022, 6, 2 | 3)          // Platinum Jubilee and the moved spring holiday
                | (2022, 9, 19)             // state funeral of Queen Elizabeth II
                | (2023, 5, 8) // coronation of King Charles III
        )
}

fn is_target_holiday(day: Day, civil: Civil) -> bool {
    let euro_holidays = civil.year >= 2000
        && (is_good_friday(day, civil)
            || is_easter_monday(day, civil)
            || matches!((civil.month, civil.day), (5, 1) | (12, 26)));
    matches!((civil.month, civil.day), (1, 1) | (12, 25))
        || euro_holidays
        || (civil.month == 12 && civil.day == 31 && matches!(civil.year, 1998 | 1999 | 2001))
}

fn is_australian_holiday(day: Day, civil: Civil, weekday: i32) -> bool {
    let australia_day =
        civil.month == 1 && (civil.day == 26 || (matches!(civil.day, 27 | 28) && weekday == MONDAY));
    is_new_year_with_substitute(civil, weekday)
        || australia_day
        || is_good_friday(day, civil)
        || is_easter_monday(day, civil)
        || (civil.month == 4 && civil.day == 25)
        || nth_weekday(civil, weekday, 6, MONDAY, 8)
        || nth_weekday(civil, weekday, 8, MONDAY, 1)
        || nth_weekday(civil, weekday, 10, MONDAY, 1)
        || is_christmas_with_substitutes(civil, weekday)
        // National day of mourning for Queen Elizabeth II.
        || (civil.year, civil.month, civil.day) == (2022, 9, 22)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::from(text.parse::<jiff::civil::Date>().unwrap())
    }

    /// Every weekday of a year that is a holiday, as `MM-DD`.
    #[track_caller]
    fn check(calendar: Calendar, year: i32, holidays: &str) {
        let (mut date, mut found) = (Day::from_civil(year, 1, 1), Vec::new());
        while date.civil().year == year {
            if date.weekday() < SATURDAY && !calendar.is_business_day(date) {
                found.push(format!("{:02}-{:02}", date.civil().month, date.civil().day));
            }
            date = date.plus(1);
        }
        assert_eq!(found.join(" "), holidays, "{calendar:?} {year}");
    }

    #[test]
    fn united_states_government_holidays_follow_the_law_of_their_year() {
        let us = Calendar::UsGov;
        check(us, 2026, "01-01 01-19 02-16 05-25 06-19 07-03 09-07 10-12 11-11 11-26 12-25");
        check(us, 2021, "01-01 01-18 02-15 05-31 07-05 09-06 10-11 11-11 11-25 12-24");
        check(us, 2022, "01-17 02-21 04-15 05-30 06-20 07-04 09-05 10-10 11-11 11-24 12-26");
        check(us, 1970, "01-01 02-23 03-27 05-29 07-03 09-07 11-11 11-26 12-25");
        check(us, 1975, "01-01 02-17 03-28 05-26 07-04 09-01 10-13 10-27 11-27 12-25");
    }

    #[test]
    fn united_kingdom_holidays_include_one_off_days_and_substitutes() {
        let uk = Calendar::Uk;
        check(uk, 2020, "01-01 04-10 04-13 05-08 05-25 08-31 12-25 12-28");
        check(uk, 2021, "01-01 04-02 04-05 05-03 05-31 08-30 12-27 12-28");
        check(uk, 2022, "01-03 04-15 04-18 05-02 06-02 06-03 08-29 09-19 12-26 12-27");
        check(uk, 2023, "01-02 04-07 04-10 05-01 05-08 05-29 08-28 12-25 12-26");
        check(uk, 2011, "01-03 04-22 04-25 04-29 05-02 05-30 08-29 12-26 12-27");
        check(uk, 1999, "01-01 04-02 04-05 05-03 05-31 08-30 12-27 12-28 12-31");
    }

    #[test]
    fn target_and_australian_holidays_follow_easter() {
        check(Calendar::Target, 2024, "01-01 03-29 04-01 05-01 12-25 12-26");
        check(Calendar::Target, 2001, "01-01 04-13 04-16 05-01 12-25 12-26 12-31");
        check(Calendar::Target, 1999, "01-01 12-31");
        check(Calendar::Au, 2022, "01-03 01-26 04-15 04-18 04-25 06-13 08-01 09-22 10-03 12-26 12-27");
        check(Calendar::Au, 2028, "01-03 01-26 04-14 04-17 04-25 06-12 08-07 10-02 12-25 12-26");
        check(Calendar::Weekend, 2024, "");
    }

    #[test]
    fn conventions_move_a_holiday_to_where_they_say() {
        let check = |convention: Convention, from: &str, to: &str| {
            assert_eq!(Calendar::Target.adjust(day(from), convention), day(to), "{convention:?} {from}");
        };
        check(Convention::Unadjusted, "2026-10-31", "2026-10-31");
        check(Convention::Following, "2026-10-31", "2026-11-02");
        check(Convention::ModifiedFollowing, "2026-10-31", "2026-10-30");
        check(Convention::ModifiedFollowing, "2026-10-03", "2026-10-05");
        check(Convention::Preceding, "2024-04-01", "2024-03-28");
        assert_eq!(Calendar::Uk.business_days_before(day("2013-06-07"), 6), day("2013-05-30"));
        assert_eq!(Calendar::None.business_days_before(day("2014-08-15"), 7), day("2014-08-08"));
    }
}
