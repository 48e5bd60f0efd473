//! Quotes, and the analytics of an instrument under one.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::bill::{BillClock, round_price};
use crate::cash_flow::CashFlows;
use crate::day::Day;
use crate::error::FieldError;
use crate::instrument::{BillTerms, Bond, Instrument, Terms, YieldTerms, day_in_range};
use crate::pricing::{self, MAX_YIELD, MIN_YIELD, NoYield, StepValue, Valuation};

/// 100 times face. No bond of this crate's bounds has a price like it: the number was a currency amount.
const MAX_CLEAN_PRICE: f64 = 1_000_000.0;

/// What the market says: exactly one of yield, clean price per 100 and (for bills) discount rate.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quote {
    /// When the trade settles. A portfolio supplies a default; a single price needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settlement_date: Option<Date>,
    /// A decimal fraction; for a bill the investment rate.
    #[serde(rename = "yield", default, skip_serializing_if = "Option::is_none")]
    pub yield_rate: Option<f64>,
    /// Per 100 face, without accrued interest; for a bill its price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean_price: Option<f64>,
    /// Bank discount rate of a bill, a decimal fraction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_rate: Option<f64>,
}

/// The result per 100 face.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Analytics {
    /// Interest the buyer owes the seller; negative ex-coupon.
    pub accrued: f64,
    /// Days of it, as the day count counts them.
    pub accrued_days: i32,
    /// `dirtyPrice - accrued`.
    pub clean_price: f64,
    /// Present value of every flow strictly after settlement.
    pub dirty_price: f64,
    /// Decimal fraction; for a bill the investment rate.
    #[serde(rename = "yield")]
    pub yield_rate: f64,
    /// Mean time to the payments, in years, weighted by their present value.
    pub macaulay_duration: f64,
    /// `-1/P dP/dy`, in years.
    pub modified_duration: f64,
    /// `1/P d2P/dy2`, in years squared.
    pub convexity: f64,
    /// `modifiedDuration * dirtyPrice / 10000`.
    pub dv01: f64,
    /// Start of the coupon period settlement falls into; absent without coupons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_coupon_date: Option<Date>,
    /// End of that period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_coupon_date: Option<Date>,
    /// Coupons still due plus the redemption.
    pub flow_count: usize,
    /// Bills only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_rate: Option<f64>,
    /// Bills only: the coupon-equivalent rate of the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub investment_rate: Option<f64>,
}

/// The one number a quote gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum QuoteValue {
    /// A decimal fraction.
    Yield(f64),
    /// Per 100 face.
    CleanPrice(f64),
    /// A decimal fraction; bills only.
    DiscountRate(f64),
}

/// A day a trade settles on, inside the accepted years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement(Day);

impl Settlement {
    /// Checks the date; the error names `settlementDate`.
    pub fn new(date: Date) -> Result<Self, FieldError> {
        day_in_range(date, "settlementDate").map(Self)
    }
}

impl Quote {
    /// A quote by clean price without a settlement date.
    pub fn clean_price(price: f64) -> Self {
        Self { clean_price: Some(price), ..Self::default() }
    }

    /// Settlement (or the default) and the one number given. Field names are those of the quote.
    pub fn resolve(&self, default_settlement: Option<Date>) -> Result<(Settlement, QuoteValue), FieldError> {
        let date = self.settlement_date.or(default_settlement).ok_or_else(|| {
            FieldError::new("settlementDate", "is required: give the date the trade settles")
        })?;
        let value = match (self.yield_rate, self.clean_price, self.discount_rate) {
            (Some(rate), None, None) => QuoteValue::Yield(rate),
            (None, Some(price), None) => QuoteValue::CleanPrice(price),
            (None, None, Some(rate)) => QuoteValue::DiscountRate(rate),
            (None, None, None) => {
                return Err(FieldError::new(
                    "cleanPrice",
                    "is required: give exactly one of yield, cleanPrice and discountRate",
                ));
            }
            (_, Some(_), _) => {
                return Err(FieldError::new(
                    "cleanPrice",
                    "is one of several values: give exactly one of yield, cleanPrice and discountRate",
                ));
            }
            (Some(_), None, Some(_)) => {
                return Err(FieldError::new(
                    "discountRate",
                    "is one of several values: give exactly one of yield, cleanPrice and discountRate",
                ));
            }
        };
        Ok((Settlement::new(date)?, value))
    }
}

/// Working memory, reused from bond to bond so that pricing many allocates nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) flows: CashFlows,
    steps: Vec<StepValue>,
}

