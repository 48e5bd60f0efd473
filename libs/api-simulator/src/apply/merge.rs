//! What comes of an object when a configuration is laid over it, and of one when places are taken out of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::{
    fields::{Element, Fields},
    shape::{Parts, Shape},
};

/// Why a configuration cannot be applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Mismatch {
    #[error("{0}: duplicate entries for key {1}")]
    Twice(String, String),
    #[error("{0}: an item has none of the fields that tell items apart")]
    Nameless(String),
}

/// `live` with `configuration` over it: fields of both are merged, items of both are merged, and what only one has stays.
pub(crate) fn merged(
    shape: &Shape,
    live: Value,
    configuration: &Value,
    path: &str,
) -> Result<Value, Mismatch> {
    match (shape.parts(&live), shape.parts(configuration)) {
        (Parts::Fields(_), Parts::Fields(given)) => {
            let Value::Object(mut fields) = live else { return Ok(live) };
            for (name, value) in given {
                let below = shape.field(name).0;
                let value = match fields.remove(name) {
                    Some(own) => merged(below, own, value, &format!("{path}.{name}"))?,
                    None => merged(below, Value::Null, value, &format!("{path}.{name}"))?,
                };
                fields.insert(name.clone(), value);
            }
            Ok(Value::Object(fields))
        }
        (_, Parts::Items(given)) => {
            let own = match live {
                Value::Array(own) => own,
                _ => Vec::new(),
            };
            items(shape, own, given, path).map(Value::Array)
        }
        // Lists in something that only the configuration has must be right as well.
        (_, Parts::Fields(given)) => {
            let mut fields = Map::new();
            for (name, value) in given {
                let below = shape.field(name).0;
                fields.insert(name.clone(), merged(below, Value::Null, value, &format!("{path}.{name}"))?);
            }
            Ok(Value::Object(fields))
        }
        (_, Parts::One) => Ok(configuration.clone()),
    }
}

/// Items of both: those of the configuration in its order, the others where they stood between them.
fn items(shape: &Shape, own: Vec<Value>, given: &[Value], path: &str) -> Result<Vec<Value>, Mismatch> {
    let name = |item: &Value| shape.element(item).ok_or_else(|| Mismatch::Nameless(path.to_owned()));
    let ours: Vec<Element> = own.iter().map(name).collect::<Result<_, _>>()?;
    let mut wanted: BTreeMap<Element, &Value> = BTreeMap::new();
    let theirs: Vec<Element> = given.iter().map(name).collect::<Result<_, _>>()?;
    for (element, item) in theirs.iter().zip(given) {
        if wanted.insert(element.clone(), item).is_some() {
            return Err(Mismatch::Twice(path.to_owned(), format!("{element:?}")));
        }
    }
    // Of several of ours with one name none is merged: the configuration's takes their place.
    let mut merging: BTreeMap<Element, Option<Value>> = BTreeMap::new();
    let mut rest = Vec::new();
    for (element, item) in ours.into_iter().zip(own) {
        if wanted.contains_key(&element) {
            let twice = merging.contains_key(&element);
            merging.insert(element.clone(), (!twice).then_some(item));
            rest.push((element, None));
        } else {
            rest.push((element, Some(item)));
        }
    }
    let order: Vec<_> = theirs.iter().filter(|element| merging.contains_key(*element)).cloned().collect();
    let mut order = order.into_iter();
    let mut next_shared = order.next();
    let mut out = Vec::with_capacity(rest.len() + given.len());
    let mut done = BTreeSet::new();
    let mut rest = rest.into_iter().peekable();
    let mut theirs = theirs.into_iter().peekable();
    loop {
        if let (Some((our, None)), Some(their)) = (rest.peek(), theirs.peek())
            && our != their
            && next_shared.as_ref().is_some_and(|next| next != our)
        {
            // In both, but its turn comes later.
            rest.next();
            continue;
        }
        match rest.peek() {
            Some((_, Some(_))) => {
                out.extend(rest.next().and_then(|(_, item)| item));
                continue;
            }
            Some((our, None)) if done.contains(our) || theirs.peek() == Some(our) => {
                rest.next();
            }
            _ => {}
        }
        let Some(element) = theirs.next() else {
            if rest.peek().is_none() {
                return Ok(out);
            }
            continue;
        };
        let item = wanted[&element];
        let live = merging.get_mut(&element).and_then(Option::take).unwrap_or_default();
        out.push(merged(shape.items(), live, item, path)?);
        if next_shared.as_ref() == Some(&element) {
            next_shared = order.next();
        }
        done.insert(element);
    }
}

/// Takes the places of `fields` out of `value`. Says whether nothing is left of it; what is left of parts of it is null
/// where that is nothing.
pub(crate) fn remove(shape: &Shape, value: &mut Value, fields: &Fields) -> bool {
    match (shape, value) {
        (Shape::Struct(_) | Shape::Map(_), Value::Object(map)) => {
            if map.is_empty() {
                return true;
            }
            for (element, below) in fields.below() {
                let Some(name) = element.name() else { continue };
                if below.here {
                    map.remove(name);
                } else if let Some(value) = map.get_mut(name)
                    && remove(shape.field(name).0, value, below)
                {
                    // What is empty now is still there, as nothing.
                    *value = Value::Null;
                }
            }
            map.is_empty()
        }
        (Shape::Keyed(..) | Shape::Set, Value::Array(items)) => {
            items.retain_mut(|item| {
                let below = shape.element(item).and_then(|element| fields.get(&element));
                match below {
                    None => true,
                    Some(below) => !below.here && !remove(shape.items(), item, below),
                }
            });
            items.is_empty()
        }
        (Shape::Atomic, _) | (_, Value::Array(_)) => true,
        _ => false,
    }
}
