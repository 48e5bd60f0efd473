//! The task body, and its validation.

use jiff::{ToSpan, civil::Date};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::limits::Limit;
use crate::day::{FIRST_YEAR, LAST_YEAR};
use crate::error::FieldError;
use crate::instrument::{Bond, Instrument};
use crate::json;
use crate::quote::{Quote, QuoteValue, Settlement};

/// More securities than any fund holds; rows of this many still fit a day's store.
const MAX_HOLDINGS: usize = 50_000;
/// Full repricings of every holding one task may ask for.
const MAX_SHOCKS: usize = 1_000;
/// 100 percentage points either way.
const MAX_SHOCK_BP: f64 = 10_000.0;
/// One subtask event a chunk: more holdings a chunk would hide progress.
const MAX_CHUNK_SIZE: u32 = 1_000;
/// A fifth of a second of work at most, with the usual shocks.
const DEFAULT_CHUNK_SIZE: u32 = 200;
/// A month: the longest settlement lag of any market is some two weeks.
const MAX_SETTLEMENT_DAYS: u32 = 31;
/// Each limit costs a pass over the holdings and a line in the result.
const MAX_LIMITS: usize = 64;
/// A trillion: amounts up to it keep sums of all holdings inside a decimal.
const MAX_FACE: i64 = 1_000_000_000_000;
/// A thousand trillion.
const MAX_CASH: i64 = 1_000_000_000_000_000;

/// A `portfolio-valuation` task without the fields that address it.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortfolioRequest {
    /// The day the fund is valued on; the cash ladder starts in its month.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::valuation_date))]
    pub valuation_date: Date,
    /// Calendar days from valuation to the settlement of quotes without one.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(format = "uint32", maximum = 31))]
    pub settlement_days: u32,
    /// What the fund holds, at least one.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 50_000))]
    pub holdings: Vec<Holding>,
    /// Negative when overdrawn.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::cash))]
    pub cash: Decimal,
    /// Taken off assets; not negative.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::liabilities))]
    pub liabilities: Decimal,
    /// Units net assets are divided by; above 0.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::units))]
    pub units_outstanding: Decimal,
    /// Parallel yield shifts in basis points, each a full repricing.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::shocks))]
    pub shocks_bp: Vec<f64>,
    /// Holdings a subtask, 1 to 1000, default 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(format = "uint32", minimum = 1, maximum = 1000))]
    pub chunk_size: Option<u32>,
    /// Checked against the result.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 64))]
    pub limits: Vec<Limit>,
    /// Whether one unpriceable holding fails the whole task.
    #[serde(default)]
    pub strict: bool,
}

/// One position.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Holding {
    /// What is held.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::AnyInstrument))]
    pub instrument: Instrument,
    /// Nominal amount; above 0.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::face))]
    pub face: Decimal,
    /// How it is priced.
    pub quote: Quote,
}

/// A fund ready to be valued: all request-level fields are in bounds; what cannot be priced is known by reason.
#[derive(Debug, Clone)]
pub struct Portfolio {
    pub(super) valuation_date: Date,
    pub(super) holdings: Vec<Position>,
    pub(super) cash: Decimal,
    pub(super) liabilities: Decimal,
    pub(super) units_outstanding: Decimal,
    pub(super) shocks_bp: Vec<f64>,
    pub(super) chunk_size: usize,
    pub(super) limits: Vec<Limit>,
    pub(super) strict: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Position {
    pub(super) id: String,
    pub(super) face: Decimal,
    /// Boxed: the reason is rare and the terms are large.
    pub(super) terms: Result<Box<PricedTerms>, FieldError>,
}

#[derive(Debug, Clone)]
pub(super) struct PricedTerms {
    pub(super) bond: Bond,
    pub(super) settlement: Settlement,
    pub(super) quote: QuoteValue,
}

impl PortfolioRequest {
    /// Reads JSON text; the error names the field.
    pub fn from_json(text: &str) -> Result<Self, FieldError> {
        match json::from_str(text) {
            Ok(request) => Ok(request),
            Err(error) => match serde_json::from_str(text) {
                Ok(value) => Self::from_value(value),
                Err(_) => Err(error),
            },
        }
    }

    /// Reads a JSON value; the error names the field. An instrument of a refused type is kept, as a holding that
    /// cannot be priced, whatever other fields it has.
    pub fn from_value(mut value: Value) -> Result<Self, FieldError> {
        if let Some(holdings) = value.get_mut("holdings").and_then(Value::as_array_mut) {
            for holding in holdings {
                if let Some(instrument) = holding.get_mut("instrument") {
                    json::strip_refused_instrument(instrument);
                }
            }
        }
        json::from_value(value)
    }