/// Checks an instrument and prices it under a quote.
///
/// Errors name the field as a path from the two arguments: `instrument.couponRate`, `quote.cleanPrice`.
pub fn price(
    instrument: &Instrument,
    quote: &Quote,
    default_settlement: Option<Date>,
) -> Result<Analytics, FieldError> {
    let bond = Bond::try_from(instrument).map_err(|error| error.under("instrument"))?;
    let (settlement, value) = quote.resolve(default_settlement).map_err(|error| error.under("quote"))?;
    bond.analytics(settlement, value, &mut Scratch::default()).map_err(|error| error.under("quote"))
}

impl Bond {
    /// Full analytics, schedule construction included. Field names are those of the quote.
    pub fn analytics(
        &self,
        settlement: Settlement,
        quote: QuoteValue,
        scratch: &mut Scratch,
    ) -> Result<Analytics, FieldError> {
        let settlement = settlement.0;
        if settlement < self.dated() {
            return Err(FieldError::new("settlementDate", "must not be before the instrument's datedDate"));
        }
        let yield_terms = match &self.terms {
            Terms::Bill(terms) => return bill_analytics(terms, settlement, quote),
            Terms::Zero(terms) => {
                scratch.flows.build_zero(terms, settlement);
                terms.yield_terms
            }
            Terms::Fixed(terms) => {
                scratch
                    .flows
                    .build_fixed(terms, settlement)
                    .map_err(|error| FieldError::new("settlementDate", error.to_string()))?;
                terms.yield_terms
            }
        };
        if scratch.flows.count == 0 {
            return Err(already_paid());
        }
        flow_analytics(scratch, yield_terms, quote)
    }

    /// Dirty price at another yield of the bond `scratch` was last used for. `None` where that yield has no price.
    pub(crate) fn reprice(
        &self,
        settlement: Settlement,
        yield_rate: f64,
        scratch: &mut Scratch,
    ) -> Option<f64> {
        let yield_terms = match &self.terms {
            Terms::Bill(terms) => {
                let clock = BillClock::new(terms, settlement.0);
                return (MIN_YIELD..=MAX_YIELD)
                    .contains(&yield_rate)
                    .then(|| clock.price_from_rate(yield_rate))
                    .flatten();
            }
            Terms::Zero(terms) => terms.yield_terms,
            Terms::Fixed(terms) => terms.yield_terms,
        };
        if !pricing::is_discountable(&scratch.flows, yield_rate) {
            return None;
        }
        let price = pricing::price(&scratch.flows, yield_terms, yield_rate, &mut scratch.steps);
        (price.is_finite() && price > 0.0).then_some(price)
    }
}

/// One payment still to come, per 100 face.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payment {
    pub(crate) date: Option<Date>,
    pub(crate) coupon: f64,
    pub(crate) redemption: f64,
}

impl Bond {
    /// The payments of the bond `scratch` was last used for.
    pub(crate) fn payments<'a>(&'a self, scratch: &'a Scratch) -> impl Iterator<Item = Payment> + 'a {
        let bill = match &self.terms {
            Terms::Bill(terms) => {
                Some(Payment { date: terms.maturity.to_date(), coupon: 0.0, redemption: 100.0 })
            }
            _ => None,
        };
        let flows = if bill.is_some() { &[][..] } else { &scratch.flows.flows[..] };
        let last = flows.len().saturating_sub(1);
        let redemption = scratch.flows.redemption;
        let flows = flows.iter().enumerate().map(move |(index, flow)| {
            let redemption = if index == last { redemption } else { 0.0 };
            Payment { date: flow.payment.to_date(), coupon: flow.amount - redemption, redemption }
        });
        bill.into_iter().chain(flows)
    }
}

fn already_paid() -> FieldError {
    FieldError::new(
        "settlementDate",
        "must be before the instrument's last payment: nothing is left to price",
    )
}

fn yield_out_of_range(field: &str, rate: f64) -> FieldError {
    FieldError::new(
        field,
        format!(
            "{rate} cannot discount this instrument; give a decimal fraction above {MIN_YIELD} and at most {MAX_YIELD} (0.045 is 4.5 %)"
        ),
    )
}

