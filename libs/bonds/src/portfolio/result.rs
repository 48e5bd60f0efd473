//! The valuation: sums over all chunks, and what they say about the fund.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::chunk::{CashAmounts, ChunkResult, LADDER_MONTHS};
use super::limits::LimitBreach;
use super::money;
use super::request::Portfolio;
use crate::error::FieldError;
use crate::quote::Analytics;

/// Reasons a refused valuation spells out; the rest is counted.
const SPELLED_REASONS: usize = 5;

/// A finished valuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortfolioResult {
    /// The fund as a whole.
    pub summary: PortfolioSummary,
    /// One row a holding, in the order of the request.
    pub rows: Vec<HoldingRow>,
}

/// The fund as a whole. Amounts are decimal strings; ratios and analytics are numbers.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortfolioSummary {
    /// Net assets: market value plus cash less liabilities.
    pub nav: Decimal,
    /// `nav / unitsOutstanding`, six decimals.
    pub nav_per_unit: Decimal,
    /// Of the priced holdings, accrued interest included.
    pub market_value: Decimal,
    /// Accrued interest of the priced holdings.
    pub accrued: Decimal,
    /// As given.
    pub cash: Decimal,
    /// As given.
    pub liabilities: Decimal,
    /// Mean yield, weighted like the durations and convexity by market value.
    pub weighted_yield: f64,
    /// Years.
    pub macaulay_duration: f64,
    /// Years.
    pub modified_duration: f64,
    /// Years squared.
    pub convexity: f64,
    /// Amount lost when every yield rises by one basis point.
    pub dv01: Decimal,
    /// Twelve calendar months from the month of valuation on.
    pub cash_ladder: Vec<CashMonth>,
    /// One entry a requested shock, in the order of the request.
    pub shocks: Vec<ShockResult>,
    /// Limits that are not kept, in the order of the request.
    pub limit_breaches: Vec<LimitBreach>,
    /// Holdings with a price.
    pub priced: usize,
    /// Holdings without one; they add nothing to any sum.
    pub unpriceable: usize,
}

/// What holders of one month's coupons and redemptions receive.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CashMonth {
    /// `YYYY-MM`.
    pub month: String,
    /// Interest paid.
    pub coupons: Decimal,
    /// Principal paid.
    pub redemptions: Decimal,
}

/// The fund after a parallel shift of all yields.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShockResult {
    /// Basis points.
    pub bp: f64,
    /// Of all priced holdings, fully repriced.
    pub market_value: Decimal,
    /// Net assets.
    pub nav: Decimal,
    /// Against the unshocked net assets.
    pub change: Decimal,
}

/// One holding: its figures, or the reason there are none.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldingRow {
    /// The instrument's id.
    pub id: String,
    /// As given.
    pub face: Decimal,
    /// Accrued interest included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub market_value: Option<Decimal>,
    /// Accrued interest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accrued_value: Option<Decimal>,
    /// Amount lost for one basis point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dv01_value: Option<Decimal>,
    /// Market value over net assets; absent when net assets are not above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Per 100 face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analytics: Option<Analytics>,
    /// Why it could not be priced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<FieldError>,
}

/// A strict valuation with holdings that could not be priced, or one whose chunks were not all valued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrictFailure {
    /// Why each of them failed, in holding order.
    pub reasons: Vec<FieldError>,
    /// All holdings of the fund.
    pub holdings: usize,
}

impl std::error::Error for StrictFailure {}

impl std::fmt::Display for StrictFailure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} of {} holdings could not be priced", self.reasons.len(), self.holdings)?;
        for (index, reason) in self.reasons.iter().take(SPELLED_REASONS).enumerate() {
            write!(formatter, "{} {reason}", if index == 0 { ":" } else { ";" })?;
        }
        match self.reasons.len().saturating_sub(SPELLED_REASONS) {
            0 => Ok(()),
            more => write!(formatter, "; and {more} more"),
        }
    }
}

impl PortfolioSummary {
    /// A short text for the event that ends the valuation.
    pub fn message(&self) -> String {
        let holdings = if self.priced == 1 { "holding" } else { "holdings" };
        let nav = money::grouped(self.nav);
        match self.unpriceable {
            0 => format!("{} {holdings} priced, NAV {nav}", self.priced),
            odd => format!("{} {holdings} priced and {odd} not, NAV {nav}", self.priced),
        }
    }
}

impl HoldingRow {
    pub(super) fn unpriceable(id: &str, face: Decimal, error: FieldError) -> Self {
        Self {
            id: id.to_owned(),
            face,
            market_value: None,
            accrued_value: None,
            dv01_value: None,
            weight: None,
            analytics: None,
            error: Some(error),
        }
    }
}

