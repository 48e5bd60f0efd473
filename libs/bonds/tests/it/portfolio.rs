//! Funds: the example, sums, limits, strictness, cancellation, and independence of chunking.

use std::cell::Cell;

use fundbond_bonds::{LimitKind, Portfolio, PortfolioRequest, PortfolioResult};
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::{Value, json};

const EXAMPLE: &str = include_str!("../../../../examples/fund.json");

fn example() -> Value {
    serde_json::from_str(EXAMPLE).unwrap()
}

fn portfolio(body: Value) -> Portfolio {
    PortfolioRequest::from_value(body).unwrap().validate().unwrap()
}

fn value_in(portfolio: &Portfolio, order: &[usize]) -> PortfolioResult {
    let chunks = order.iter().map(|index| portfolio.value_chunk(*index, &|| true).unwrap()).collect();
    portfolio.finish(chunks).unwrap()
}

fn value(body: Value) -> PortfolioResult {
    let portfolio = portfolio(body);
    value_in(&portfolio, &(0..portfolio.chunks()).collect::<Vec<_>>())
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[test]
fn the_example_fund_prices_every_holding_and_breaches_one_limit() {
    let body = example();
    assert!(body["holdings"].as_array().unwrap().len() >= 40);
    let portfolio = portfolio(body);
    assert_eq!(portfolio.chunks(), portfolio_size().div_ceil(8));
    let result = value_in(&portfolio, &(0..portfolio.chunks()).collect::<Vec<_>>());
    let summary = &result.summary;
    assert_eq!((summary.priced, summary.unpriceable), (portfolio_size(), 0));
    assert_eq!(summary.nav, summary.market_value + summary.cash - summary.liabilities);
    let rows: Decimal = result.rows.iter().map(|row| row.market_value.unwrap()).sum();
    assert_eq!(rows, summary.market_value);
    let kinds: Vec<_> = summary.limit_breaches.iter().map(|breach| breach.kind).collect();
    assert_eq!(kinds, [LimitKind::MaxHoldingWeight]);
    assert_eq!(summary.cash_ladder.len(), 12);
    assert_eq!(summary.cash_ladder[0].month, "2026-06");
    assert_eq!(summary.cash_ladder[11].month, "2027-05");
    assert!(
        result.rows.iter().any(|row| row.accrued_value.unwrap() < Decimal::ZERO),
        "one gilt is ex-coupon"
    );
    // Losses grow with the shock and are smaller than the gains of the opposite one: convexity.
    let change = |bp: f64| summary.shocks.iter().find(|shock| (shock.bp - bp).abs() < 1e-9).unwrap().change;
    assert!(change(100.0) < change(50.0) && change(50.0) < Decimal::ZERO);
    assert!(change(-100.0) > -change(100.0));
    let ratio = change(25.0) / summary.dv01 / Decimal::from(-25);
    assert!((ratio - Decimal::ONE).abs() < decimal("0.02"), "{ratio}");
}

fn portfolio_size() -> usize {
    example()["holdings"].as_array().unwrap().len()
}

#[test]
fn a_rerun_is_byte_identical_and_results_survive_json() {
    let text = serde_json::to_string(&value(example())).unwrap();
    assert_eq!(text, serde_json::to_string(&value(example())).unwrap());
    let read: PortfolioResult = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
}

#[test]
fn a_request_survives_json() {
    let request = PortfolioRequest::from_json(EXAMPLE).unwrap();
    let text = serde_json::to_string(&request).unwrap();
    assert_eq!(PortfolioRequest::from_json(&text).unwrap(), request);
}

fn two_holdings() -> Value {
    json!({
        "valuationDate": "2026-06-15",
        "holdings": [
            {"instrument": {"id": "PAR", "type": "fixed", "datedDate": "2025-06-15", "maturityDate": "2030-06-15",
              "couponRate": 0.04, "frequency": 2, "dayCount": "30/360 US"}, "face": 1000, "quote": {"yield": 0.04}},
            {"instrument": {"id": "BILL", "type": "bill", "datedDate": "2026-04-02", "maturityDate": "2026-10-01"},
              "face": "2000.50", "quote": {"cleanPrice": 98.75}},
        ],
        "cash": "100.25", "liabilities": 50, "unitsOutstanding": 30,
    })
}

#[test]
fn a_small_fund_can_be_checked_by_hand() {
    let result = value(two_holdings());
    let summary = &result.summary;
    // 1000 at par plus 2000.50 x 0.9875 = 1975.49375, half-even to cents.
    assert_eq!(summary.market_value, decimal("2975.49"));
    assert_eq!(summary.nav, decimal("3025.74"));
    assert_eq!(summary.nav_per_unit, decimal("100.858000"));
    assert_eq!(summary.accrued, decimal("0.00"));
    let december = &summary.cash_ladder[6];
    assert_eq!((december.month.as_str(), december.coupons), ("2026-12", decimal("20.00")));
    let october = &summary.cash_ladder[4];
    assert_eq!((october.coupons, october.redemptions), (decimal("0.00"), decimal("2000.50")));
    assert_eq!(
        summary.cash_ladder[0].coupons,
        decimal("0.00"),
        "a coupon paid on settlement day is not ours"
    );
    let total: f64 = result.rows.iter().map(|row| row.weight.unwrap()).sum();
    assert!((total - 2975.49 / 3025.74).abs() < 1e-12);
}

#[test]
fn an_unpriceable_holding_is_listed_and_fails_only_a_strict_task() {
    let mut body = two_holdings();
    body["holdings"][0]["instrument"] = json!({"id": "FRN", "type": "floating", "spread": 0.01});
    let result = value(body.clone());
    assert_eq!((result.summary.priced, result.summary.unpriceable), (1, 1));
    let error = result.rows[0].error.as_ref().unwrap();
    assert_eq!(error.field, "holdings[0].instrument.type");
    assert!(error.message.contains("floating"));
    assert!(result.rows[0].market_value.is_none());

    body["strict"] = json!(true);
    let portfolio = portfolio(body);
    let chunk = portfolio.value_chunk(0, &|| true).unwrap();
    assert_eq!(chunk.message(), "holdings 1-2 of 2: 1 priced, 1 unpriceable, market value 1,975.49");
    let failure = portfolio.finish(vec![chunk]).unwrap_err();
    assert_eq!(failure.reasons.len(), 1);
    assert!(
        failure.to_string().starts_with("1 of 2 holdings could not be priced: holdings[0].instrument.type:")
    );
}

#[test]
fn a_shock_no_price_exists_under_makes_the_holding_unpriceable_by_name() {
    let mut body = two_holdings();
    // Half a percent less a hundred points leaves less than the lowest yield there is a price for.
    body["holdings"][0]["quote"] = json!({"yield": 0.005});
    body["shocksBp"] = json!([25, -10_000]);
    let result = value(body);
    assert_eq!((result.summary.priced, result.summary.unpriceable), (1, 1));
    let error = result.rows[0].error.as_ref().unwrap();
    assert_eq!(error.field, "shocksBp[1]");
}

#[test]
fn a_missing_chunk_is_refused_and_a_repeated_one_counts_once() {
    let mut body = two_holdings();
    body["chunkSize"] = json!(1);
    let portfolio = portfolio(body);
    let chunk = |index| portfolio.value_chunk(index, &|| true).unwrap();
    assert_eq!(portfolio.chunks(), 2);
    assert!(chunk(7).message().contains("0 priced"));
    let failure = portfolio.finish(vec![chunk(1)]).unwrap_err();
    assert_eq!(failure.reasons[0].field, "holdings[0]");
    let once = portfolio.finish(vec![chunk(0), chunk(1)]).unwrap();
    assert_eq!(portfolio.finish(vec![chunk(1), chunk(0), chunk(1)]).unwrap(), once);
}

#[test]
fn a_chunk_stops_between_holdings_and_between_repricings() {
    let mut body = two_holdings();
    assert!(portfolio(body.clone()).value_chunk(0, &|| false).is_none());
    body["shocksBp"] = json!(vec![1; 1000]);
    let portfolio = portfolio(body);
    let asked = Cell::new(0);
    let stop_at = |limit: u32| {
        asked.set(0);
        portfolio.value_chunk(0, &|| {
            asked.set(asked.get() + 1);
            asked.get() < limit
        })
    };
    assert!(stop_at(u32::MAX).is_some());
    assert!(asked.get() > 20, "asked {} times", asked.get());
    assert!(stop_at(5).is_none());
    assert_eq!(asked.get(), 5);
}

#[test]
fn limits_are_checked_in_the_order_given() {
    let mut body = two_holdings();
    body["shocksBp"] = json!([100]);
    body["limits"] = json!([
        {"kind": "maxModifiedDuration", "value": 1.0},
        {"kind": "minModifiedDuration", "value": 1.0},
        {"kind": "maxDv01", "value": 0.1},
        {"kind": "maxHoldingWeight", "value": 0.3},
        {"kind": "minCashWeight", "value": 0.5},
        {"kind": "minWeightedYield", "value": 0.5},
        {"kind": "minNavPerUnit", "value": 100.858},
        {"kind": "maxShockLoss", "value": 0.001},
    ]);
    let breaches = value(body).summary.limit_breaches;
    let kinds: Vec<_> = breaches.iter().map(|breach| breach.kind).collect();
    assert_eq!(
        kinds,
        [
            LimitKind::MaxModifiedDuration,
            LimitKind::MaxDv01,
            LimitKind::MaxHoldingWeight,
            LimitKind::MinCashWeight,
            LimitKind::MinWeightedYield,
            LimitKind::MaxShockLoss
        ]
    );
    assert_eq!((breaches[2].holding_id.as_deref(), breaches[2].holdings), (Some("BILL"), Some(2)));
}

#[test]
fn every_bad_request_field_is_named_at_once() {
    let body = json!({
        "valuationDate": "1800-01-01", "holdings": [{"instrument": {"id": "A"}, "face": 0, "quote": {}}],
        "cash": 1e16, "liabilities": -1, "unitsOutstanding": 0, "shocksBp": [0, 10_001], "chunkSize": 1001,
        "limits": [{"kind": "maxHoldingWeight", "value": 7}], "settlementDays": 32,
    });
    let errors = PortfolioRequest::from_value(body).unwrap().validate().unwrap_err();
    let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "valuationDate",
            "settlementDays",
            "holdings[0].face",
            "cash",
            "liabilities",
            "unitsOutstanding",
            "shocksBp[1]",
            "chunkSize",
            "limits[0].value"
        ]
    );
}

