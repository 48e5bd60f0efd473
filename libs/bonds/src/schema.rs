//! Schemas of what derives cannot say: decimals that may be written as numbers or as text, and bounds.
//!
//! They describe what is refused with 422. A holding whose instrument or quote is wrong in any other way is accepted
//! and listed in the result with its reason.

use std::borrow::Cow;

use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Object, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema,
        schema::{AdditionalProperties, SchemaType, Type},
    },
};

use crate::{Instrument, Limit};

/// A decimal as a JSON number, or as text where a number would lose digits.
fn decimal(number: ObjectBuilder, pattern: &str, description: &str) -> Schema {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    OneOfBuilder::new().item(number).item(text).description(Some(description)).into()
}

fn number() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Number)
}

/// A day of the years that are priced.
pub(crate) fn valuation_date() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(
            "The day the fund is valued on, of the years 1900 to 2200; the cash ladder starts in its month.",
        ))
        .pattern(Some("^(19[0-9]{2}|2[01][0-9]{2}|2200)-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"))
        .examples([json!("2026-06-15")])
        .build()
}

/// Nominal amount of a holding.
pub(crate) fn face() -> Schema {
    let bounded = number().minimum(Some(0.000_001)).maximum(Some(1e12));
    let pattern = r"^(0\.[0-9]{0,5}[1-9]|[1-9][0-9]{0,11}(\.[0-9]{1,6})?)$";
    decimal(bounded, pattern, "Nominal amount; at least 0.000001, at most 1000000000000.")
}

/// Money in hand.
pub(crate) fn cash() -> Schema {
    let bounded = number().minimum(Some(-1e15)).maximum(Some(1e15));
    decimal(bounded, r"^-?[0-9]{1,15}(\.[0-9]{1,10})?$", "Negative when overdrawn. Default 0.")
}

/// Taken off assets.
pub(crate) fn liabilities() -> Schema {
    let bounded = number().minimum(Some(0.0)).maximum(Some(1e15));
    decimal(bounded, r"^[0-9]{1,15}(\.[0-9]{1,10})?$", "Taken off assets; not negative. Default 0.")
}

/// What net assets are divided by.
pub(crate) fn units() -> Schema {
    let bounded = number().minimum(Some(0.000_001)).maximum(Some(1e15));
    let pattern = r"^(0\.[0-9]{0,5}[1-9]|[1-9][0-9]{0,14}(\.[0-9]{1,6})?)$";
    decimal(bounded, pattern, "Units net assets are divided by; at least 0.000001, at most 1000000000000000.")
}

/// Parallel shifts of all yields.
pub(crate) fn shocks() -> utoipa::openapi::schema::Array {
    utoipa::openapi::schema::ArrayBuilder::new()
        .items(number().minimum(Some(-10_000.0)).maximum(Some(10_000.0)))
        .max_items(Some(1_000))
        .description(Some("Parallel yield shifts in basis points, each a full repricing."))
        .build()
}

/// The types that are priced, or nothing (the holding is then listed as one without a price).
pub(crate) fn priced_type() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some([json!("fixed"), json!("zero"), json!("bill"), json!(null)]))
        .description(Some("Required for a price."))
        .build()
}

/// An instrument that is priced, or one of a type that is known and refused by name.
pub(crate) struct AnyInstrument;

impl PartialSchema for AnyInstrument {
    fn schema() -> RefOr<Schema> {
        let refused = ["floating", "index_linked", "callable"];
        let refused = ObjectBuilder::new()
            .description(Some("Accepted, and listed in the result as not priced; other fields are ignored."))
            .property("id", ObjectBuilder::new().schema_type(Type::String))
            .property("type", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(refused)))
            .required("type")
            .additional_properties(Some(AdditionalProperties::FreeForm(true)));
        OneOfBuilder::new().item(Ref::from_schema_name(Instrument::name())).item(refused).into()
    }
}

impl ToSchema for AnyInstrument {
    fn name() -> Cow<'static, str> {
        "AnyInstrument".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Instrument::name().into_owned(), Instrument::schema()));
        Instrument::schemas(schemas);
    }
}

impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        let of = |kinds: &[&str], description: &str, value: ObjectBuilder| {
            let names = kinds.iter().map(|kind| json!(kind));
            ObjectBuilder::new()
                .description(Some(description))
                .property("kind", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)))
                .property("value", value)
                .required("kind")
                .required("value")
                .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        };
        let fraction =
            "A fraction of net assets: 0.1 is 10 %. `maxShockLoss` needs at least one of `shocksBp`.";
        let amount = "Years for durations, an amount for `maxDv01` and `minNavPerUnit`.";
        OneOfBuilder::new()
            .item(of(
                &["maxHoldingWeight", "minCashWeight", "maxShockLoss"],
                fraction,
                number().minimum(Some(0.0)).maximum(Some(1.0)),
            ))
            .item(of(
                &["maxModifiedDuration", "minModifiedDuration", "maxDv01", "minNavPerUnit"],
                amount,
                number().minimum(Some(0.0)),
            ))
            .item(of(&["minWeightedYield"], "A fraction: 0.03 is 3 %.", number()))
            .description(Some("An investment limit: one that is not kept is listed in the result."))
            .into()
    }
}

impl ToSchema for Limit {}
