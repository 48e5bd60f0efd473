//! Holds a CSV of US Treasuries against itself: prices every security, and calculates the yield of each auction
//! price at issue, which must be the yield that the Treasury published, to the published 0.001 %.
//!
//!     cargo run -p fundbond-bonds --example auction_check -- FILE

use std::{
    error::Error,
    io::{Write as _, stdout},
    process::ExitCode,
};

use fundbond_bonds::{auction_check, portfolio_from_treasury_csv};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("name the CSV file")?;
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let mut out = stdout().lock();
    let mut worst: f64 = 0.0;
    let mut wrong = 0;
    let checks = auction_check(&text)?;
    let published = checks.iter().filter(|check| check.published_pct.is_some()).count();
    for check in &checks {
        let Some(pct) = check.published_pct else { continue };
        worst = worst.max((check.yield_pct - pct).abs());
        if check.agrees() != Some(true) {
            wrong += 1;
            writeln!(out, "{}: {} % calculated, {pct} % published", check.id, check.yield_pct)?;
        }
    }
    let fund = portfolio_from_treasury_csv(&text)?.validate().map_err(|errors| format!("{errors:?}"))?;
    let chunks = (0..fund.chunks()).filter_map(|index| fund.value_chunk(index, &|| true)).collect();
    let summary = fund.finish(chunks)?.summary;
    writeln!(out, "priced: {} of {}", summary.priced, checks.len())?;
    writeln!(
        out,
        "auction yields: {} of {published} agree, worst difference {worst:.1e} %",
        published - wrong
    )?;
    Ok(if wrong == 0 && summary.unpriceable == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
