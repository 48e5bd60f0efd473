//! Reading JSON so that a mistake is reported with the path of the field it is in.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::FieldError;
use crate::instrument::InstrumentType;

/// Deserializes text; the error names the field.
pub(crate) fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, FieldError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(located)?;
    deserializer.end().map_err(|error| FieldError::new("", error.to_string()))?;
    Ok(value)
}

/// Deserializes a JSON value; the error names the field.
pub(crate) fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(value).map_err(located)
}

/// Serde reports missing and unknown fields at the object that should or should not have them: add the name.
fn located(error: serde_path_to_error::Error<serde_json::Error>) -> FieldError {
    let path = error.path().to_string();
    let path = path.trim_start_matches('.');
    let path = if path == "." { "" } else { path };
    let inner = error.into_inner();
    let mut message = inner.to_string();
    if let Some(position) = message.rfind(" at line ") {
        message.truncate(position);
    }
    // Rust's names for types mean nothing to whoever wrote the JSON.
    for (ours, theirs) in [("expected f64", "expected a number"), ("expected u32", "expected a whole number")]
    {
        message = message.replace(ours, theirs);
    }
    let named = ["missing field `", "unknown field `"]
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix))
        .and_then(|rest| rest.split('`').next());
    match named {
        // A field may be called nothing at all; where it stands is still told.
        Some("") => FieldError::new("\"\"", message).under(path.trim_end_matches('.')),
        Some(name) if path != name && !path.ends_with(&format!(".{name}")) => {
            FieldError::new(name, message.clone()).under(path)
        }
        _ => FieldError::new(path, message),
    }
}

/// Cuts an instrument of a refused type down to its id and type, so that it is refused by name and not for a field
/// (a spread, an index) that only its type has.
pub(crate) fn strip_refused_instrument(instrument: &mut Value) {
    let Some(object) = instrument.as_object_mut() else { return };
    let refused = object
        .get("type")
        .and_then(Value::as_str)
        .and_then(|name| InstrumentType::try_from(name.to_owned()).ok())
        .is_some_and(|kind| kind.refusal().is_some());
    if refused {
        object.retain(|name, _| name == "id" || name == "type");
    }
}
