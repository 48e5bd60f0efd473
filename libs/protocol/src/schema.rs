//! Schemas of texts with an alphabet, for an OpenAPI document.

use utoipa::openapi::{ObjectBuilder, RefOr, Schema, schema::Type};

/// A text of 1 to `longest` bytes that matches `pattern`.
pub(crate) fn text(description: &str, pattern: &str, longest: usize) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description.trim()))
        .pattern(Some(pattern))
        .min_length(Some(1))
        .max_length(Some(longest))
        .into()
}
