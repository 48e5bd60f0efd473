//! A child as it is to be, ready to be sent.

use fundbond_desired::Child;
use serde_json::Value;

use crate::{kinds::Kind, seen::Uid};

/// The annotation that says what was applied: a digest of it.
pub(crate) const DIGEST: &str = "fundbond.dev/applied";

/// A child as it is to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) kind: Kind,
    pub(crate) name: Box<str>,
    /// All of it, with the digest as an annotation.
    pub(crate) value: Value,
    /// Of everything that is said, but for whose it is, which is asked for by itself, and a route's own count of its changes.
    pub(crate) digest: u64,
}

impl Wanted {
    pub(crate) fn of(child: &Child) -> Self {
        let kind = Kind::of(child);
        let mut value = child.to_value();
        let digest = digest(kind, &value);
        value["metadata"]["annotations"][DIGEST] = format!("{digest:016x}").into();
        Self { kind, name: child.name().into(), value, digest }
    }

    /// The same, for the server to refuse unless it is this writing that it changes.
    pub(crate) fn over(&self, uid: &Uid, version: u64) -> Value {
        let mut value = self.value.clone();
        value["metadata"]["uid"] = uid.to_string().into();
        // 0 is no writing: the server counts in a way that is not known here.
        if version != 0 {
            value["metadata"]["resourceVersion"] = version.to_string().into();
        }
        value
    }
}

fn digest(kind: Kind, value: &Value) -> u64 {
    let mut value = value.clone();
    let without = |value: &mut Value, part: &str, field: &str| {
        if let Some(part) = value[part].as_object_mut() {
            part.remove(field);
        }
    };
    without(&mut value, "metadata", "ownerReferences");
    if kind == Kind::GatewayRoute {
        without(&mut value, "spec", "generation");
    }
    let digest = blake3::hash(value.to_string().as_bytes());
    u64::from_be_bytes(*digest.as_bytes().first_chunk().expect("a digest has 32 bytes"))
}
