//! One chunk of holdings, priced on its own: the unit of work, of progress and of cancellation.

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::money;
use super::request::{Portfolio, Position, PricedTerms};
use super::result::{CashMonth, HoldingRow};
use crate::error::FieldError;
use crate::quote::Scratch;

/// Repricings between two looks at the stop signal: some ten microseconds of work.
const REPRICINGS_PER_CHECK: usize = 64;

/// Months the cash ladder spans, the month of valuation included.
pub(super) const LADDER_MONTHS: usize = 12;

/// What one chunk found. Opaque to everyone but [`Portfolio::finish`].
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkResult {
    pub(super) index: usize,
    /// 1-based number of the first holding, and how many holdings the fund has: for the message.
    first: usize,
    of: usize,
    pub(super) rows: Vec<HoldingRow>,
    /// Market value under each shock.
    pub(super) shocks: Vec<Decimal>,
    pub(super) ladder: [CashAmounts; LADDER_MONTHS],
}

/// What one month pays.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct CashAmounts {
    pub(super) coupons: Decimal,
    pub(super) redemptions: Decimal,
}

/// Everything one priced holding adds.
struct Contribution {
    row: HoldingRow,
    shocks: Vec<Decimal>,
    ladder: [CashAmounts; LADDER_MONTHS],
}

/// Why a holding adds nothing.
enum Skipped {
    Unpriceable(FieldError),
    Stopped,
}

impl ChunkResult {
    /// Which chunk this is, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Holdings with a price.
    pub fn priced(&self) -> usize {
        self.rows.iter().filter(|row| row.error.is_none()).count()
    }

    /// Holdings without one.
    pub fn unpriceable(&self) -> usize {
        self.rows.len() - self.priced()
    }

    /// Of the priced holdings.
    pub fn market_value(&self) -> Decimal {
        self.rows
            .iter()
            .filter_map(|row| row.market_value)
            .fold(money::cents(Decimal::ZERO), |sum, value| sum + value)
    }

    /// One line for people, such as `holdings 9-16 of 40: 8 priced, market value 8,123,456.78`.
    pub fn message(&self) -> String {
        let unpriceable = match self.unpriceable() {
            0 => String::new(),
            count => format!(", {count} unpriceable"),
        };
        let last = self.first + self.rows.len().max(1) - 1;
        let range = if last == self.first {
            format!("holding {last}")
        } else {
            format!("holdings {}-{last}", self.first)
        };
        format!(
            "{range} of {}: {} priced{unpriceable}, market value {}",
            self.of,
            self.priced(),
            money::grouped(self.market_value())
        )
    }
}

impl Portfolio {
    /// How many chunks there are: each is a subtask.
    pub fn chunks(&self) -> usize {
        self.holdings.len().div_ceil(self.chunk_size)
    }

    /// Values chunk `index`. `None` once `keep_going` answers false; it is asked before every holding and every few
    /// repricings. A chunk past the end is empty.
    pub fn value_chunk(&self, index: usize, keep_going: &dyn Fn() -> bool) -> Option<ChunkResult> {
        let first = index.saturating_mul(self.chunk_size).min(self.holdings.len());
        let end = first.saturating_add(self.chunk_size).min(self.holdings.len());
        let mut result = ChunkResult {
            index,
            first: first + 1,
            of: self.holdings.len(),
            rows: Vec::with_capacity(end - first),
            shocks: vec![money::cents(Decimal::ZERO); self.shocks_bp.len()],
            ladder: [CashAmounts::default(); LADDER_MONTHS],
        };
        let mut scratch = Scratch::default();
        for (offset, position) in self.holdings[first..end].iter().enumerate() {
            if !keep_going() {
                return None;
            }
            match self.value_position(first + offset, position, &mut scratch, keep_going) {
                Ok(contribution) => result.add(contribution),
                Err(Skipped::Unpriceable(error)) => {
                    result.rows.push(HoldingRow::unpriceable(&position.id, position.face, error));
                }
                Err(Skipped::Stopped) => return None,
            }
        }
        Some(result)
    }

