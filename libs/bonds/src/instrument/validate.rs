//! Instrument to [`Bond`]: every bound the rest of the crate relies on is checked here, once.

use jiff::civil::Date;

use super::{
    BillTerms, Bond, Coupon, FixedTerms, Instrument, InstrumentType, ScheduleTerms, Terms, YieldTerms,
    ZeroTerms,
};
use crate::calendar::Convention;
use crate::day::{Day, FIRST_YEAR, LAST_YEAR};
use crate::day_count::DayCount;
use crate::error::FieldError;
use crate::schedule::{Schedule, ScheduleError};

/// Long enough for any security identifier in use, short enough for a line of a report.
const MAX_ID_CHARS: usize = 128;
/// 100 % a year. Above it a rate was almost surely written in percent.
const MAX_COUPON_RATE: f64 = 1.0;
/// Ten times face: covers every structured redemption seen, and keeps sums far from overflow.
const MAX_REDEMPTION: f64 = 1000.0;
/// A quarter: the longest ex-coupon period of any market is some five weeks.
const MAX_EX_COUPON_DAYS: u32 = 90;
/// The longest bills in any market run a year (52 weeks, at most 366 days).
const MAX_BILL_DAYS: i32 = 366;

/// Field names are those of the instrument: `couponRate`, not `instrument.couponRate`.
impl TryFrom<&Instrument> for Bond {
    type Error = FieldError;

    fn try_from(instrument: &Instrument) -> Result<Self, FieldError> {
        let id = valid_id(&instrument.id)?;
        let kind =
            required(instrument.kind, "type", "say which kind of instrument it is: fixed, zero or bill")?;
        if let Some(refusal) = kind.refusal() {
            return Err(FieldError::new("type", refusal));
        }
        let dated = valid_date(instrument.dated_date, "datedDate", "give the date interest starts")?;
        let maturity = valid_date(instrument.maturity_date, "maturityDate", "give the date of redemption")?;
        if maturity <= dated {
            return Err(FieldError::new("maturityDate", "must be after datedDate"));
        }
        let terms = match kind {
            InstrumentType::Zero => Terms::Zero(zero(instrument, dated, maturity)?),
            InstrumentType::Bill => Terms::Bill(bill(instrument, dated, maturity)?),
            _ => Terms::Fixed(fixed(instrument, dated, maturity)?),
        };
        Ok(Self { id, terms })
    }
}

fn valid_id(id: &str) -> Result<String, FieldError> {
    if id.is_empty() {
        return Err(FieldError::new("id", "is required: give the instrument a name"));
    }
    if id.chars().count() > MAX_ID_CHARS || id.chars().any(char::is_control) {
        return Err(FieldError::new(
            "id",
            format!("must be at most {MAX_ID_CHARS} characters without control characters"),
        ));
    }
    Ok(id.to_owned())
}

fn required<T>(value: Option<T>, field: &str, fix: &str) -> Result<T, FieldError> {
    value.ok_or_else(|| FieldError::new(field, format!("is required: {fix}")))
}

/// A date inside the accepted years, as a day number.
pub(crate) fn day_in_range(date: Date, field: &str) -> Result<Day, FieldError> {
    if (FIRST_YEAR..=LAST_YEAR).contains(&date.year()) {
        Ok(Day::from(date))
    } else {
        Err(FieldError::new(
            field,
            format!("{date} is outside the years {FIRST_YEAR} to {LAST_YEAR} that can be priced"),
        ))
    }
}

fn valid_date(date: Option<Date>, field: &str, fix: &str) -> Result<Day, FieldError> {
    day_in_range(required(date, field, fix)?, field)
}

fn valid_rate(rate: f64, field: &str) -> Result<f64, FieldError> {
    if (0.0..=MAX_COUPON_RATE).contains(&rate) {
        Ok(rate)
    } else {
        Err(FieldError::new(
            field,
            format!(
                "{rate} is outside 0 to {MAX_COUPON_RATE}: rates are decimal fractions, so write 4.5 % as 0.045"
            ),
        ))
    }
}

