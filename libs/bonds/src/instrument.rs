//! The instrument as it is spelled in JSON, and its validated twin.

mod validate;

pub(crate) use validate::day_in_range;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::calendar::{Calendar, Convention};
use crate::day::Day;
use crate::day_count::DayCount;

/// Which kind of security an instrument is.
///
/// The last three are known so that they can be refused by name; nothing here prices them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum InstrumentType {
    /// Fixed or stepped coupons, bullet redemption.
    Fixed,
    /// One payment at maturity.
    Zero,
    /// A Treasury bill quoted on a bank discount basis.
    Bill,
    /// Refused: needs a rate curve.
    Floating,
    /// Refused: needs an index series.
    IndexLinked,
    /// Refused: needs an option model.
    Callable,
}

impl InstrumentType {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Zero => "zero",
            Self::Bill => "bill",
            Self::Floating => "floating",
            Self::IndexLinked => "index_linked",
            Self::Callable => "callable",
        }
    }

    /// Why it is refused, for the three that are.
    pub(crate) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Fixed | Self::Zero | Self::Bill => None,
            Self::Floating => Some(
                "floating instruments are not supported: their coupons need a rate curve; use fixed, zero or bill",
            ),
            Self::IndexLinked => Some(
                "index_linked instruments are not supported: their payments need an index series; use fixed, zero or bill",
            ),
            Self::Callable => Some(
                "callable instruments are not supported: their price needs an option model; use fixed, zero or bill",
            ),
        }
    }
}

impl From<InstrumentType> for &'static str {
    fn from(kind: InstrumentType) -> Self {
        kind.name()
    }
}

impl TryFrom<String> for InstrumentType {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match name.as_str() {
            "fixed" => Ok(Self::Fixed),
            "zero" => Ok(Self::Zero),
            "bill" => Ok(Self::Bill),
            "floating" => Ok(Self::Floating),
            "index_linked" => Ok(Self::IndexLinked),
            "callable" => Ok(Self::Callable),
            _ => Err(format!("{name:?} is not a known type; use fixed, zero or bill")),
        }
    }
}

/// From which end coupon dates are counted.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleRule {
    /// From the maturity (or the penultimate coupon) back; an odd period comes first.
    #[default]
    Backward,
    /// From the dated date (or the first coupon) on; an odd period comes last.
    Forward,
}

/// How a yield discounts.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compounding {
    /// `(1 + y/f)^(f t)`.
    #[default]
    Compounded,
    /// `1 + y t` over each step from one payment to the next.
    Simple,
    /// Simple over the fractional first period, compounded after it (31 CFR 356 Appendix B).
    SimpleThenCompounded,
    /// `e^(y t)`.
    Continuous,
}

/// An instrument as a caller writes it: camelCase, every field optional here so that a missing one can be named.
///
/// Rates are decimal fractions (`0.045` is 4.5 %); dates are `YYYY-MM-DD`. Defaults are those of the field comments.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Instrument {
    /// Names the instrument in results. Required, at most 128 characters.
    #[serde(default)]
    pub id: String,
    /// Required.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::priced_type))]
    pub kind: Option<InstrumentType>,
    /// Interest (for a bill: the year-basis rule) starts here. Required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dated_date: Option<Date>,
    /// Set for an odd first period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_coupon_date: Option<Date>,
    /// Set for an odd last period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub penultimate_coupon_date: Option<Date>,
    /// Required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maturity_date: Option<Date>,
    /// Annual coupon; `fixed` needs exactly one of this and `couponRates`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon_rate: Option<f64>,
    /// One annual rate for each coupon period, stubs included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon_rates: Option<Vec<f64>>,
    /// Coupons a year: 1, 2, 4 or 12. Required for `fixed`, absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(format = "uint32", maximum = 4_294_967_295_u32))]
    pub frequency: Option<u32>,
    /// Required for `fixed` and `zero`; a bill is always actual/360 discount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_count: Option<DayCount>,
    /// Default `backward`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_rule: Option<ScheduleRule>,
    /// Coupon dates keep to month ends when the date they are counted from is one. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_of_month: Option<bool>,
    /// Moves accrual dates under `accrualConvention`. Default `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_calendar: Option<Calendar>,
    /// Default `unadjusted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accrual_convention: Option<Convention>,
    /// Moves payments under `paymentConvention`. Default `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_calendar: Option<Calendar>,
    /// Default `unadjusted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_convention: Option<Convention>,
    /// Business days of `exCouponCalendar` before a payment at which its coupon stays with the seller. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(format = "uint32", maximum = 4_294_967_295_u32))]
    pub ex_coupon_days: Option<u32>,
    /// Default `none`: calendar days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ex_coupon_calendar: Option<Calendar>,
    /// Paid at maturity per 100 face. Default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redemption: Option<f64>,
    /// Default `compounded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compounding: Option<Compounding>,
    /// Compounding periods a year of the yield. Default: `frequency`, or 2 for a zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(format = "uint32", maximum = 4_294_967_295_u32))]
    pub yield_frequency: Option<u32>,
}

/// An instrument whose every field has been checked; pricing one can fail only for reasons of the quote.
#[derive(Debug, Clone, PartialEq)]
pub struct Bond {
    id: String,
    pub(crate) terms: Terms,
}

/// What pricing needs to know, by kind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Terms {
    Fixed(FixedTerms),
    Zero(ZeroTerms),
    Bill(BillTerms),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FixedTerms {
    pub(crate) schedule: ScheduleTerms,
    pub(crate) coupon: Coupon,
    pub(crate) day_count: DayCount,
    pub(crate) payment_calendar: Calendar,
    pub(crate) payment_convention: Convention,
    pub(crate) ex_coupon_days: u32,
    pub(crate) ex_coupon_calendar: Calendar,
    pub(crate) redemption: f64,
    pub(crate) yield_terms: YieldTerms,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Coupon {
    Level(f64),
    Steps(Vec<f64>),
}

impl Coupon {
    /// The annual rate of period `index`; validation made sure there is one for each.
    pub(crate) fn rate(&self, index: usize) -> f64 {
        match self {
            Self::Level(rate) => *rate,
            Self::Steps(rates) => rates.get(index).or(rates.last()).copied().unwrap_or_default(),
        }
    }
}

/// Everything coupon dates depend on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScheduleTerms {
    pub(crate) dated: Day,
    pub(crate) first_coupon: Option<Day>,
    pub(crate) penultimate_coupon: Option<Day>,
    pub(crate) maturity: Day,
    pub(crate) frequency: u32,
    pub(crate) rule: ScheduleRule,
    pub(crate) end_of_month: bool,
    pub(crate) calendar: Calendar,
    pub(crate) convention: Convention,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ZeroTerms {
    pub(crate) dated: Day,
    pub(crate) payment: Day,
    pub(crate) redemption: f64,
    pub(crate) day_count: DayCount,
    pub(crate) yield_terms: YieldTerms,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BillTerms {
    pub(crate) issue: Day,
    pub(crate) maturity: Day,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct YieldTerms {
    pub(crate) compounding: Compounding,
    /// Compounding periods a year.
    pub(crate) frequency: f64,
}

impl Bond {
    /// The id the instrument came with.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Interest starts, or a bill is issued, on this day: the earliest settlement.
    pub(crate) fn dated(&self) -> Day {
        match &self.terms {
            Terms::Fixed(terms) => terms.schedule.dated,
            Terms::Zero(terms) => terms.dated,
            Terms::Bill(terms) => terms.issue,
        }
    }
}
