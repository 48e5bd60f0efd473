//! Bad input: each mistake is answered with the path of its field and a fix.

use fundbond_bonds::price_line;
use serde_json::{Value, json};

fn valid() -> Value {
    json!({
        "instrument": {
            "id": "A", "type": "fixed", "datedDate": "2022-05-15", "maturityDate": "2032-05-15",
            "couponRate": 0.028_75, "frequency": 2, "dayCount": "ACT/ACT ICMA",
        },
        "quote": {"settlementDate": "2024-06-26", "yield": 0.0475},
    })
}

/// The answer to the valid line with `pointer` set to `value` (or removed when null).
fn answer(pointer: &str, value: Value) -> Value {
    let mut line = valid();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = line.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(name);
    } else {
        parent.insert(name.to_owned(), value);
    }
    let priced = price_line(&line.to_string());
    let answer: Value = serde_json::from_str(&priced.line).unwrap();
    assert_eq!(priced.failed, answer.get("error").is_some());
    answer
}

#[track_caller]
fn check(pointer: &str, value: Value, field: &str, hint: &str) {
    let answer = answer(pointer, value);
    let error = &answer["error"];
    assert_eq!(error["field"], field, "{answer}");
    assert!(error["message"].as_str().unwrap().contains(hint), "{answer}");
    if pointer != "/instrument/id" {
        assert_eq!(answer["id"], "A");
    }
}

#[test]
fn a_valid_line_is_answered_with_its_id_and_analytics() {
    let priced = price_line(&valid().to_string());
    assert!(!priced.failed);
    assert!(!priced.line.contains('\n'));
    let answer: Value = serde_json::from_str(&priced.line).unwrap();
    assert_eq!(answer["id"], "A");
    assert_eq!(answer["nextCouponDate"], "2024-11-15");
    assert!((answer["cleanPrice"].as_f64().unwrap() - 87.783_729_747_861).abs() < 1e-8);
    assert!(answer.get("discountRate").is_none());
}

#[test]
fn each_bad_instrument_field_is_named() {
    check("/instrument/id", json!(""), "instrument.id", "required");
    check("/instrument/id", json!("x".repeat(129)), "instrument.id", "128");
    check("/instrument/type", Value::Null, "instrument.type", "fixed, zero or bill");
    check("/instrument/type", json!("putable"), "instrument.type", "fixed, zero or bill");
    check("/instrument/datedDate", Value::Null, "instrument.datedDate", "required");
    check("/instrument/datedDate", json!("1899-12-31"), "instrument.datedDate", "1900");
    check("/instrument/datedDate", json!("2022-02-30"), "instrument.datedDate", "day");
    check("/instrument/maturityDate", json!("2022-05-15"), "instrument.maturityDate", "after datedDate");
    check("/instrument/maturityDate", json!("2201-01-01"), "instrument.maturityDate", "2200");
    check("/instrument/couponRate", json!(4.5), "instrument.couponRate", "decimal fractions");
    check("/instrument/couponRate", json!(-0.01), "instrument.couponRate", "outside 0");
    check("/instrument/couponRate", json!("4%"), "instrument.couponRate", "invalid type");
    check("/instrument/couponRate", Value::Null, "instrument.couponRate", "required");
    check("/instrument/couponRates", json!([0.01]), "instrument.couponRates", "not both");
    check("/instrument/frequency", json!(3), "instrument.frequency", "1, 2, 4 or 12");
    check("/instrument/frequency", Value::Null, "instrument.frequency", "required");
    check("/instrument/dayCount", json!("ACT/ACT"), "instrument.dayCount", "ACT/ACT ICMA");
    check("/instrument/dayCount", Value::Null, "instrument.dayCount", "required");
    check(
        "/instrument/firstCouponDate",
        json!("2022-05-15"),
        "instrument.firstCouponDate",
        "after datedDate",
    );
    check(
        "/instrument/penultimateCouponDate",
        json!("2033-01-01"),
        "instrument.penultimateCouponDate",
        "maturityDate",
    );
    check("/instrument/exCouponDays", json!(91), "instrument.exCouponDays", "90");
    check("/instrument/redemption", json!(0), "instrument.redemption", "above 0");
    check("/instrument/yieldFrequency", json!(0), "instrument.yieldFrequency", "1, 2, 4 or 12");
    check("/instrument/paymentCalendar", json!("nyse"), "instrument.paymentCalendar", "us_gov");
    check("/instrument/coupon", json!(0.01), "instrument.coupon", "unknown field");
    check("/instrument/", json!(0.01), "instrument.\"\"", "unknown field");
}

