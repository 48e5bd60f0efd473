//! A valuation as text: figures, shocks, limits and the next twelve months of cash.

use std::io::{self, Write};

use fundbond_bonds::{CashMonth, LimitBreach, PortfolioSummary, ShockResult};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde_json::Value;

use super::{
    printable,
    text::{Style, bar, grouped},
};
use crate::output;

/// Columns of the longest bar: a ladder line then fits 80 columns with any amount a fund has.
const BAR_WIDTH: usize = 40;
/// A curve has a dozen shocks; a stress run has up to a thousand, which no person reads.
const MAX_SHOCKS: usize = 24;
/// Everything below the line of the final event is indented by this.
const INDENT: &str = "  ";

/// How many holdings of a valuation have no price; 0 for other results.
pub fn unpriced(result: &Value) -> usize {
    summary_of(result).map_or(0, |summary| summary.unpriceable)
}

fn summary_of(result: &Value) -> Option<PortfolioSummary> {
    // Another kind of task has another result, which is no error.
    serde_json::from_value(result.clone()).ok()
}

/// Writes a task's result: a valuation as its figures, anything else field by field.
pub(super) fn write(out: &mut dyn Write, style: Style, result: &Value) -> io::Result<()> {
    writeln!(out)?;
    match summary_of(result) {
        Some(summary) => valuation(out, style, &summary)?,
        None => fields(out, style, result)?,
    }
    if let Some(rows) = result.get("rows").and_then(Value::as_str) {
        writeln!(out, "\n{INDENT}{}", style.dim(&format!("holding by holding: GET {}", printable(rows))))?;
    }
    writeln!(out)
}

fn valuation(out: &mut dyn Write, style: Style, summary: &PortfolioSummary) -> io::Result<()> {
    figures(out, style, summary)?;
    if summary.unpriceable > 0 {
        let text = format!(
            "{} of {} holdings have no price and add nothing to these sums",
            summary.unpriceable,
            summary.priced + summary.unpriceable
        );
        writeln!(out, "{INDENT}{}", style.bad(&text))?;
    }
    if !summary.shocks.is_empty() {
        shocks(out, style, &summary.shocks)?;
    }
    if !summary.limit_breaches.is_empty() {
        breaches(out, style, &summary.limit_breaches)?;
    }
    ladder(out, style, &summary.cash_ladder)
}

fn figures(out: &mut dyn Write, style: Style, summary: &PortfolioSummary) -> io::Result<()> {
    let rows = [
        ("NAV", money(summary.nav)),
        ("NAV per unit", money(summary.nav_per_unit)),
        ("Market value", money(summary.market_value)),
        ("Accrued", money(summary.accrued)),
        ("Cash", money(summary.cash)),
        ("Liabilities", money(summary.liabilities)),
        ("Yield", percent(summary.weighted_yield)),
        ("Macaulay duration", format!("{:.4}", summary.macaulay_duration)),
        ("Modified duration", format!("{:.4}", summary.modified_duration)),
        ("Convexity", format!("{:.4}", summary.convexity)),
        ("DV01", money(summary.dv01)),
        ("Holdings priced", summary.priced.to_string()),
    ];
    let table = output::columns(&[1], rows.map(|(name, value)| vec![name.to_owned(), value]));
    for (index, line) in table.lines().enumerate() {
        // The one figure that everybody looks for.
        let line = if index == 0 { style.bold(line) } else { line.to_owned() };
        writeln!(out, "{INDENT}{line}")?;
    }
    Ok(())
}

