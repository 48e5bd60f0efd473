//! Sets of fields, as `managedFields` has them: a tree whose branches are spelled `f:name`, `k:{"name":"x"}` or `v:"x"`.
//!
//! A place can be in the set itself, have places below it in the set, or both (`.`).

use std::collections::{BTreeMap, btree_map::Entry};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
    ser::SerializeMap as _,
};
use serde_json::{Map, Value};

/// One step of a path, spelled as on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Element(Box<str>);

impl Element {
    pub(crate) fn field(name: &str) -> Self {
        Self(format!("f:{name}").into())
    }

    pub(crate) fn keys(keys: Map<String, Value>) -> Self {
        Self(format!("k:{}", Value::Object(keys)).into())
    }

    pub(crate) fn value(item: &Value) -> Self {
        Self(format!("v:{item}").into())
    }

    /// The name, if it is that of a field.
    pub(crate) fn name(&self) -> Option<&str> {
        self.0.strip_prefix("f:")
    }

    /// As conflicts tell it: `.name`, `[name="x"]`, `["x"]`.
    fn told(&self) -> String {
        if let Some(name) = self.name() {
            return format!(".{name}");
        }
        if let Some(keys) = self.0.strip_prefix("k:") {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            return format!("[{}]", keys.join(","));
        }
        format!("[={}]", self.0.strip_prefix("v:").unwrap_or(&self.0))
    }
}

/// A place, and the places below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    /// Whether the place itself is in the set.
    pub(crate) here: bool,
    below: BTreeMap<Element, Fields>,
}

impl Fields {
    /// The place alone.
    pub(crate) fn here() -> Self {
        Self { here: true, below: BTreeMap::new() }
    }

    /// The place at the end of that path of fields.
    pub(crate) fn at(path: &[&str]) -> Self {
        match path {
            [] => Self::here(),
            [first, rest @ ..] => {
                Self { here: false, below: BTreeMap::from([(Element::field(first), Self::at(rest))]) }
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.here && self.below.is_empty()
    }

    pub(crate) fn get(&self, element: &Element) -> Option<&Fields> {
        self.below.get(element)
    }

    pub(crate) fn below(&self) -> impl Iterator<Item = (&Element, &Fields)> {
        self.below.iter()
    }

    /// Adds what is below that step, unless it is nothing.
    pub(crate) fn put(&mut self, element: &Element, fields: Fields) {
        if fields.is_empty() {
            return;
        }
        match self.below.entry(element.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(fields);
            }
            Entry::Occupied(mut entry) => entry.get_mut().extend(&fields),
        }
    }

    /// Adds all of the other.
    pub(crate) fn extend(&mut self, other: &Fields) {
        self.here |= other.here;
        for (element, fields) in &other.below {
            match self.below.get_mut(element) {
                Some(own) => own.extend(fields),
                None => {
                    self.below.insert(element.clone(), fields.clone());
                }
            }
        }
    }

    /// What is in both.
    pub(crate) fn common(&self, other: &Fields) -> Fields {
        let mut common = Fields { here: self.here && other.here, below: BTreeMap::new() };
        for (element, fields) in &self.below {
            if let Some(others) = other.below.get(element) {
                common.put(element, fields.common(others));
            }
        }
        common
    }

    /// Whether the other has all of it.
    pub(crate) fn is_within(&self, other: &Fields) -> bool {
        (!self.here || other.here)
            && self.below.iter().all(|(element, fields)| {
                other.below.get(element).is_some_and(|others| fields.is_within(others))
            })
    }

    /// Takes out what is in the other.
    pub(crate) fn subtract(&mut self, other: &Fields) {
        self.here &= !other.here;
        self.below.retain(|element, fields| {
            if let Some(others) = other.below.get(element) {
                fields.subtract(others);
            }
            !fields.is_empty()
        });
    }

    /// Takes out what is in the other, and everything below it.
    pub(crate) fn cut(&mut self, other: &Fields) {
        self.below.retain(|element, fields| match other.below.get(element) {
            Some(others) if others.here => false,
            Some(others) => {
                fields.cut(others);
                !fields.is_empty()
            }
            None => true,
        });
    }

    /// The paths in it, as conflicts tell them.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.tell("", &mut paths);
        paths
    }

    fn tell(&self, path: &str, paths: &mut Vec<String>) {
        if self.here {
            paths.push(path.to_owned());
        }
        for (element, fields) in &self.below {
            fields.tell(&format!("{path}{}", element.told()), paths);
        }
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = self.here && !self.below.is_empty();
        let mut map = serializer.serialize_map(None)?;
        if own {
            map.serialize_entry(".", &Map::new())?;
        }
        for (element, fields) in &self.below {
            map.serialize_entry(&element.0, fields)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tree;

        impl<'de> Visitor<'de> for Tree {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a tree of fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Fields::default();
                while let Some(step) = map.next_key::<Box<str>>()? {
                    let below: Fields = map.next_value()?;
                    if &*step == "." {
                        fields.here = true;
                    } else if step.starts_with("f:") || step.starts_with("k:") || step.starts_with("v:") {
                        fields.below.insert(Element(step), below);
                    } else {
                        return Err(A::Error::custom(format!("no step of a path: {step}")));
                    }
                }
                fields.here |= fields.below.is_empty();
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_set_is_written_as_it_was_read() {
        let written = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}},
            "f:finalizers": {"v:\"x\"": {}},
        });
        assert_eq!(serde_json::to_value(fields(written.clone())).unwrap(), written);
    }

    #[test]
    fn taking_out_a_place_leaves_the_places_below_it() {
        let mut labels = fields(json!({"f:labels": {".": {}, "f:app": {}}}));
        labels.subtract(&Fields::at(&["labels"]));
        assert_eq!(labels, fields(json!({"f:labels": {"f:app": {}}})));
        labels.subtract(&Fields::at(&["labels", "app"]));
        assert!(labels.is_empty());
    }

    #[test]
    fn cutting_off_a_place_takes_the_places_below_it() {
        let mut all = fields(json!({"f:status": {"f:phase": {}}, "f:spec": {}}));
        all.cut(&Fields::at(&["status"]));
        assert_eq!(all, Fields::at(&["spec"]));
    }

    #[test]
    fn paths_are_told_as_the_server_tells_them() {
        let set = fields(json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}}}}}));
        assert_eq!(set.paths(), [".spec.containers[name=\"a\"].image"]);
    }
}