#[test]
fn a_body_that_does_not_fit_is_named_by_path() {
    let check = |pointer: &str, value: Value, field: &str| {
        let mut body = two_holdings();
        match pointer.rsplit_once('/') {
            Some((parent, name)) => body.pointer_mut(parent).unwrap()[name] = value,
            None => panic!("a pointer starts with a slash"),
        }
        let by_value = PortfolioRequest::from_value(body.clone()).unwrap_err();
        assert_eq!(by_value.field, field, "{by_value}");
        assert_eq!(PortfolioRequest::from_json(&body.to_string()).unwrap_err().field, field);
    };
    check("/extra", json!(1), "extra");
    check("/holdings/1/face", json!("many"), "holdings[1].face");
    check("/holdings/1/instrument/colour", json!("red"), "holdings[1].instrument.colour");
    check("/holdings/0/quote/settlementDate", json!("soon"), "holdings[0].quote.settlementDate");
    check("/limits", json!([{"kind": "maxFun", "value": 1}]), "limits[0].kind");
    check("/chunkSize", json!(-1), "chunkSize");
    let missing = PortfolioRequest::from_value(json!({"holdings": []})).unwrap_err();
    assert_eq!(missing.field, "valuationDate");
}

proptest! {
    #[test]
    fn neither_chunk_size_nor_chunk_order_changes_a_byte(size in 1..60_u32, seed in any::<u64>()) {
        let mut body = example();
        let whole = serde_json::to_string(&value(body.clone())).unwrap();
        body["chunkSize"] = json!(size);
        let portfolio = portfolio(body);
        let mut order: Vec<usize> = (0..portfolio.chunks()).collect();
        order.sort_by_key(|index| seed.rotate_left(u32::try_from(*index).unwrap() * 7) ^ 0x9e37_79b9);
        let shuffled = serde_json::to_string(&value_in(&portfolio, &order)).unwrap();
        prop_assert_eq!(whole, shuffled);
    }
}