#[test]
fn a_life_of_more_periods_than_are_supported_is_refused() {
    let mut line = valid();
    line["instrument"]["datedDate"] = json!("1900-01-01");
    line["instrument"]["maturityDate"] = json!("2200-12-31");
    assert!(!price_line(&line.to_string()).failed, "600 half-years are fine");
    line["instrument"]["frequency"] = json!(12);
    for rule in ["backward", "forward"] {
        line["instrument"]["scheduleRule"] = json!(rule);
        let answer: Value = serde_json::from_str(&price_line(&line.to_string()).line).unwrap();
        assert_eq!(answer["error"]["field"], "instrument.maturityDate");
        assert!(answer["error"]["message"].as_str().unwrap().contains("2000 coupon periods"), "{answer}");
    }
}

#[test]
fn instruments_that_need_a_model_are_refused_by_name_whatever_fields_they_carry() {
    for name in ["floating", "index_linked", "callable"] {
        check("/instrument/type", json!(name), "instrument.type", name);
        let line = json!({
            "instrument": {"spread": 0.01, "index": {"name": "x"}, "id": "F", "type": name},
            "quote": {"settlementDate": "2024-06-26", "yield": 0.0475},
        });
        let answer: Value = serde_json::from_str(&price_line(&line.to_string()).line).unwrap();
        assert_eq!(answer["error"]["field"], "instrument.type", "{answer}");
        assert_eq!(answer["id"], "F");
    }
}

#[test]
fn each_bad_quote_field_is_named() {
    check("/quote/settlementDate", Value::Null, "quote.settlementDate", "required");
    check("/quote/settlementDate", json!("2022-05-14"), "quote.settlementDate", "datedDate");
    check("/quote/settlementDate", json!("2032-05-15"), "quote.settlementDate", "last payment");
    check("/quote/yield", Value::Null, "quote.cleanPrice", "exactly one");
    check("/quote/cleanPrice", json!(100), "quote.cleanPrice", "exactly one");
    check("/quote/discountRate", json!(0.01), "quote.discountRate", "exactly one");
    check("/quote/yield", json!(-1.5), "quote.yield", "decimal fraction");
    check("/quote/yield", json!(1e300), "quote.yield", "decimal fraction");
    check("/quote/price", json!(100), "quote.price", "unknown field");
    check("/quote", Value::Null, "quote", "missing field");
}

#[test]
fn step_coupons_must_cover_every_period() {
    let mut line = valid();
    line["instrument"].as_object_mut().unwrap().remove("couponRate");
    line["instrument"]["couponRates"] = json!(vec![0.03; 19]);
    let answer = price_line(&line.to_string());
    assert!(answer.line.contains("has 19 rates but the schedule has 20"), "{}", answer.line);
    line["instrument"]["couponRates"] = json!(vec![0.03; 20]);
    assert!(!price_line(&line.to_string()).failed);
}

#[test]
fn fields_without_a_meaning_for_the_type_are_refused() {
    let zero = json!({"id": "Z", "type": "zero", "datedDate": "2024-01-01", "maturityDate": "2030-01-01", "dayCount": "ACT/365F"});
    let bill = json!({"id": "B", "type": "bill", "datedDate": "2024-01-04", "maturityDate": "2024-07-04"});
    let run = |base: &Value, name: &str, value: Value, quote: Value| {
        let mut instrument = base.clone();
        instrument[name] = value;
        let line = json!({"instrument": instrument, "quote": quote});
        serde_json::from_str::<Value>(&price_line(&line.to_string()).line).unwrap()
    };
    let at = json!({"settlementDate": "2024-02-01", "yield": 0.04});
    for (name, value) in [
        ("couponRate", json!(0.01)),
        ("frequency", json!(2)),
        ("firstCouponDate", json!("2025-01-01")),
        ("exCouponDays", json!(3)),
    ] {
        for base in [&zero, &bill] {
            assert_eq!(
                run(base, name, value.clone(), at.clone())["error"]["field"],
                format!("instrument.{name}")
            );
        }
    }
    for (name, value) in [
        ("compounding", json!("simple")),
        ("yieldFrequency", json!(2)),
        ("redemption", json!(101)),
        ("dayCount", json!("ACT/365F")),
        ("paymentConvention", json!("following")),
        ("maturityDate", json!("2026-01-01")),
    ] {
        assert_eq!(run(&bill, name, value, at.clone())["error"]["field"], format!("instrument.{name}"));
    }
    let discount = json!({"settlementDate": "2024-02-01", "discountRate": 0.04});
    assert_eq!(run(&zero, "id", json!("Z"), discount.clone())["error"]["field"], "quote.discountRate");
    assert!(run(&bill, "id", json!("B"), discount)["investmentRate"].is_number());
}

#[test]
fn a_line_that_is_no_json_is_still_answered() {
    for line in
        ["", "{", "null", "[]", "{\"instrument\":1}", "\u{0}", "{\"instrument\":{\"id\":\"Q\",\"x\":1}}"]
    {
        let answer = price_line(line);
        assert!(answer.failed);
        let value: Value = serde_json::from_str(&answer.line).unwrap();
        assert!(value["error"]["message"].is_string(), "{line} -> {value}");
        if line.contains('Q') {
            assert_eq!(value["id"], "Q");
        }
    }
    assert!(price_line(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).failed);
}
