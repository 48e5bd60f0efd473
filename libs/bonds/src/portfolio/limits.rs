//! Investment limits: what a fund promises, and where it does not keep it.

use serde::{Deserialize, Serialize};

use super::money::{cents, float};
use super::result::{HoldingRow, PortfolioSummary};
use crate::error::FieldError;

/// What a limit bounds.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LimitKind {
    /// Modified duration of the holdings, in years, at most.
    MaxModifiedDuration,
    /// Modified duration of the holdings, in years, at least.
    MinModifiedDuration,
    /// Loss for one basis point, as an amount, at most.
    MaxDv01,
    /// Market value of the largest holding over net assets, a fraction, at most.
    MaxHoldingWeight,
    /// Cash over net assets, a fraction, at least.
    MinCashWeight,
    /// Market-value-weighted yield of the holdings, a fraction, at least.
    MinWeightedYield,
    /// Net assets of one unit, at least.
    MinNavPerUnit,
    /// Loss under the worst requested shock over net assets, a fraction, at most.
    MaxShockLoss,
}

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limit {
    /// What it bounds.
    pub kind: LimitKind,
    /// The bound, in the unit of the kind.
    pub value: f64,
}

/// A limit that is not kept.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitBreach {
    /// Which limit.
    pub kind: LimitKind,
    /// What it allows.
    pub limit: f64,
    /// What was found.
    pub actual: f64,
    /// The holding that is worst, for limits on single holdings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holding_id: Option<String>,
    /// How many holdings are over, for limits on single holdings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdings: Option<usize>,
}

impl Limit {
    /// Field names are those of the limit.
    pub(super) fn check(&self, shocks: &[f64]) -> Result<(), FieldError> {
        if !self.value.is_finite() {
            return Err(FieldError::new("value", "must be a finite number"));
        }
        let fraction = matches!(
            self.kind,
            LimitKind::MaxHoldingWeight | LimitKind::MinCashWeight | LimitKind::MaxShockLoss
        );
        if fraction && !(0.0..=1.0).contains(&self.value) {
            return Err(FieldError::new(
                "value",
                format!(
                    "{} is outside 0 to 1: it is a fraction of net assets, so write 10 % as 0.1",
                    self.value
                ),
            ));
        }
        if self.value < 0.0 && self.kind != LimitKind::MinWeightedYield {
            return Err(FieldError::new("value", format!("{} must not be negative", self.value)));
        }
        if self.kind == LimitKind::MaxShockLoss && shocks.is_empty() {
            return Err(FieldError::new("kind", "maxShockLoss needs at least one entry in shocksBp"));
        }
        Ok(())
    }

    /// The breach of this limit, if there is one. A figure that does not exist (a weight of no net assets) is one:
    /// the promise cannot be shown to hold.
    pub(super) fn breach(&self, summary: &PortfolioSummary, rows: &[HoldingRow]) -> Option<LimitBreach> {
        let (limit, nav) = (self.value, float(summary.nav));
        let found =
            |actual: f64| LimitBreach { kind: self.kind, limit, actual, holding_id: None, holdings: None };
        let at_most = |actual: f64| (actual > limit).then(|| found(actual));
        let at_least = |actual: f64| (actual < limit).then(|| found(actual));
        match self.kind {
            LimitKind::MaxModifiedDuration => at_most(summary.modified_duration),
            LimitKind::MinModifiedDuration => at_least(summary.modified_duration),
            LimitKind::MaxDv01 => at_most(float(summary.dv01)),
            LimitKind::MinWeightedYield => at_least(summary.weighted_yield),
            LimitKind::MinNavPerUnit => at_least(float(summary.nav_per_unit)),
            LimitKind::MinCashWeight => {
                let cash = float(cents(summary.cash));
                if nav > 0.0 { at_least(cash / nav) } else { Some(found(0.0)) }
            }
            LimitKind::MaxShockLoss => {
                let worst = summary.shocks.iter().map(|shock| -float(shock.change)).fold(0.0, f64::max);
                if nav > 0.0 { at_most(worst / nav) } else { Some(found(1.0)) }
            }
            LimitKind::MaxHoldingWeight => largest_holding(rows, limit).map(|(row, weight, count)| {
                LimitBreach { holding_id: Some(row.id.clone()), holdings: Some(count), ..found(weight) }
            }),
        }
    }
}

/// The heaviest holding above `limit`, its weight, and how many are above it.
fn largest_holding(rows: &[HoldingRow], limit: f64) -> Option<(&HoldingRow, f64, usize)> {
    let mut worst: Option<(&HoldingRow, f64)> = None;
    let mut count = 0;
    for row in rows {
        let Some(weight) = row.weight.filter(|weight| *weight > limit) else { continue };
        count += 1;
        if worst.is_none_or(|(_, heaviest)| weight > heaviest) {
            worst = Some((row, weight));
        }
    }
    worst.map(|(row, weight)| (row, weight, count))
}