fn shocks(out: &mut dyn Write, style: Style, shocks: &[ShockResult]) -> io::Result<()> {
    let shown = &shocks[..shocks.len().min(MAX_SHOCKS)];
    let rows = shown.iter().map(|shock| {
        let before = shock.nav - shock.change;
        let share = match (shock.change.to_f64(), before.to_f64()) {
            (Some(change), Some(before)) if before > 0.0 => signed_percent(change / before),
            _ => "-".to_owned(),
        };
        vec![format!("{:+} bp", shock.bp), money(shock.nav), signed_money(shock.change), share]
    });
    let table = output::table(&["SHOCK", "NAV", "CHANGE", "CHANGE %"], &[0, 1, 2, 3], rows);
    block(out, style, &table)?;
    match shocks.len() - shown.len() {
        0 => Ok(()),
        more => writeln!(out, "{INDENT}{}", style.dim(&format!("and {more} more shocks"))),
    }
}

fn breaches(out: &mut dyn Write, style: Style, breaches: &[LimitBreach]) -> io::Result<()> {
    let rows = breaches.iter().map(|breach| {
        let kind = serde_json::to_value(breach.kind).ok();
        let kind = kind.as_ref().and_then(Value::as_str).unwrap_or("limit").to_owned();
        let worst = match (&breach.holding_id, breach.holdings) {
            (Some(id), Some(count)) if count > 1 => format!("{} and {} more", printable(id), count - 1),
            (Some(id), _) => printable(id).into_owned(),
            (None, _) => String::new(),
        };
        vec![kind, short(breach.limit), short(breach.actual), worst]
    });
    let table = output::table(&["LIMIT BROKEN", "ALLOWED", "ACTUAL", "HOLDING"], &[1, 2], rows);
    writeln!(out)?;
    for line in table.lines() {
        writeln!(out, "{INDENT}{}", style.bad(line))?;
    }
    Ok(())
}

fn ladder(out: &mut dyn Write, style: Style, months: &[CashMonth]) -> io::Result<()> {
    let total = |month: &CashMonth| month.coupons + month.redemptions;
    let largest = months.iter().map(total).max().and_then(|most| most.to_f64()).unwrap_or_default();
    let share =
        |amount: Decimal| if largest > 0.0 { amount.to_f64().unwrap_or_default() / largest } else { 0.0 };
    let amounts: Vec<String> = months.iter().map(|month| money(total(month))).collect();
    let width = amounts.iter().map(String::len).max().unwrap_or_default();
    writeln!(out)?;
    writeln!(out, "{INDENT}{}", style.dim("CASH IN THE NEXT MONTHS (█ coupons and redemptions)"))?;
    for (month, amount) in months.iter().zip(&amounts) {
        let bar = bar(share(total(month)), BAR_WIDTH);
        let line = format!("{}  {amount:>width$}  {}", printable(&month.month), style.step(&bar));
        writeln!(out, "{INDENT}{}", line.trim_end())?;
    }
    Ok(())
}

fn block(out: &mut dyn Write, style: Style, table: &str) -> io::Result<()> {
    writeln!(out)?;
    for (index, line) in table.lines().enumerate() {
        let line = if index == 0 { style.dim(line) } else { line.to_owned() };
        writeln!(out, "{INDENT}{line}")?;
    }
    Ok(())
}

fn fields(out: &mut dyn Write, style: Style, result: &Value) -> io::Result<()> {
    let rows = match result {
        Value::Object(fields) => fields.iter().map(|(name, value)| vec![plain(name), text(value)]).collect(),
        other => vec![vec!["result".to_owned(), text(other)]],
    };
    for line in output::columns(&[], rows).lines() {
        writeln!(out, "{INDENT}{}", style.bold(line))?;
    }
    Ok(())
}

fn plain(text: &str) -> String {
    printable(text).into_owned()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    }
}

fn money(amount: Decimal) -> String {
    grouped(&amount.to_string())
}

fn signed_money(amount: Decimal) -> String {
    if amount > Decimal::ZERO { format!("+{}", money(amount)) } else { money(amount) }
}

fn percent(fraction: f64) -> String {
    format!("{:.3} %", fraction * 100.0)
}

fn signed_percent(fraction: f64) -> String {
    format!("{:+.2} %", fraction * 100.0)
}

/// At most six decimals, and none that say nothing.
fn short(number: f64) -> String {
    let text = format!("{number:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    grouped(text)
}
