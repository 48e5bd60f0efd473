//! Reading one object, and reading many, page by page.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    call::Call,
    failure::Failure,
    object::{Place, Stored},
    state::{Answer, Answered, State},
    store::Objects,
};

impl State {
    pub(super) fn get(&self, call: &Call) -> Result<Answer, Failure> {
        let objects = self.store.of(call.kind);
        let stored = objects.live.get(&call.place);
        let stored = stored.ok_or_else(|| Failure::not_found(&objects.resource, &call.place.name))?;
        Ok(Answer { code: 200, body: Answered::Object(stored.clone()), changed: false })
    }

    pub(super) fn list(&self, call: &Call) -> Result<Answer, Failure> {
        let objects = self.store.of(call.kind);
        let (revision, after) = match &call.query.next {
            Some(next) => {
                let (revision, after) = token(next)?;
                (revision, Some(after))
            }
            None if call.query.exact => (number(&call.query.revision)?, None),
            None => (self.store.revision, None),
        };
        if revision < objects.forgotten {
            let message = "The provided continue parameter is too old to display a consistent list result. You must \
                           start a new list without the continue parameter.";
            return Err(Failure::expired(message));
        }
        let then = objects.differing_at(revision);
        let mut page = Vec::new();
        let mut left = 0_usize;
        let limit = call.query.limit.unwrap_or(usize::MAX);
        for (place, stored) in at(objects, &then, call, after.as_ref()) {
            if !call.query.selector.matches(place, stored) {
                continue;
            }
            if page.len() < limit {
                page.push((place, stored));
            } else {
                left += 1;
                // How many are left is only told of everything.
                if !call.query.selector.is_all() {
                    break;
                }
            }
        }
        let last = page.last().map(|(place, _)| *place).filter(|_| left > 0);
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if let Some(last) = last {
            metadata["continue"] = format!("{revision}/{}/{}", last.namespace, last.name).into();
            if call.query.selector.is_all() {
                metadata["remainingItemCount"] = left.into();
            }
        }
        let stored = page.iter().map(|(_, stored)| *stored);
        let text = written(objects, stored, &metadata, call.metadata_only);
        Ok(Answer { code: 200, body: Answered::Text(text), changed: false })
    }
}

/// The objects as they stood then, in order, from behind `after` on.
fn at<'a>(
    objects: &'a Objects,
    then: &'a BTreeMap<Place, Option<Arc<Stored>>>,
    call: &'a Call,
    after: Option<&'a Place>,
) -> impl Iterator<Item = (&'a Place, &'a Arc<Stored>)> {
    let namespace = &*call.place.namespace;
    let first = Place::new(namespace, "");
    let from = after.cloned().map_or(Bound::Included(first), Bound::Excluded);
    let within = move |place: &Place| namespace.is_empty() || *place.namespace == *namespace;
    let mut now = objects.live.range((from.clone(), Bound::Unbounded)).peekable();
    let mut other = then.range((from, Bound::Unbounded)).peekable();
    std::iter::from_fn(move || {
        loop {
            let changed = match (now.peek(), other.peek()) {
                (Some((now, _)), Some((then, _))) => then <= now,
                (None, None) => return None,
                (_, then) => then.is_some(),
            };
            let found = if changed {
                let (place, stored) = other.next()?;
                now.next_if(|(now, _)| *now == place);
                stored.as_ref().map(|stored| (place, stored))
            } else {
                now.next()
            };
            if let Some(found) = found {
                return Some(found);
            }
        }
    })
    .take_while(move |(place, _)| within(place))
}

/// Where a list goes on: the write it is of, and the last object that was told.
fn token(text: &str) -> Result<(u64, Place), Failure> {
    let wrong = || Failure::bad_request("continue key is not valid");
    let mut parts = text.splitn(3, '/');
    let revision = parts.next().and_then(|revision| revision.parse().ok()).ok_or_else(wrong)?;
    let (namespace, name) = (parts.next().ok_or_else(wrong)?, parts.next().ok_or_else(wrong)?);
    Ok((revision, Place::new(namespace, name)))
}

pub(crate) fn number(revision: &str) -> Result<u64, Failure> {
    revision.parse().map_err(|_| Failure::bad_request(format!("invalid resource version {revision:?}")))
}

fn written<'a>(
    objects: &Objects,
    page: impl Iterator<Item = &'a Arc<Stored>>,
    metadata: &Value,
    metadata_only: bool,
) -> Bytes {
    let resource = &objects.resource;
    let (version, kind) = if metadata_only {
        ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata")
    } else {
        (resource.api_version(), resource.kind.as_str())
    };
    // What Kubernetes has of itself does not say in a list what it is.
    let prefix = format!("\"apiVersion\":\"{version}\",\"kind\":\"{kind}\",");
    let told = resource.custom.is_some() || metadata_only;
    let mut text = Vec::new();
    text.extend_from_slice(
        format!("{{\"apiVersion\":\"{version}\",\"kind\":\"{kind}List\",\"metadata\":{metadata},\"items\":[")
            .as_bytes(),
    );
    for (index, stored) in page.enumerate() {
        if index > 0 {
            text.push(b',');
        }
        if metadata_only {
            text.extend_from_slice(format!("{{{prefix}\"metadata\":").as_bytes());
            text.extend_from_slice(stored.metadata());
            text.push(b'}');
        } else if told {
            text.extend_from_slice(&stored.text);
        } else {
            text.push(b'{');
            text.extend_from_slice(&stored.text[1 + prefix.len()..]);
        }
    }
    text.extend_from_slice(b"]}");
    text.into()
}
