//! Reference figures: published worked examples and rows computed by an independent library.

use std::collections::HashMap;

use fundbond_bonds::{Analytics, Instrument, Quote, price};
use serde_json::{Map, Value, json};

const BONDS: &str = include_str!("../vectors/bond_vectors.csv");
/// More combinations of conventions, in the same columns; figures of this crate that an independent library agreed
/// with to 1e-10 when they were written.
const EXTRA: &str = include_str!("../vectors/extra_vectors.csv");
const BILLS: &str = include_str!("../vectors/bill_vectors.csv");

type Row = HashMap<String, String>;

fn rows(text: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

fn bonds() -> Vec<Row> {
    let mut all = rows(BONDS);
    all.extend(rows(EXTRA));
    all
}

fn number(row: &Row, column: &str) -> Option<f64> {
    let text = row[column].as_str();
    (!text.is_empty()).then(|| text.parse().unwrap())
}

/// The instrument of a row; columns that are empty, or say the default of a zero, are left out.
fn instrument(row: &Row) -> Instrument {
    let zero = row["kind"] == "zero";
    let mut fields = Map::new();
    let mut text = |name: &str, column: &str| {
        if !row[column].is_empty() {
            fields.insert(name.into(), Value::from(row[column].clone()));
        }
    };
    text("id", "id");
    text("datedDate", "dated_date");
    text("firstCouponDate", "first_coupon");
    text("penultimateCouponDate", "penultimate_coupon");
    text("maturityDate", "maturity");
    text("dayCount", "day_count");
    text("scheduleRule", "rule");
    text("scheduleCalendar", "schedule_calendar");
    text("accrualConvention", "accrual_bdc");
    text("paymentCalendar", "payment_calendar");
    text("paymentConvention", "payment_bdc");
    text("exCouponCalendar", "ex_coupon_calendar");
    text("compounding", "compounding");
    fields.insert("type".into(), json!(if zero { "zero" } else { "fixed" }));
    fields.insert("endOfMonth".into(), json!(row["eom"] == "1"));
    fields.insert("exCouponDays".into(), json!(row["ex_coupon_days"].parse::<u32>().unwrap()));
    fields.insert("redemption".into(), json!(number(row, "redemption").unwrap()));
    fields.insert("yieldFrequency".into(), json!(row["yield_frequency"].parse::<u32>().unwrap()));
    if !zero {
        fields.insert("frequency".into(), json!(row["frequency"].parse::<u32>().unwrap()));
        let rates: Vec<f64> = row["coupon"].split('|').map(|rate| rate.parse().unwrap()).collect();
        match rates.as_slice() {
            [rate] => fields.insert("couponRate".into(), json!(rate)),
            _ => fields.insert("couponRates".into(), json!(rates)),
        };
    }
    serde_json::from_value(Value::Object(fields)).unwrap()
}

fn quote(row: &Row, column: &str) -> Quote {
    let (value, date) = (number(row, column), Some(row["settlement"].parse().unwrap()));
    match column {
        "yield" => Quote { settlement_date: date, yield_rate: value, ..Quote::default() },
        _ => Quote { settlement_date: date, clean_price: value, ..Quote::default() },
    }
}

#[track_caller]
fn close(id: &str, what: &str, got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance, "{id} {what}: got {got}, want {want}");
}

/// Figures that do not depend on which way the row is priced.
fn check_common(row: &Row, got: &Analytics) {
    let id = &row["id"];
    close(id, "accrued", got.accrued, number(row, "accrued").unwrap(), 1e-8);
    assert_eq!(got.flow_count.to_string(), row["n_flows"], "{id} flow count");
    let date = |date: Option<jiff::civil::Date>| date.map(|date| date.to_string()).unwrap_or_default();
    assert_eq!(date(got.previous_coupon_date), row["prev_coupon"], "{id}");
    assert_eq!(date(got.next_coupon_date), row["next_coupon"], "{id}");
    if !row["accrued_days"].is_empty() {
        assert_eq!(got.accrued_days.to_string(), row["accrued_days"], "{id} accrued days");
    }
    if let Some(duration) = number(row, "mac_dur") {
        close(id, "Macaulay duration", got.macaulay_duration, duration, 1e-8);
    }
    close(id, "modified duration", got.modified_duration, number(row, "mod_dur").unwrap(), 1e-8);
    close(id, "convexity", got.convexity, number(row, "convexity").unwrap(), 1e-7);
    close(id, "dv01", got.dv01, number(row, "dv01").unwrap(), 1e-9);
    // A difference quotient over one basis point: right to the third derivative only.
    if let Some(by_difference) = number(row, "dv01_fd") {
        close(id, "dv01 by difference", got.dv01, by_difference, 1e-6);
    }
}

