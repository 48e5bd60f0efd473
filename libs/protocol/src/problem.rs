//! Errors as RFC 9457 `application/problem+json`.

use serde::{Deserialize, Serialize};

/// One bad field: its path in the request (`holdings[3].face`) and what to do about it.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldProblem {
    /// Path of the field, dots and `[index]`; `body` for the whole, `header.<name>` and `query.<name>` outside it.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// An error as it goes over the wire (RFC 9457).
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:fundbond:problem:<slug>`: what a program switches on.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^urn:fundbond:problem:[a-z-]+$"))]
    pub kind: String,
    /// The kind in words, the same for every occurrence.
    pub title: String,
    /// HTTP status.
    #[cfg_attr(feature = "openapi", schema(minimum = 400, maximum = 599))]
    pub status: u16,
    /// This occurrence in words, with the fix.
    pub detail: String,
    /// The request id, to find it in logs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// The bad fields, where there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// Where a body of many events broke off: how many of them were accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<u64>,
}

impl Problem {
    /// A problem of the kind `slug`.
    pub fn new(status: u16, slug: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:fundbond:problem:{slug}"),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            instance: String::new(),
            errors: Vec::new(),
            accepted: None,
        }
    }

    /// The same, with the fields that are to blame.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldProblem>) -> Self {
        self.errors = errors;
        self
    }

    /// The same of a body of which `accepted` events were taken.
    #[must_use]
    pub fn with_accepted(mut self, accepted: u64) -> Self {
        self.accepted = Some(accepted);
        self
    }

    /// The same, of the request `request_id`.
    #[must_use]
    pub fn with_instance(mut self, request_id: &str) -> Self {
        request_id.clone_into(&mut self.instance);
        self
    }

    /// The last part of `type`.
    pub fn slug(&self) -> &str {
        self.kind.rsplit(':').next().unwrap_or_default()
    }

    /// The body.
    pub fn to_json(&self) -> String {
        // Serialising strings, numbers and vectors of them cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_kind_field_and_request() {
        let problem =
            Problem::new(422, "invalid-body", "The request body is not valid", "face must be positive")
                .with_errors(vec![FieldProblem {
                    field: "holdings[3].face".into(),
                    message: "must be positive".into(),
                }])
                .with_instance("r-1");
        assert_eq!(problem.slug(), "invalid-body");
        assert_eq!(
            problem.to_json(),
            r#"{"type":"urn:fundbond:problem:invalid-body","title":"The request body is not valid","status":422,"detail":"face must be positive","instance":"r-1","errors":[{"field":"holdings[3].face","message":"must be positive"}]}"#
        );
        assert_eq!(serde_json::from_str::<Problem>(&problem.to_json()).unwrap(), problem);
    }
}