fn valid_frequency(frequency: u32, field: &str) -> Result<u32, FieldError> {
    if matches!(frequency, 1 | 2 | 4 | 12) {
        Ok(frequency)
    } else {
        Err(FieldError::new(
            field,
            format!("{frequency} is not a supported number of periods a year; use 1, 2, 4 or 12"),
        ))
    }
}

fn valid_redemption(instrument: &Instrument) -> Result<f64, FieldError> {
    let redemption = instrument.redemption.unwrap_or(100.0);
    if redemption > 0.0 && redemption <= MAX_REDEMPTION {
        Ok(redemption)
    } else {
        Err(FieldError::new(
            "redemption",
            format!("{redemption} must be above 0 and at most {MAX_REDEMPTION}; it is a price per 100 face"),
        ))
    }
}

fn valid_yield_terms(instrument: &Instrument, default_frequency: u32) -> Result<YieldTerms, FieldError> {
    let frequency =
        valid_frequency(instrument.yield_frequency.unwrap_or(default_frequency), "yieldFrequency")?;
    Ok(YieldTerms {
        compounding: instrument.compounding.unwrap_or_default(),
        frequency: f64::from(frequency),
    })
}

/// Fields that would have to be ignored on this kind of instrument are refused instead.
fn refuse_present(present: bool, field: &str, kind: &str) -> Result<(), FieldError> {
    if present {
        Err(FieldError::new(field, format!("does not apply to a {kind}; leave it out")))
    } else {
        Ok(())
    }
}

fn refuse_coupon_fields(instrument: &Instrument, kind: &str) -> Result<(), FieldError> {
    let has_coupon = instrument.coupon_rate.is_some_and(|rate| rate != 0.0);
    refuse_present(has_coupon, "couponRate", kind)?;
    refuse_present(instrument.coupon_rates.is_some(), "couponRates", kind)?;
    refuse_present(instrument.frequency.is_some(), "frequency", kind)?;
    refuse_present(instrument.first_coupon_date.is_some(), "firstCouponDate", kind)?;
    refuse_present(instrument.penultimate_coupon_date.is_some(), "penultimateCouponDate", kind)?;
    refuse_present(instrument.ex_coupon_days.unwrap_or(0) > 0, "exCouponDays", kind)
}

fn zero(instrument: &Instrument, dated: Day, maturity: Day) -> Result<ZeroTerms, FieldError> {
    refuse_coupon_fields(instrument, "zero")?;
    let payment = instrument
        .payment_calendar
        .unwrap_or_default()
        .adjust(maturity, instrument.payment_convention.unwrap_or_default());
    Ok(ZeroTerms {
        dated,
        payment,
        redemption: valid_redemption(instrument)?,
        day_count: required(instrument.day_count, "dayCount", "say how time is measured, such as ACT/365F")?,
        // Strips and other zeros are quoted in semi-annual terms wherever their market also has coupon bonds.
        yield_terms: valid_yield_terms(instrument, 2)?,
    })
}

fn bill(instrument: &Instrument, issue: Day, maturity: Day) -> Result<BillTerms, FieldError> {
    refuse_coupon_fields(instrument, "bill")?;
    refuse_present(instrument.compounding.is_some(), "compounding", "bill")?;
    refuse_present(instrument.yield_frequency.is_some(), "yieldFrequency", "bill")?;
    let pays_par = instrument.redemption.is_none_or(|redemption| (redemption - 100.0).abs() < f64::EPSILON);
    refuse_present(!pays_par, "redemption", "bill")?;
    let adjusted = instrument.payment_convention.unwrap_or_default() != Convention::Unadjusted;
    refuse_present(adjusted, "paymentConvention", "bill")?;
    if instrument.day_count.is_some_and(|count| count != DayCount::Act360) {
        return Err(FieldError::new("dayCount", "a bill is always quoted on ACT/360 discount; leave it out"));
    }
    if maturity.since(issue) > MAX_BILL_DAYS {
        return Err(FieldError::new(
            "maturityDate",
            format!("a bill runs at most {MAX_BILL_DAYS} days; use type zero for longer ones"),
        ));
    }
    Ok(BillTerms { issue, maturity })
}