    fn value_position(
        &self,
        index: usize,
        position: &Position,
        scratch: &mut Scratch,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Contribution, Skipped> {
        let terms = position.terms.as_deref().map_err(|error| Skipped::Unpriceable(error.clone()))?;
        let at = |field: &str| format!("holdings[{index}].{field}");
        let analytics = terms
            .bond
            .analytics(terms.settlement, terms.quote, scratch)
            .map_err(|error| Skipped::Unpriceable(error.under(&at("quote"))))?;
        let amount = |per_hundred: f64| {
            money::amount(position.face, per_hundred).ok_or_else(|| {
                Skipped::Unpriceable(FieldError::new(
                    at("face"),
                    format!("times a price of {per_hundred} is too large an amount; check face and quote"),
                ))
            })
        };
        let row = HoldingRow {
            id: position.id.clone(),
            face: position.face,
            market_value: Some(amount(analytics.dirty_price)?),
            accrued_value: Some(amount(analytics.accrued)?),
            dv01_value: Some(amount(analytics.dv01)?),
            weight: None,
            analytics: Some(analytics),
            error: None,
        };
        let ladder = self.ladder(terms, scratch, &amount)?;
        let shocks = self.shocked(index, terms, analytics.yield_rate, scratch, keep_going, &amount)?;
        Ok(Contribution { row, shocks, ladder })
    }

    /// Market value of one holding under each shock: every flow discounted again, nothing approximated.
    fn shocked(
        &self,
        index: usize,
        terms: &PricedTerms,
        yield_rate: f64,
        scratch: &mut Scratch,
        keep_going: &dyn Fn() -> bool,
        amount: &dyn Fn(f64) -> Result<Decimal, Skipped>,
    ) -> Result<Vec<Decimal>, Skipped> {
        let mut values = Vec::with_capacity(self.shocks_bp.len());
        for (number, shock) in self.shocks_bp.iter().enumerate() {
            if number % REPRICINGS_PER_CHECK == REPRICINGS_PER_CHECK - 1 && !keep_going() {
                return Err(Skipped::Stopped);
            }
            let shifted = yield_rate + shock / 10_000.0;
            let price = terms.bond.reprice(terms.settlement, shifted, scratch).ok_or_else(|| {
                Skipped::Unpriceable(FieldError::new(
                    format!("shocksBp[{number}]"),
                    format!(
                        "{shock} bp takes the yield of holdings[{index}] to {shifted}, where it has no price"
                    ),
                ))
            })?;
            values.push(amount(price)?);
        }
        Ok(values)
    }

    /// Coupons and redemptions by month of payment.
    fn ladder(
        &self,
        terms: &PricedTerms,
        scratch: &Scratch,
        amount: &dyn Fn(f64) -> Result<Decimal, Skipped>,
    ) -> Result<[CashAmounts; LADDER_MONTHS], Skipped> {
        let mut ladder = [CashAmounts::default(); LADDER_MONTHS];
        for payment in terms.bond.payments(scratch) {
            let Some(month) = payment.date.and_then(|date| self.ladder_month(date)) else { continue };
            ladder[month].coupons += amount(payment.coupon)?;
            ladder[month].redemptions += amount(payment.redemption)?;
        }
        Ok(ladder)
    }

    /// Months from valuation to `date`, when the ladder covers it.
    fn ladder_month(&self, date: Date) -> Option<usize> {
        let months = |date: Date| i32::from(date.year()) * 12 + i32::from(date.month());
        let distance = months(date) - months(self.valuation_date);
        usize::try_from(distance).ok().filter(|month| *month < LADDER_MONTHS)
    }

    /// The months of the ladder with their sums.
    pub(super) fn label_ladder(&self, sums: &[CashAmounts; LADDER_MONTHS]) -> Vec<CashMonth> {
        let start = i32::from(self.valuation_date.year()) * 12 + i32::from(self.valuation_date.month()) - 1;
        (start..)
            .zip(sums)
            .map(|(index, sums)| CashMonth {
                month: format!("{:04}-{:02}", index.div_euclid(12), index.rem_euclid(12) + 1),
                coupons: money::cents(sums.coupons),
                redemptions: money::cents(sums.redemptions),
            })
            .collect()
    }
}

impl ChunkResult {
    fn add(&mut self, contribution: Contribution) {
        self.rows.push(contribution.row);
        for (sum, value) in self.shocks.iter_mut().zip(contribution.shocks) {
            *sum += value;
        }
        for (sum, value) in self.ladder.iter_mut().zip(contribution.ladder) {
            sum.coupons += value.coupons;
            sum.redemptions += value.redemptions;
        }
    }
}
