//! The one error shape of this crate: which field is wrong, and what to do about it.

use serde::{Deserialize, Serialize};

/// A refusal that names the field it is about (a path such as `holdings[3].instrument.couponRate`) and the fix.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// Path of the offending field, as it is spelled in JSON.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl FieldError {
    /// An error about `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }

    /// The same error seen from one level further out: `couponRate` under `instrument` is `instrument.couponRate`.
    #[must_use]
    pub fn under(mut self, parent: &str) -> Self {
        self.field = match (parent, self.field.as_str()) {
            ("", field) => field.to_owned(),
            (parent, "") => parent.to_owned(),
            (parent, field) => format!("{parent}.{field}"),
        };
        self
    }
}