impl Portfolio {
    /// Sums the chunks, in whatever order they come.
    pub fn finish(&self, mut chunks: Vec<ChunkResult>) -> Result<PortfolioResult, StrictFailure> {
        chunks.sort_by_key(ChunkResult::index);
        chunks.dedup_by_key(|chunk| chunk.index);
        self.check_complete(&chunks)?;
        let mut shocks = vec![Decimal::ZERO; self.shocks_bp.len()];
        let mut ladder = [CashAmounts::default(); LADDER_MONTHS];
        let mut rows = Vec::with_capacity(self.holdings.len());
        for chunk in chunks {
            for (sum, value) in shocks.iter_mut().zip(&chunk.shocks) {
                *sum += value;
            }
            for (sum, value) in ladder.iter_mut().zip(&chunk.ladder) {
                sum.coupons += value.coupons;
                sum.redemptions += value.redemptions;
            }
            rows.extend(chunk.rows);
        }
        if self.strict && rows.iter().any(|row| row.error.is_some()) {
            let reasons = rows.into_iter().filter_map(|row| row.error).collect();
            return Err(StrictFailure { reasons, holdings: self.holdings.len() });
        }
        let mut summary = self.summarise(&rows);
        summary.cash_ladder = self.label_ladder(&ladder);
        summary.shocks = self.label_shocks(&shocks, &summary);
        let nav = money::float(summary.nav);
        if nav > 0.0 {
            for row in &mut rows {
                row.weight = row.market_value.map(|value| money::float(value) / nav);
            }
        }
        summary.limit_breaches =
            self.limits.iter().filter_map(|limit| limit.breach(&summary, &rows)).collect();
        Ok(PortfolioResult { summary, rows })
    }

    /// A sum over some of the chunks would look like a valuation and be none.
    fn check_complete(&self, chunks: &[ChunkResult]) -> Result<(), StrictFailure> {
        let mut reasons = Vec::new();
        for index in 0..self.chunks() {
            if chunks.binary_search_by_key(&index, ChunkResult::index).is_err() {
                let first = index * self.chunk_size;
                let end = (first + self.chunk_size).min(self.holdings.len());
                reasons.extend(
                    (first..end)
                        .map(|holding| FieldError::new(format!("holdings[{holding}]"), "was never valued")),
                );
            }
        }
        if reasons.is_empty() {
            Ok(())
        } else {
            Err(StrictFailure { reasons, holdings: self.holdings.len() })
        }
    }

    /// Everything that follows from the rows alone.
    fn summarise(&self, rows: &[HoldingRow]) -> PortfolioSummary {
        let zero = money::cents(Decimal::ZERO);
        let (mut market_value, mut accrued, mut dv01) = (zero, zero, zero);
        let mut weighted = Weighted::default();
        let mut priced = 0;
        for row in rows {
            let (Some(analytics), Some(value)) = (&row.analytics, row.market_value) else { continue };
            priced += 1;
            market_value += value;
            accrued += row.accrued_value.unwrap_or_default();
            dv01 += row.dv01_value.unwrap_or_default();
            weighted.add(money::float(value), analytics);
        }
        let nav = market_value + money::cents(self.cash) - money::cents(self.liabilities);
        PortfolioSummary {
            nav,
            nav_per_unit: money::per_unit(nav, self.units_outstanding),
            market_value,
            accrued,
            cash: money::cents(self.cash),
            liabilities: money::cents(self.liabilities),
            weighted_yield: weighted.mean(weighted.yield_rate),
            macaulay_duration: weighted.mean(weighted.macaulay),
            modified_duration: weighted.mean(weighted.modified),
            convexity: weighted.mean(weighted.convexity),
            dv01,
            cash_ladder: Vec::new(),
            shocks: Vec::new(),
            limit_breaches: Vec::new(),
            priced,
            unpriceable: rows.len() - priced,
        }
    }

    fn label_shocks(&self, values: &[Decimal], summary: &PortfolioSummary) -> Vec<ShockResult> {
        self.shocks_bp
            .iter()
            .zip(values)
            .map(|(bp, value)| ShockResult {
                bp: *bp,
                market_value: money::cents(*value),
                nav: summary.nav + (value - summary.market_value),
                change: value - summary.market_value,
            })
            .collect()
    }
}

/// Sums of figures times market value, added in holding order.
#[derive(Default)]
struct Weighted {
    value: f64,
    yield_rate: f64,
    macaulay: f64,
    modified: f64,
    convexity: f64,
}

impl Weighted {
    fn add(&mut self, value: f64, analytics: &Analytics) {
        self.value += value;
        self.yield_rate += value * analytics.yield_rate;
        self.macaulay += value * analytics.macaulay_duration;
        self.modified += value * analytics.modified_duration;
        self.convexity += value * analytics.convexity;
    }

    /// 0 for a fund without a priced holding.
    fn mean(&self, sum: f64) -> f64 {
        if self.value > 0.0 { sum / self.value } else { 0.0 }
    }
}
