//! An object as it is kept: its text, and the little that is asked of it without reading that.

use std::{fmt::Write as _, ops::Range, sync::Arc};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Where an object is, within its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

impl Place {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// Somebody an object belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Owner {
    pub(crate) uid: Arc<str>,
    /// Whether that one is deleted after this one, if it waits at all.
    #[serde(default)]
    pub(crate) block_owner_deletion: bool,
}

/// An object as it stands in the store: text, because most that is done with it is to send it.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) text: Bytes,
    pub(crate) revision: u64,
    pub(crate) uid: Arc<str>,
    pub(crate) labels: Box<[(Box<str>, Box<str>)]>,
    pub(crate) owners: Box<[Owner]>,
    pub(crate) deleting: bool,
    pub(crate) generation: u64,
    metadata: Range<u32>,
    /// Where the digits of the revision are.
    digits: Range<u32>,
}

impl Stored {
    /// Keeps `object` under its revision.
    pub(crate) fn new(object: &Value, revision: u64) -> Self {
        let mut text = Vec::with_capacity(1024);
        let mut metadata = 0..0;
        let mut digits = 0..0;
        let fields = object.as_object();
        let mut begin = b'{';
        // The server's order: what it is, metadata, and then the rest.
        for name in ["apiVersion", "kind"] {
            if let Some(value) = fields.and_then(|fields| fields.get(name)) {
                member(&mut text, &mut begin, name, value);
            }
        }
        key(&mut text, &mut begin, "metadata");
        let start = text.len();
        write_metadata(&mut text, &object["metadata"], revision, &mut digits);
        metadata.start = index(start);
        metadata.end = index(text.len());
        for (name, value) in fields.into_iter().flatten() {
            if !matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
                member(&mut text, &mut begin, name, value);
            }
        }
        text.push(b'}');
        let of = &object["metadata"];
        let labels = of["labels"].as_object().into_iter().flatten();
        let labels = labels.filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into())));
        let owners: Vec<Owner> = Vec::deserialize(&of["ownerReferences"]).unwrap_or_default();
        text.shrink_to_fit();
        Self {
            revision,
            uid: of["uid"].as_str().unwrap_or_default().into(),
            labels: labels.collect(),
            owners: owners.into(),
            generation: of["generation"].as_u64().unwrap_or_default(),
            deleting: !of["deletionTimestamp"].is_null(),
            text: text.into(),
            metadata,
            digits,
        }
    }

    /// The object.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.text).unwrap_or_default()
    }

    /// Its metadata, as text.
    pub(crate) fn metadata(&self) -> &[u8] {
        &self.text[self.metadata.start as usize..self.metadata.end as usize]
    }

    /// The text as it would be of another revision.
    pub(crate) fn text_at(&self, revision: u64) -> Bytes {
        if revision == self.revision {
            return self.text.clone();
        }
        let (before, after) =
            (&self.text[..self.digits.start as usize], &self.text[self.digits.end as usize..]);
        [before, revision.to_string().as_bytes(), after].concat().into()
    }

    /// The metadata as it would be of another revision.
    pub(crate) fn metadata_at(&self, revision: u64) -> Vec<u8> {
        let (start, end) = (self.metadata.start as usize, self.metadata.end as usize);
        let (before, after) =
            (&self.text[start..self.digits.start as usize], &self.text[self.digits.end as usize..end]);
        [before, revision.to_string().as_bytes(), after].concat()
    }
}

fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn write_metadata(text: &mut Vec<u8>, metadata: &Value, revision: u64, digits: &mut Range<u32>) {
    let mut begin = b'{';
    for (name, value) in metadata.as_object().into_iter().flatten() {
        if name != "resourceVersion" && name != "managedFields" {
            member(text, &mut begin, name, value);
        }
    }
    key(text, &mut begin, "resourceVersion");
    text.push(b'"');
    digits.start = index(text.len());
    text.extend_from_slice(revision.to_string().as_bytes());
    digits.end = index(text.len());
    text.push(b'"');
    if let Some(managers) = metadata.get("managedFields") {
        member(text, &mut begin, "managedFields", managers);
    }
    text.push(b'}');
}

fn member(text: &mut Vec<u8>, begin: &mut u8, name: &str, value: &Value) {
    key(text, begin, name);
    // A value is always JSON, and a vector takes everything.
    let _: Result<(), serde_json::Error> = serde_json::to_writer(text, value);
}

fn key(text: &mut Vec<u8>, begin: &mut u8, name: &str) {
    text.push(*begin);
    *begin = b',';
    let mut quoted = String::new();
    let _: std::fmt::Result = write!(quoted, "{}:", Value::from(name));
    text.extend_from_slice(quoted.as_bytes());
}

/// Takes out fields that are null: for a server they are not there.
pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// The metadata of an object; made where there is none.
pub(crate) fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let metadata = &mut object["metadata"];
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    match metadata {
        Value::Object(fields) => fields,
        _ => unreachable!("it was made one"),
    }
}

/// Puts a value there, or takes out what is there.
pub(crate) fn set(fields: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => {
            fields.insert(name.to_owned(), value);
        }
        None => {
            fields.remove(name);
        }
    }
}

/// A text of the metadata.
pub(crate) fn meta<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get("metadata")?.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// The finalizers of an object.
pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    finalizers.into_iter().flatten().filter_map(Value::as_str).collect()
}
