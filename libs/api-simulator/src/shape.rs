//! Which parts of an object are told apart by server-side apply, and which are one value.
//!
//! Flow: [`types.txt`](../types.txt) for what Kubernetes has of itself, the schema of a definition for what was added to it
//! -> a [`Shape`] -> everything in [`apply`](crate::apply).

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use serde_json::{Map, Value};

use crate::fields::Element;

/// How the value at one place is looked at.
#[derive(Debug)]
pub(crate) enum Shape {
    /// One value, whatever is in it.
    Atomic,
    /// An object whose fields are known by name; those not listed are [`PLAIN`]. Lists and scalars are one value.
    Struct(BTreeMap<String, Arc<Shape>>),
    /// An object whose keys are free.
    Map(Arc<Shape>),
    /// A list whose items are told apart by fields of theirs, some with a default.
    Keyed(Vec<(String, Option<Value>)>, Arc<Shape>),
    /// A list whose items are told apart by themselves.
    Set,
}

/// A struct in which nothing differs from the rule.
pub(crate) static PLAIN: LazyLock<Arc<Shape>> = LazyLock::new(|| Arc::new(Shape::Struct(BTreeMap::new())));

/// What of a value is looked into.
pub(crate) enum Parts<'a> {
    One,
    Fields(&'a Map<String, Value>),
    Items(&'a [Value]),
}

impl Shape {
    /// What of `value` is told apart.
    pub(crate) fn parts<'a>(&self, value: &'a Value) -> Parts<'a> {
        match (self, value) {
            (Self::Struct(_) | Self::Map(_), Value::Object(fields)) => Parts::Fields(fields),
            (Self::Keyed(..) | Self::Set, Value::Array(items)) => Parts::Items(items),
            _ => Parts::One,
        }
    }

    /// The shape of a field, and whether the field is known by name.
    pub(crate) fn field(&self, name: &str) -> (&Shape, bool) {
        match self {
            Self::Struct(fields) => (fields.get(name).unwrap_or(&PLAIN), true),
            Self::Map(values) => (values, false),
            Self::Atomic | Self::Keyed(..) | Self::Set => (&PLAIN, true),
        }
    }

    /// The shape of items.
    pub(crate) fn items(&self) -> &Shape {
        match self {
            Self::Keyed(_, items) => items,
            _ => &Shape::Atomic,
        }
    }

    /// What an item is called in a field set; nothing where it lacks all that would tell it apart.
    pub(crate) fn element(&self, item: &Value) -> Option<Element> {
        let Self::Keyed(keys, _) = self else { return Some(Element::value(item)) };
        let mut found = Map::new();
        let mut named = false;
        for (key, default) in keys {
            if let Some(value) = item.get(key) {
                named = true;
                found.insert(key.clone(), value.clone());
            } else if let Some(default) = default {
                found.insert(key.clone(), default.clone());
            }
        }
        named.then(|| Element::keys(found))
    }
}

/// The shapes of what Kubernetes has of itself, by the names in the table.
static TYPES: LazyLock<BTreeMap<&'static str, Arc<Shape>>> =
    LazyLock::new(|| types(include_str!("types.txt")));

/// The shape of a type in the table; that of an object without anything particular where it is not in there.
pub(crate) fn known(name: &str) -> Arc<Shape> {
    TYPES.get(name).or_else(|| TYPES.get("Plain")).cloned().unwrap_or_else(|| PLAIN.clone())
}

fn types(table: &'static str) -> BTreeMap<&'static str, Arc<Shape>> {
    let mut lines: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut current = "";
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        if line.starts_with(' ') {
            lines.entry(current).or_default().push(line);
        } else {
            current = line.trim();
        }
    }
    let mut done = BTreeMap::new();
    for name in lines.keys().copied() {
        build(name, &lines, &mut done);
    }
    done
}

fn build(
    name: &'static str,
    lines: &BTreeMap<&'static str, Vec<&'static str>>,
    done: &mut BTreeMap<&'static str, Arc<Shape>>,
) -> Arc<Shape> {
    if let Some(shape) = done.get(name) {
        return shape.clone();
    }
    let mut fields = BTreeMap::new();
    for line in lines.get(name).into_iter().flatten() {
        let words: Vec<&'static str> = line.split_whitespace().collect();
        let mut below = |index: usize| match words.get(index) {
            Some(&"Atomic") => Arc::new(Shape::Atomic),
            Some(name) => build(name, lines, done),
            None => PLAIN.clone(),
        };
        let shape = match words[1] {
            "struct" => below(2),
            "map" => Arc::new(Shape::Map(below(2))),
            "keys" => Arc::new(Shape::Keyed(keys(words[2]), below(3))),
            "set" => Arc::new(Shape::Set),
            _ => Arc::new(Shape::Atomic),
        };
        fields.insert(words[0].to_owned(), shape);
    }
    let shape = Arc::new(Shape::Struct(fields));
    done.insert(name, shape.clone());
    shape
}

/// `port,protocol=TCP`.
fn keys(text: &str) -> Vec<(String, Option<Value>)> {
    text.split(',')
        .map(|key| match key.split_once('=') {
            Some((key, default)) => (key.to_owned(), Some(default.into())),
            None => (key.to_owned(), None),
        })
        .collect()
}

/// The shape that the schema of a definition describes.
pub(crate) fn described(schema: &Value) -> Arc<Shape> {
    let Shape::Struct(mut fields) = below(schema) else { return known("Plain") };
    fields.insert("metadata".to_owned(), known("ObjectMeta"));
    Arc::new(Shape::Struct(fields))
}

fn below(schema: &Value) -> Shape {
    let says = |key: &str, what: &str| schema.get(key).and_then(Value::as_str) == Some(what);
    if says("x-kubernetes-map-type", "atomic") {
        return Shape::Atomic;
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let fields = properties.iter().map(|(name, schema)| (name.clone(), Arc::new(below(schema))));
        return Shape::Struct(fields.collect());
    }
    if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
        return Shape::Map(Arc::new(below(values)));
    }
    let items = schema.get("items").unwrap_or(&Value::Null);
    if says("x-kubernetes-list-type", "set") {
        return Shape::Set;
    }
    if says("x-kubernetes-list-type", "map") {
        let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
        let keys = keys.into_iter().flatten().filter_map(Value::as_str).map(|key| {
            let default = items.pointer(&format!("/properties/{key}/default")).cloned();
            (key.to_owned(), default)
        });
        return Shape::Keyed(keys.collect(), Arc::new(below(items)));
    }
    if says("type", "object") { Shape::Map(PLAIN.clone()) } else { Shape::Atomic }
}
