//! Properties that hold for every instrument, and for every input.

use fundbond_bonds::{Analytics, Instrument, Quote, price, price_line};
use jiff::civil::Date;
use proptest::prelude::*;
use serde_json::{Value, json};

const DAY_COUNTS: [&str; 7] =
    ["ACT/ACT ICMA", "ACT/ACT ISDA", "ACT/365F", "ACT/360", "30/360 US", "30/360 BondBasis", "30E/360"];
const CALENDARS: [&str; 6] = ["none", "weekend", "us_gov", "uk", "target", "au"];
const CONVENTIONS: [&str; 4] = ["unadjusted", "following", "modified_following", "preceding"];
const COMPOUNDINGS: [&str; 4] = ["compounded", "simple", "simple_then_compounded", "continuous"];

fn pick(names: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(names)
}

fn date(years: std::ops::RangeInclusive<i16>) -> impl Strategy<Value = Date> {
    (years, 1..=12_i8, 1..=31_i8).prop_map(|(year, month, day)| {
        (28..=day.max(28)).rev().find_map(|last| Date::new(year, month, day.min(last)).ok()).unwrap()
    })
}

fn conventions() -> impl Strategy<Value = Value> {
    (
        pick(&DAY_COUNTS),
        (pick(&CALENDARS), pick(&CONVENTIONS), pick(&CALENDARS), pick(&CONVENTIONS)),
        (0..12_u32, pick(&CALENDARS)),
        pick(&COMPOUNDINGS),
        prop::sample::select(vec![1, 2, 4, 12]),
        any::<(bool, bool)>(),
    )
        .prop_map(
            |(
                day_count,
                (schedule, accrual, payment, paid),
                (ex, ex_calendar),
                compounding,
                yields,
                (end, forward),
            )| {
                json!({
                    "dayCount": day_count, "scheduleCalendar": schedule, "accrualConvention": accrual,
                    "paymentCalendar": payment, "paymentConvention": paid, "exCouponDays": ex,
                    "exCouponCalendar": ex_calendar, "compounding": compounding, "yieldFrequency": yields,
                    "endOfMonth": end, "scheduleRule": if forward { "forward" } else { "backward" },
                })
            },
        )
}

/// A bond that can be priced (30 days to 40 years, settled well before its end) with a sensible yield.
fn priceable() -> impl Strategy<Value = (Instrument, Date, f64)> {
    let terms = (date(1950..=2100), 60..14_600_i32, 0.0..0.15_f64, prop::sample::select(vec![1, 2, 4, 12]));
    (terms, conventions(), 0.0..0.9_f64, -0.02..0.25_f64, 50.0..150.0_f64).prop_map(
        |((dated, life, coupon, frequency), mut fields, share, yield_rate, redemption)| {
            let later = |days: i32| dated.checked_add(jiff::Span::new().days(days)).unwrap();
            fields["id"] = json!("P");
            fields["type"] = json!("fixed");
            fields["datedDate"] = json!(dated);
            fields["maturityDate"] = json!(later(life));
            fields["couponRate"] = json!(coupon);
            fields["frequency"] = json!(frequency);
            fields["redemption"] = json!(redemption);
            #[expect(clippy::cast_possible_truncation, reason = "a share of a small number of days")]
            let age = (f64::from(life - 35) * share) as i32;
            (serde_json::from_value(fields).unwrap(), later(age.max(15)), yield_rate)
        },
    )
}

fn at_yield(instrument: &Instrument, settlement: Date, rate: f64) -> Analytics {
    let quote = Quote { settlement_date: Some(settlement), yield_rate: Some(rate), ..Quote::default() };
    price(instrument, &quote, None).unwrap()
}

/// Any JSON value a field could be given, near its meaning or far from it.
fn wild(meant: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    prop_oneof![
        6 => meant,
        1 => Just(Value::Null),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => any::<i64>().prop_map(|number| json!(number)),
        1 => ".{0,12}".prop_map(Value::from),
        1 => prop::collection::vec(any::<f64>(), 0..5).prop_map(|numbers| json!(numbers)),
    ]
    .boxed()
}

