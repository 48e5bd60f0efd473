//! The places of a value, and what differs between two.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    fields::{Element, Fields},
    shape::{Parts, Shape},
};

/// All places of `value`: what a configuration is about.
pub(crate) fn places(shape: &Shape, value: &Value) -> Fields {
    let mut fields = Fields::default();
    match shape.parts(value) {
        Parts::One => fields.here = true,
        Parts::Fields(map) => {
            for (name, value) in map {
                let (below, named) = shape.field(name);
                let mut below = places(below, value);
                let nothing = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
                below.here |= nothing || !named;
                fields.put(&Element::field(name), below);
            }
        }
        Parts::Items(items) => {
            for (element, group) in grouped(shape, items) {
                let mut below = match group[..] {
                    [item] => places(shape.items(), item),
                    // Several with one name are one value.
                    _ => Fields::default(),
                };
                below.here = true;
                fields.put(&element, below);
            }
        }
    }
    fields
}

/// `fields`, and each named field that has places below it there: what remains of a struct when its fields are gone is
/// nothing.
pub(crate) fn with_named(shape: &Shape, fields: &Fields) -> Fields {
    let mut all = Fields::default();
    all.here = fields.here;
    for (element, below) in fields.below() {
        let (shape, named) = match element.name() {
            Some(name) => shape.field(name),
            None => (shape.items(), false),
        };
        let known = named && below.below().next().is_some();
        let mut below = with_named(shape, below);
        below.here |= known;
        all.put(element, below);
    }
    all
}

/// What differs between an object and what is to become of it.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    pub(crate) added: Fields,
    pub(crate) modified: Fields,
    pub(crate) removed: Fields,
}

impl Difference {
    /// From `old` to `new`.
    pub(crate) fn between(shape: &Shape, old: &Value, new: &Value) -> Self {
        let mut difference = Self::default();
        difference.look(shape, Some(old), Some(new));
        difference
    }

    /// Leaves these places out of sight.
    pub(crate) fn without(mut self, reset: &Fields) -> Self {
        self.added.cut(reset);
        self.modified.cut(reset);
        self.removed.cut(reset);
        self
    }

    /// Both added and modified.
    pub(crate) fn written(&self) -> Fields {
        let mut written = self.added.clone();
        written.extend(&self.modified);
        written
    }

    /// Whether nothing differs below; otherwise what does is in here.
    fn look(&mut self, shape: &Shape, old: Option<&Value>, new: Option<&Value>) {
        if old == new {
            return;
        }
        let parts = |value: Option<&Value>| value.is_some_and(|value| Self::has_parts(shape, value));
        if !parts(old) && !parts(new)
            || matches!((old, new), (Some(old), Some(new)) if Self::unlike(old, new))
        {
            self.leaf(old, new);
            return;
        }
        match (old.map(|value| shape.parts(value)), new.map(|value| shape.parts(value))) {
            (Some(Parts::Items(_)), _) | (_, Some(Parts::Items(_))) => self.items(shape, old, new),
            _ => self.fields(shape, old, new),
        }
        self.added.here |= old.is_none();
        self.removed.here |= new.is_none();
    }

    fn has_parts(shape: &Shape, value: &Value) -> bool {
        match shape.parts(value) {
            Parts::One => false,
            Parts::Fields(fields) => !fields.is_empty(),
            Parts::Items(items) => !items.is_empty(),
        }
    }

    fn unlike(old: &Value, new: &Value) -> bool {
        let kinds = (old.is_object(), old.is_array()) != (new.is_object(), new.is_array());
        // Nothing is like an object or a list without anything in it.
        kinds && !old.is_null() && !new.is_null()
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (None, _) => self.added.here = true,
            (_, None) => self.removed.here = true,
            _ => self.modified.here = true,
        }
    }

    fn fields(&mut self, shape: &Shape, old: Option<&Value>, new: Option<&Value>) {
        let (old, new) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
        for (name, before) in old.into_iter().flatten() {
            let after = new.and_then(|new| new.get(name));
            self.step(&Element::field(name), shape.field(name).0, Some(before), after);
        }
        for (name, after) in new.into_iter().flatten() {
            if old.is_none_or(|old| !old.contains_key(name)) {
                self.step(&Element::field(name), shape.field(name).0, None, Some(after));
            }
        }
    }

    fn items(&mut self, shape: &Shape, old: Option<&Value>, new: Option<&Value>) {
        let of = |value: Option<&'_ Value>| -> Vec<Value> {
            value.and_then(Value::as_array).cloned().unwrap_or_default()
        };
        let (old, new) = (of(old), of(new));
        let (mut before, after) = (grouped(shape, &old), grouped(shape, &new));
        for (element, after) in after {
            match (&before.remove(&element).unwrap_or_default()[..], &after[..]) {
                ([], [item]) => self.step(&element, shape.items(), None, Some(item)),
                ([old], [new]) => self.step(&element, shape.items(), Some(old), Some(new)),
                ([_, _, ..], [item]) => {
                    self.step(&element, shape.items(), None, Some(item));
                    self.removed.put(&element, Fields::here());
                }
                ([old], _) => {
                    self.step(&element, shape.items(), Some(old), None);
                    self.added.put(&element, Fields::here());
                }
                ([], _) => self.added.put(&element, Fields::here()),
                (old, new) if old != new => self.modified.put(&element, Fields::here()),
                _ => {}
            }
        }
        for (element, before) in before {
            match before[..] {
                [item] => self.step(&element, shape.items(), Some(item), None),
                _ => self.removed.put(&element, Fields::here()),
            }
        }
    }

    fn step(&mut self, element: &Element, shape: &Shape, old: Option<&Value>, new: Option<&Value>) {
        if old == new {
            return;
        }
        let mut below = Self::default();
        below.look(shape, old, new);
        self.added.put(element, below.added);
        self.modified.put(element, below.modified);
        self.removed.put(element, below.removed);
    }
}

/// Items by what they are called; those that cannot be called anything are left out.
fn grouped<'a>(shape: &Shape, items: &'a [Value]) -> BTreeMap<Element, Vec<&'a Value>> {
    let mut groups: BTreeMap<Element, Vec<&Value>> = BTreeMap::new();
    for item in items {
        if let Some(element) = shape.element(item) {
            groups.entry(element).or_default().push(item);
        }
    }
    groups
}