fn fixed(instrument: &Instrument, dated: Day, maturity: Day) -> Result<FixedTerms, FieldError> {
    let frequency = valid_frequency(
        required(instrument.frequency, "frequency", "say how many coupons are paid a year: 1, 2, 4 or 12")?,
        "frequency",
    )?;
    let schedule = ScheduleTerms {
        dated,
        first_coupon: coupon_date(instrument.first_coupon_date, "firstCouponDate", dated, maturity)?,
        penultimate_coupon: coupon_date(
            instrument.penultimate_coupon_date,
            "penultimateCouponDate",
            dated,
            maturity,
        )?,
        maturity,
        frequency,
        rule: instrument.schedule_rule.unwrap_or_default(),
        end_of_month: instrument.end_of_month.unwrap_or(false),
        calendar: instrument.schedule_calendar.unwrap_or_default(),
        convention: instrument.accrual_convention.unwrap_or_default(),
    };
    if let (Some(first), Some(penultimate)) = (schedule.first_coupon, schedule.penultimate_coupon)
        && penultimate < first
    {
        return Err(FieldError::new("penultimateCouponDate", "must not be before firstCouponDate"));
    }
    let ex_coupon_days = instrument.ex_coupon_days.unwrap_or(0);
    if ex_coupon_days > MAX_EX_COUPON_DAYS {
        return Err(FieldError::new(
            "exCouponDays",
            format!("{ex_coupon_days} is more than the {MAX_EX_COUPON_DAYS} days that are supported"),
        ));
    }
    Ok(FixedTerms {
        coupon: coupon(instrument, &schedule)?,
        schedule,
        day_count: required(
            instrument.day_count,
            "dayCount",
            "say how interest accrues, such as ACT/ACT ICMA",
        )?,
        payment_calendar: instrument.payment_calendar.unwrap_or_default(),
        payment_convention: instrument.payment_convention.unwrap_or_default(),
        ex_coupon_days,
        ex_coupon_calendar: instrument.ex_coupon_calendar.unwrap_or_default(),
        redemption: valid_redemption(instrument)?,
        yield_terms: valid_yield_terms(instrument, frequency)?,
    })
}

fn coupon_date(
    date: Option<Date>,
    field: &str,
    dated: Day,
    maturity: Day,
) -> Result<Option<Day>, FieldError> {
    let Some(date) = date else { return Ok(None) };
    let day = day_in_range(date, field)?;
    if day <= dated || day > maturity {
        return Err(FieldError::new(field, "must be after datedDate and not after maturityDate"));
    }
    Ok(Some(day))
}

fn coupon(instrument: &Instrument, terms: &ScheduleTerms) -> Result<Coupon, FieldError> {
    let mut schedule = Schedule::default();
    schedule.build(terms).map_err(|error| match error {
        ScheduleError::TooManyPeriods => FieldError::new("maturityDate", error.to_string()),
        ScheduleError::NoPeriod => FieldError::new("scheduleCalendar", error.to_string()),
    })?;
    let periods = schedule.periods();
    match (instrument.coupon_rate, &instrument.coupon_rates) {
        (Some(rate), None) => Ok(Coupon::Level(valid_rate(rate, "couponRate")?)),
        (None, Some(rates)) => {
            for (index, rate) in rates.iter().enumerate() {
                valid_rate(*rate, &format!("couponRates[{index}]"))?;
            }
            if rates.len() != periods {
                return Err(FieldError::new(
                    "couponRates",
                    format!(
                        "has {} rates but the schedule has {periods} coupon periods; give one for each",
                        rates.len()
                    ),
                ));
            }
            Ok(Coupon::Steps(rates.clone()))
        }
        (Some(_), Some(_)) => {
            Err(FieldError::new("couponRates", "give either couponRate or couponRates, not both"))
        }
        (None, None) => Err(FieldError::new(
            "couponRate",
            "is required: give the annual coupon as a decimal fraction (or couponRates, one a period)",
        )),
    }
}
