//! Rules between fields, in the language that API servers judge by.

use serde_json::{Value, json};

/// A rule that must hold (CEL; `self` is what it stands at), what is said where it does not, and of which field below, if
/// not of all.
///
/// A message says what is wrong and, where an example of the field does not say it, what to do: behind a colon, where
/// `check` finds it.
pub(crate) fn rule(rule: &str, message: &str, field: &str) -> Value {
    let mut value = json!({"rule": rule, "message": message});
    if !field.is_empty() {
        value["fieldPath"] = field.into();
    }
    value
}
