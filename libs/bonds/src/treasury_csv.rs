//! United States Treasury securities from a CSV of auction results and end-of-day prices.
//!
//! Columns: `cusip, type (bill | note | bond), coupon, maturity, dated_date, issue_date, day_count, frequency,
//! auction_price, auction_yield_pct, price_date, fedinvest_buy, fedinvest_sell`. Others are left alone.

use std::str::FromStr;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::day::Day;
use crate::day_count::DayCount;
use crate::error::FieldError;
use crate::instrument::{Compounding, Instrument, InstrumentType};
use crate::portfolio::{Holding, PortfolioRequest};
use crate::quote::{Quote, price};

/// Face of each holding.
const FACE: i64 = 1_000_000;
/// Units are 100 of face each, so that the price of a unit reads like the price of a bond.
const FACE_PER_UNIT: i64 = 100;
/// Auction yields are published in percent with three decimals.
const PUBLISHED_STEP_PCT: f64 = 0.001;

/// One line of the file.
struct Row {
    instrument: Instrument,
    issue_date: Date,
    auction_price: f64,
    auction_yield_pct: Option<f64>,
    price_date: Date,
    sell_price: f64,
}

/// What an auction's price says about its yield, next to the yield the Treasury published.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuctionCheck {
    /// CUSIP.
    pub id: String,
    /// Yield of the auction price at issue, in percent, rounded to three decimals.
    pub yield_pct: f64,
    /// As published; bills have none in this file.
    pub published_pct: Option<f64>,
}

impl AuctionCheck {
    /// Whether the published yield is reproduced; `None` where none was published.
    pub fn agrees(&self) -> Option<bool> {
        // Both are multiples of the step; half of it separates equal from unequal.
        self.published_pct.map(|published| (published - self.yield_pct).abs() < PUBLISHED_STEP_PCT / 2.0)
    }
}

/// The file as a fund: 1,000,000 face of each security, valued and settled on the price date at the sell price.
pub fn portfolio_from_treasury_csv(text: &str) -> Result<PortfolioRequest, FieldError> {
    let rows = read(text)?;
    let Some(valuation_date) = rows.first().map(|row| row.price_date) else {
        return Err(FieldError::new("line 2", "is missing: the file has no securities"));
    };
    if let Some(index) = rows.iter().position(|row| row.price_date != valuation_date) {
        return Err(at(
            index,
            "price_date",
            &format!("differs from the first line's {valuation_date}; a fund has one valuation date"),
        ));
    }
    let holdings: Vec<Holding> = rows
        .into_iter()
        .map(|row| Holding {
            instrument: row.instrument,
            face: Decimal::from(FACE),
            quote: Quote { settlement_date: Some(valuation_date), ..Quote::clean_price(row.sell_price) },
        })
        .collect();
    let count = i64::try_from(holdings.len()).unwrap_or(i64::MAX / FACE);
    Ok(PortfolioRequest {
        valuation_date,
        settlement_days: 0,
        holdings,
        cash: Decimal::ZERO,
        liabilities: Decimal::ZERO,
        units_outstanding: Decimal::from(count.saturating_mul(FACE / FACE_PER_UNIT)),
        shocks_bp: Vec::new(),
        chunk_size: None,
        limits: Vec::new(),
        strict: false,
    })
}

/// Prices every security at its auction: settled on the issue date, at the auction price.
pub fn auction_check(text: &str) -> Result<Vec<AuctionCheck>, FieldError> {
    read(text)?
        .into_iter()
        .enumerate()
        .map(|(index, row)| {
            let quote =
                Quote { settlement_date: Some(row.issue_date), ..Quote::clean_price(row.auction_price) };
            let analytics = price(&row.instrument, &quote, None)
                .map_err(|error| at(index, &error.field, &error.message))?;
            let percent = analytics.yield_rate * 100.0;
            Ok(AuctionCheck {
                id: row.instrument.id,
                yield_pct: (percent / PUBLISHED_STEP_PCT).round() * PUBLISHED_STEP_PCT,
                published_pct: row.auction_yield_pct,
            })
        })
        .collect()
}

/// Lines are counted as an editor does: the header is line 1.
fn at(index: usize, column: &str, message: &str) -> FieldError {
    FieldError::new(format!("line {}, {column}", index + 2), message)
}

fn read(text: &str) -> Result<Vec<Row>, FieldError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|error| FieldError::new("line 1", error.to_string()))?.clone();
    reader
        .records()
        .enumerate()
        .map(|(index, record)| {
            let record =
                record.map_err(|error| FieldError::new(format!("line {}", index + 2), error.to_string()))?;
            row(&Line { index, headers: &headers, record: &record })
        })
        .collect()
}

/// One record with its column names.
struct Line<'a> {
    index: usize,
    headers: &'a csv::StringRecord,
    record: &'a csv::StringRecord,
}

impl Line<'_> {
    fn text(&self, column: &str) -> Result<&str, FieldError> {
        let position = self.headers.iter().position(|name| name == column);
        position
            .and_then(|position| self.record.get(position))
            .ok_or_else(|| at(self.index, column, "is missing: add the column"))
    }

    fn optional<T: FromStr>(&self, column: &str) -> Result<Option<T>, FieldError>
    where
        T::Err: std::fmt::Display,
    {
        match self.text(column)? {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|error| at(self.index, column, &format!("{text:?} cannot be read: {error}"))),
        }
    }

    fn required<T: FromStr>(&self, column: &str) -> Result<T, FieldError>
    where
        T::Err: std::fmt::Display,
    {
        self.optional(column)?.ok_or_else(|| at(self.index, column, "is empty: fill it in"))
    }
}