fn wild_line() -> impl Strategy<Value = String> {
    let any_date = || wild(date(-9999..=9999).prop_map(|date| json!(date)));
    let near_date = || wild(date(1895..=2205).prop_map(|date| json!(date)));
    let rate = || wild((-2.0..2.0_f64).prop_map(|rate| json!(rate)));
    let dates = (near_date(), near_date(), any_date(), any_date(), near_date());
    let kind = wild(pick(&["fixed", "zero", "bill", "floating"]).prop_map(Value::from));
    let frequency = wild(prop::sample::select(vec![1, 2, 4, 12, 0, 365]).prop_map(|count| json!(count)));
    let quote = (rate(), wild((-10.0..300.0_f64).prop_map(|price| json!(price))), 0..4_u8);
    let numbers = (rate(), wild((-10..200_i32).prop_map(|days| json!(days))), rate());
    (dates, kind, frequency, conventions(), quote, numbers).prop_map(
        |(
            (dated, maturity, first, penultimate, settlement),
            kind,
            frequency,
            mut fields,
            (rate, price, which),
            (coupon, ex, redemption),
        )| {
            let mut set = |name: &str, value: Value| {
                if value.is_null() {
                    fields.as_object_mut().unwrap().remove(name);
                } else {
                    fields[name] = value;
                }
            };
            set("id", json!("W"));
            set("type", kind);
            set("datedDate", dated);
            set("maturityDate", maturity);
            set("couponRate", coupon);
            set("frequency", frequency);
            if which > 1 {
                set("firstCouponDate", first);
                set("penultimateCouponDate", penultimate);
                set("exCouponDays", ex);
                set("redemption", redemption);
            }
            let name = ["yield", "cleanPrice", "discountRate", "yield"][usize::from(which)];
            let value = if which == 1 { price } else { rate };
            json!({"instrument": fields, "quote": {"settlementDate": settlement, name: value}}).to_string()
        },
    )
}

proptest! {
    #[test]
    fn price_and_yield_invert_each_other((instrument, settlement, rate) in priceable()) {
        let there = at_yield(&instrument, settlement, rate);
        prop_assume!(there.clean_price > 0.0);
        let quote = Quote {
            settlement_date: Some(settlement), clean_price: Some(there.clean_price), ..Quote::default()
        };
        let back = price(&instrument, &quote, None).unwrap();
        prop_assert!((back.yield_rate - rate).abs() < 1e-10, "{} != {rate}", back.yield_rate);
        prop_assert!((back.modified_duration - there.modified_duration).abs() < 1e-7);
    }

    #[test]
    fn price_falls_as_yield_rises((instrument, settlement, rate) in priceable()) {
        let low = at_yield(&instrument, settlement, rate);
        let high = at_yield(&instrument, settlement, rate + 0.001);
        prop_assert!(high.dirty_price < low.dirty_price);
        prop_assert!(low.modified_duration > 0.0 && low.convexity > 0.0 && low.macaulay_duration > 0.0);
    }

    #[test]
    fn durations_are_the_derivatives_of_the_price((instrument, settlement, rate) in priceable()) {
        let step = 1e-5;
        let middle = at_yield(&instrument, settlement, rate);
        let below = at_yield(&instrument, settlement, rate - step).dirty_price;
        let above = at_yield(&instrument, settlement, rate + step).dirty_price;
        let duration = (below - above) / (2.0 * step) / middle.dirty_price;
        prop_assert!((duration - middle.modified_duration).abs() < 1e-4 * (1.0 + duration.powi(3)));
        let convexity = (below + above - 2.0 * middle.dirty_price) / (step * step) / middle.dirty_price;
        prop_assert!((convexity - middle.convexity).abs() < 1e-3 * (1.0 + convexity.abs()));
        prop_assert!((middle.dv01 - middle.modified_duration * middle.dirty_price / 1e4).abs() < 1e-12);
        prop_assert!((middle.dirty_price - middle.clean_price - middle.accrued).abs() < 1e-9);
    }

    #[test]
    fn no_input_panics_and_every_line_has_one_json_answer(line in wild_line()) {
        let answer = price_line(&line);
        let value: Value = serde_json::from_str(&answer.line).unwrap();
        prop_assert_eq!(answer.failed, value.get("error").is_some());
        prop_assert!(!answer.line.contains('\n'));
    }

    #[test]
    fn no_text_panics(line in "\\PC{0,200}") {
        prop_assert!(price_line(&line).failed);
    }
}
