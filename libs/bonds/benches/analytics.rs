//! How many full analytics a core does in a second: schedule, accrued, price or yield, durations, convexity.
//!
//! Each iteration starts from a validated instrument and builds its schedule and flows anew. `mixed` is the line to
//! quote: ten bonds of different conventions, half from price and half from yield.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fundbond_bonds::{Bond, Instrument, QuoteValue, Scratch, Settlement};
use serde_json::json;

fn bond(extra: &serde_json::Value) -> Bond {
    let mut fields = json!({
        "id": "bench", "type": "fixed", "datedDate": "2022-05-15", "maturityDate": "2032-05-15",
        "couponRate": 0.028_75, "frequency": 2, "dayCount": "ACT/ACT ICMA",
    });
    let (Some(target), Some(extra)) = (fields.as_object_mut(), extra.as_object()) else {
        unreachable!("both are literals")
    };
    target.extend(extra.clone());
    let instrument: Instrument = serde_json::from_value(fields).expect("a valid literal");
    Bond::try_from(&instrument).expect("a valid instrument")
}

fn settlement() -> Settlement {
    Settlement::new(jiff::civil::date(2026, 6, 17)).expect("in range")
}

fn bonds() -> Vec<Bond> {
    [
        json!({}),
        json!({"compounding": "simple_then_compounded"}),
        json!({"dayCount": "30/360 US", "couponRate": 0.051}),
        json!({"maturityDate": "2051-02-15", "datedDate": "2021-02-15", "couponRate": 0.018_75}),
        json!({"dayCount": "ACT/365F", "paymentCalendar": "us_gov", "paymentConvention": "following"}),
        json!({"dayCount": "30E/360", "frequency": 1, "yieldFrequency": 2}),
        json!({"frequency": 4, "dayCount": "ACT/360", "paymentCalendar": "target", "paymentConvention": "following"}),
        json!({"paymentCalendar": "uk", "paymentConvention": "following", "exCouponDays": 6, "exCouponCalendar": "uk"}),
        json!({"dayCount": "ACT/ACT ISDA"}),
        json!({"firstCouponDate": "2022-11-15", "datedDate": "2022-03-01", "endOfMonth": false}),
    ]
    .iter()
    .map(bond)
    .collect()
}

fn run(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("analytics");
    let mut scratch = Scratch::default();
    let settlement = settlement();
    let bonds = bonds();

    group.throughput(Throughput::Elements(1));
    for (name, quote) in
        [("10y from price", QuoteValue::CleanPrice(87.78)), ("10y from yield", QuoteValue::Yield(0.0475))]
    {
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(&bonds[0]).analytics(settlement, black_box(quote), &mut scratch));
        });
    }

    group.throughput(Throughput::Elements(bonds.len() as u64));
    group.bench_function("mixed", |bencher| {
        bencher.iter(|| {
            for (index, bond) in bonds.iter().enumerate() {
                let quote =
                    if index % 2 == 0 { QuoteValue::CleanPrice(93.5) } else { QuoteValue::Yield(0.0475) };
                black_box(bond.analytics(settlement, black_box(quote), &mut scratch)).expect("priced");
            }
        });
    });
    group.finish();
}

criterion_group!(benches, run);
criterion_main!(benches);