    /// Checks every request-level field and prepares the holdings.
    ///
    /// A holding whose instrument or quote is wrong is no error here: it is listed in the result with its reason.
    pub fn validate(self) -> Result<Portfolio, Vec<FieldError>> {
        let mut errors = Vec::new();
        let default_settlement = self.check_dates(&mut errors);
        self.check_amounts(&mut errors);
        self.check_sizes(&mut errors);
        for (index, limit) in self.limits.iter().enumerate() {
            if let Err(error) = limit.check(&self.shocks_bp) {
                errors.push(error.under(&format!("limits[{index}]")));
            }
        }
        match default_settlement {
            Some(default_settlement) if errors.is_empty() => Ok(self.prepare(default_settlement)),
            _ => Err(errors),
        }
    }

    /// The settlement of quotes without one.
    fn check_dates(&self, errors: &mut Vec<FieldError>) -> Option<Date> {
        if !(FIRST_YEAR..=LAST_YEAR).contains(&self.valuation_date.year()) {
            errors.push(FieldError::new(
                "valuationDate",
                format!("{} is outside the years {FIRST_YEAR} to {LAST_YEAR}", self.valuation_date),
            ));
        }
        if self.settlement_days > MAX_SETTLEMENT_DAYS {
            errors.push(FieldError::new(
                "settlementDays",
                format!("{} is more than {MAX_SETTLEMENT_DAYS} calendar days", self.settlement_days),
            ));
            return None;
        }
        self.valuation_date.checked_add(i64::from(self.settlement_days).days()).ok()
    }

    fn check_amounts(&self, errors: &mut Vec<FieldError>) {
        for (index, holding) in self.holdings.iter().enumerate() {
            if holding.face < Decimal::new(1, 6) || holding.face > Decimal::from(MAX_FACE) {
                errors.push(FieldError::new(
                    format!("holdings[{index}].face"),
                    format!("{} must be above 0 (at least 0.000001) and at most {MAX_FACE}", holding.face),
                ));
            }
        }
        let max_cash = Decimal::from(MAX_CASH);
        if self.cash.abs() > max_cash {
            errors.push(FieldError::new("cash", format!("must be between -{MAX_CASH} and {MAX_CASH}")));
        }
        if self.liabilities < Decimal::ZERO || self.liabilities > max_cash {
            errors.push(FieldError::new("liabilities", format!("must be between 0 and {MAX_CASH}")));
        }
        if self.units_outstanding < Decimal::new(1, 6) || self.units_outstanding > max_cash {
            errors.push(FieldError::new(
                "unitsOutstanding",
                format!("must be above 0 (at least 0.000001) and at most {MAX_CASH}"),
            ));
        }
    }

    fn check_sizes(&self, errors: &mut Vec<FieldError>) {
        if self.holdings.is_empty() || self.holdings.len() > MAX_HOLDINGS {
            errors.push(FieldError::new(
                "holdings",
                format!("has {} entries; give 1 to {MAX_HOLDINGS}", self.holdings.len()),
            ));
        }
        if self.shocks_bp.len() > MAX_SHOCKS {
            errors.push(FieldError::new(
                "shocksBp",
                format!("has {} entries; give at most {MAX_SHOCKS}", self.shocks_bp.len()),
            ));
        }
        for (index, shock) in self.shocks_bp.iter().enumerate() {
            if shock.is_nan() || shock.abs() > MAX_SHOCK_BP {
                errors.push(FieldError::new(
                    format!("shocksBp[{index}]"),
                    format!("{shock} is outside -{MAX_SHOCK_BP} to {MAX_SHOCK_BP} basis points"),
                ));
            }
        }
        if self.chunk_size.is_some_and(|size| !(1..=MAX_CHUNK_SIZE).contains(&size)) {
            errors.push(FieldError::new("chunkSize", format!("must be 1 to {MAX_CHUNK_SIZE}")));
        }
        if self.limits.len() > MAX_LIMITS {
            errors.push(FieldError::new(
                "limits",
                format!("has {} entries; give at most {MAX_LIMITS}", self.limits.len()),
            ));
        }
    }

    fn prepare(self, default_settlement: Date) -> Portfolio {
        let holdings = self
            .holdings
            .into_iter()
            .enumerate()
            .map(|(index, holding)| Position::new(index, holding, default_settlement))
            .collect();
        Portfolio {
            valuation_date: self.valuation_date,
            holdings,
            cash: self.cash,
            liabilities: self.liabilities,
            units_outstanding: self.units_outstanding,
            shocks_bp: self.shocks_bp,
            chunk_size: usize::try_from(self.chunk_size.unwrap_or(DEFAULT_CHUNK_SIZE)).unwrap_or(1).max(1),
            limits: self.limits,
            strict: self.strict,
        }
    }
}

impl Position {
    fn new(index: usize, holding: Holding, default_settlement: Date) -> Self {
        let terms = Bond::try_from(&holding.instrument)
            .map_err(|error| error.under("instrument"))
            .and_then(|bond| {
                let (settlement, quote) =
                    holding.quote.resolve(Some(default_settlement)).map_err(|error| error.under("quote"))?;
                Ok(Box::new(PricedTerms { bond, settlement, quote }))
            })
            .map_err(|error| error.under(&format!("holdings[{index}]")));
        Self { id: holding.instrument.id, face: holding.face, terms }
    }
}