fn flow_analytics(
    scratch: &mut Scratch,
    terms: YieldTerms,
    quote: QuoteValue,
) -> Result<Analytics, FieldError> {
    let Scratch { flows, steps } = scratch;
    let accrued = flows.accrued();
    let (yield_rate, clean_price, at) = match quote {
        QuoteValue::Yield(rate) => {
            if !pricing::is_discountable(flows, rate) {
                return Err(yield_out_of_range("yield", rate));
            }
            let at = pricing::value(flows, terms, rate, steps);
            if !is_usable(&at) {
                return Err(yield_out_of_range("yield", rate));
            }
            (rate, at.price - accrued, at)
        }
        QuoteValue::CleanPrice(clean) => {
            check_clean_price(clean)?;
            let dirty = clean + accrued;
            if dirty <= 0.0 {
                return Err(FieldError::new(
                    "cleanPrice",
                    format!("{clean} with accrued interest of {accrued} is not above 0"),
                ));
            }
            let (rate, mut at) = pricing::solve(flows, terms, dirty, steps).map_err(no_yield)?;
            at.price = dirty;
            if !is_usable(&at) {
                return Err(no_yield(NoYield::OutOfRange));
            }
            (rate, clean, at)
        }
        QuoteValue::DiscountRate(_) => {
            return Err(FieldError::new("discountRate", "applies to bills only; give yield or cleanPrice"));
        }
    };
    let modified_duration = -at.slope / at.price;
    Ok(Analytics {
        accrued,
        accrued_days: flows.current.map_or(0, |coupon| coupon.accrued_days),
        clean_price,
        dirty_price: at.price,
        yield_rate,
        macaulay_duration: at.weighted_time / at.price,
        modified_duration,
        convexity: at.curvature / at.price,
        dv01: modified_duration * at.price / 10_000.0,
        previous_coupon_date: flows.current.and_then(|coupon| coupon.start.to_date()),
        next_coupon_date: flows.current.and_then(|coupon| coupon.end.to_date()),
        flow_count: flows.count,
        discount_rate: None,
        investment_rate: None,
    })
}

fn is_usable(at: &Valuation) -> bool {
    at.price > 0.0
        && at.price.is_finite()
        && at.slope.is_finite()
        && at.curvature.is_finite()
        && at.weighted_time.is_finite()
}

fn check_clean_price(clean: f64) -> Result<(), FieldError> {
    if clean > 0.0 && clean <= MAX_CLEAN_PRICE {
        Ok(())
    } else {
        Err(FieldError::new(
            "cleanPrice",
            format!("{clean} must be above 0 and at most {MAX_CLEAN_PRICE}; it is a price per 100 face"),
        ))
    }
}

fn no_yield(reason: NoYield) -> FieldError {
    match reason {
        NoYield::OutOfRange => FieldError::new(
            "cleanPrice",
            format!(
                "no yield between {MIN_YIELD} and {MAX_YIELD} gives this price; check that it is per 100 face"
            ),
        ),
        NoYield::NoTime => FieldError::new(
            "cleanPrice",
            "the day count sees no time between settlement and the last payment, so no yield follows from a price",
        ),
    }
}

fn bill_analytics(terms: &BillTerms, settlement: Day, quote: QuoteValue) -> Result<Analytics, FieldError> {
    if terms.maturity <= settlement {
        return Err(already_paid());
    }
    let clock = BillClock::new(terms, settlement);
    let price = match quote {
        QuoteValue::DiscountRate(rate) => clock
            .price_from_discount(rate)
            .filter(|price| *price > 0.0 && *price <= MAX_CLEAN_PRICE)
            .ok_or_else(|| {
                FieldError::new(
                    "discountRate",
                    format!("{rate} gives no price above 0; give a decimal fraction (0.0525 is 5.25 %)"),
                )
            })?,
        QuoteValue::Yield(rate) => Some(rate)
            .filter(|rate| (MIN_YIELD..=MAX_YIELD).contains(rate))
            .and_then(|rate| clock.price_from_rate(rate))
            .filter(|price| *price > 0.0)
            .ok_or_else(|| yield_out_of_range("yield", rate))?,
        QuoteValue::CleanPrice(price) => {
            check_clean_price(price)?;
            rust_decimal::Decimal::try_from(price)
                .ok()
                .and_then(round_price)
                .filter(|rounded| *rounded > 0.0)
                .ok_or_else(|| {
                    FieldError::new("cleanPrice", "rounds to 0 at the six decimals of a bill price")
                })?
        }
    };
    let at = clock.value(price);
    if !(at.investment_rate.is_finite() && at.modified_duration.is_finite() && at.convexity.is_finite()) {
        return Err(no_yield(NoYield::OutOfRange));
    }
    let discount_rate = match quote {
        QuoteValue::DiscountRate(rate) => rate,
        _ => clock.discount_from_price(price),
    };
    Ok(Analytics {
        accrued: 0.0,
        accrued_days: 0,
        clean_price: at.price,
        dirty_price: at.price,
        yield_rate: at.investment_rate,
        macaulay_duration: clock.years(),
        modified_duration: at.modified_duration,
        convexity: at.convexity,
        dv01: at.modified_duration * at.price / 10_000.0,
        previous_coupon_date: None,
        next_coupon_date: None,
        flow_count: 1,
        discount_rate: Some(discount_rate),
        investment_rate: Some(at.investment_rate),
    })
}