fn check_published(row: &Row, got: &Analytics) {
    let Some(want) = number(row, "published") else { return };
    let field = row["published_field"].as_str();
    let got = match field {
        "clean" => got.clean_price,
        "dirty" => got.dirty_price,
        "accrued" => got.accrued,
        "ytm" => got.yield_rate,
        "mac_dur" => got.macaulay_duration,
        "mod_dur" => got.modified_duration,
        other => panic!("{}: unknown published field {other}", row["id"]),
    };
    close(&row["id"], &format!("published {field}"), got, want, number(row, "tol").unwrap());
}

#[test]
fn every_bond_vector_gives_its_price_from_its_yield() {
    for row in bonds() {
        let got = price(&instrument(&row), &quote(&row, "yield"), None).unwrap();
        let id = &row["id"];
        // A yield that was solved for is given to 12 decimals; the price then has some 1e-12 x dv01 x 1e4 of slack.
        close(id, "clean", got.clean_price, number(&row, "clean").unwrap(), 1e-8);
        close(id, "dirty", got.dirty_price, number(&row, "dirty").unwrap(), 1e-8);
        check_common(&row, &got);
        check_published(&row, &got);
    }
}

#[test]
fn every_bond_vector_gives_its_yield_from_its_price() {
    for row in bonds() {
        let got = price(&instrument(&row), &quote(&row, "clean"), None).unwrap();
        let id = &row["id"];
        close(id, "yield", got.yield_rate, number(&row, "ytm").unwrap(), 1e-10);
        close(id, "dirty", got.dirty_price, number(&row, "dirty").unwrap(), 1e-8);
        check_common(&row, &got);
        check_published(&row, &got);
    }
}

#[test]
fn a_long_first_period_is_simple_only_up_to_the_quasi_coupon_date() {
    // 31 CFR 356 App. B II.C publishes 99.805118 for this bond.
    let row = rows(BONDS).into_iter().find(|row| row["id"] == "cfr_IIC_long_first").unwrap();
    let mut bond = instrument(&row);
    bond.compounding = Some(fundbond_bonds::Compounding::SimpleThenCompounded);
    let got = price(&bond, &quote(&row, "yield"), None).unwrap();
    close("cfr_IIC", "clean", got.clean_price, 99.805_118, 5e-7);
}

#[test]
fn every_bill_vector_is_reproduced() {
    for row in rows(BILLS) {
        let id = &row["id"];
        let bill: Instrument = serde_json::from_value(json!({
            "id": id, "type": "bill", "datedDate": row["issue"], "maturityDate": row["maturity"],
        }))
        .unwrap();
        let settlement_date = Some(row["issue"].parse().unwrap());
        let want_price = number(&row, "price").unwrap();
        let want_rate = number(&row, "investment_rate").unwrap();
        let from_price = Quote { settlement_date, clean_price: Some(want_price), ..Quote::default() };
        let mut quotes = vec![from_price];
        if let Some(rate) = number(&row, "discount_rate") {
            quotes.push(Quote { settlement_date, discount_rate: Some(rate), ..Quote::default() });
        }
        quotes.push(Quote { settlement_date, yield_rate: Some(want_rate), ..Quote::default() });
        for quote in quotes {
            let got = price(&bill, &quote, None).unwrap();
            close(id, "price", got.clean_price, want_price, 1e-8);
            close(id, "investment rate", got.investment_rate.unwrap(), want_rate, 1e-10);
            close(id, "yield", got.yield_rate, want_rate, 1e-10);
            if let Some(rate) = number(&row, "discount_rate") {
                // Six decimals of price leave the rate a slack of 360 / (100 x days) half units.
                close(id, "discount rate", got.discount_rate.unwrap(), rate, 1e-7);
            }
            if let Some(published) = number(&row, "published_rate_pct") {
                close(id, "published rate", got.yield_rate * 100.0, published, 5e-4);
            }
        }
        if let Some(published) = number(&row, "published_price") {
            close(id, "published price", want_price, published, 5e-5);
        }
    }
}