fn row(line: &Line<'_>) -> Result<Row, FieldError> {
    let issue_date: Date = line.required("issue_date")?;
    let maturity: Date = line.required("maturity")?;
    let base = Instrument {
        id: line.text("cusip")?.to_owned(),
        maturity_date: Some(maturity),
        ..Instrument::default()
    };
    let instrument = match line.text("type")? {
        // A bill accrues nothing: it starts when it is issued.
        "bill" => Instrument { kind: Some(InstrumentType::Bill), dated_date: Some(issue_date), ..base },
        "note" | "bond" => coupon_security(line, base, maturity)?,
        other => {
            return Err(at(line.index, "type", &format!("{other:?} is unknown; use bill, note or bond")));
        }
    };
    Ok(Row {
        instrument,
        issue_date,
        auction_price: line.required("auction_price")?,
        auction_yield_pct: line.optional("auction_yield_pct")?,
        price_date: line.required("price_date")?,
        sell_price: line.required("fedinvest_sell")?,
    })
}

fn coupon_security(line: &Line<'_>, base: Instrument, maturity: Date) -> Result<Instrument, FieldError> {
    if line.text("day_count")? != "ACT/ACT ICMA" {
        return Err(at(line.index, "day_count", "must be ACT/ACT ICMA for notes and bonds"));
    }
    Ok(Instrument {
        kind: Some(InstrumentType::Fixed),
        dated_date: Some(line.required("dated_date")?),
        coupon_rate: Some(line.required("coupon")?),
        frequency: Some(line.required("frequency")?),
        day_count: Some(DayCount::ActActIcma),
        end_of_month: Some(Day::from(maturity).is_month_end()),
        compounding: Some(Compounding::SimpleThenCompounded),
        ..base
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "cusip,type,coupon,maturity,dated_date,issue_date,day_count,frequency,auction_price,auction_yield_pct,price_date,fedinvest_buy,fedinvest_sell\n";

    fn file(lines: &str) -> String {
        format!("{HEADER}{lines}")
    }

    #[test]
    fn a_par_auction_yields_its_coupon_and_a_wrong_yield_is_noticed() {
        let text = file(
            "MADEUP001,note,0.04,2030-02-28,2023-02-28,2023-02-28,ACT/ACT ICMA,2,100,4.000,2024-06-25,98,98\n\
             MADEUP002,bond,0.05,2043-08-15,2023-08-15,2023-08-15,ACT/ACT ICMA,2,100,4.999,2024-06-25,98,98\n\
             MADEUP003,bill,0,2024-09-05,,2024-03-07,ACT/360 discount,0,97.4,,2024-06-25,99,99\n",
        );
        let checks = auction_check(&text).unwrap();
        let agrees: Vec<_> = checks.iter().map(AuctionCheck::agrees).collect();
        assert_eq!(agrees, [Some(true), Some(false), None]);
        assert!((checks[1].yield_pct - 5.0).abs() < 1e-12);
        assert_eq!(checks[2].published_pct, None);
    }

    #[test]
    fn a_bill_is_dated_on_its_issue_date_and_a_month_end_maturity_sets_end_of_month() {
        let text = file(
            "MADEUP001,note,0.04,2030-02-28,2023-02-28,2023-02-28,ACT/ACT ICMA,2,100,4.000,2024-06-25,98,97.5\n\
             MADEUP003,bill,0,2024-09-05,,2024-03-07,ACT/360 discount,0,97.4,,2024-06-25,99,98.9\n",
        );
        let request = portfolio_from_treasury_csv(&text).unwrap();
        assert_eq!(request.valuation_date.to_string(), "2024-06-25");
        assert_eq!(request.units_outstanding, Decimal::from(20_000));
        let [note, bill] = request.holdings.as_slice() else { panic!("two holdings") };
        assert_eq!(note.instrument.end_of_month, Some(true));
        assert_eq!(note.quote.clean_price, Some(97.5));
        assert_eq!(bill.instrument.dated_date.unwrap().to_string(), "2024-03-07");
        let portfolio = request.validate().unwrap();
        let chunk = portfolio.value_chunk(0, &|| true).unwrap();
        assert_eq!((chunk.priced(), chunk.unpriceable()), (2, 0));
    }

    #[test]
    fn a_bad_cell_is_named_by_line_and_column() {
        let check = |lines: &str, field: &str| {
            assert_eq!(portfolio_from_treasury_csv(&file(lines)).unwrap_err().field, field);
        };
        check("", "line 2");
        check(
            "A,note,x,2030-02-28,2023-02-28,2023-02-28,ACT/ACT ICMA,2,100,4,2024-06-25,98,98\n",
            "line 2, coupon",
        );
        check(
            "A,frn,0,2030-02-28,2023-02-28,2023-02-28,ACT/ACT ICMA,2,100,4,2024-06-25,98,98\n",
            "line 2, type",
        );
        check(
            "A,note,0.04,2030-02-30,2023-02-28,2023-02-28,ACT/ACT ICMA,2,100,4,2024-06-25,98,98\n",
            "line 2, maturity",
        );
        check("A,note,0.04\n", "line 2");
        assert_eq!(portfolio_from_treasury_csv("a,b\n1,2\n").unwrap_err().field, "line 2, issue_date");
    }
}
