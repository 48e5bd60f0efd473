//! Label and field selectors.

use crate::{
    failure::Failure,
    object::{Place, Stored},
};

/// What a label must be like.
#[derive(Clone, Debug, PartialEq)]
enum Rule {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

/// Which objects are meant.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Selector {
    labels: Vec<(String, Rule)>,
    name: Option<String>,
    namespace: Option<String>,
}

impl Selector {
    pub(crate) fn parse(labels: &str, fields: &str) -> Result<Self, Failure> {
        let mut selector = Self { labels: requirements(labels)?, ..Self::default() };
        for field in fields.split(',').filter(|field| !field.is_empty()) {
            let (name, value) = field
                .split_once("==")
                .or_else(|| field.split_once('='))
                .filter(|(name, _)| !name.ends_with('!'))
                .ok_or_else(|| Failure::bad_request(format!("invalid selector: '{field}'")))?;
            match name {
                "metadata.name" => selector.name = Some(value.to_owned()),
                "metadata.namespace" => selector.namespace = Some(value.to_owned()),
                _ => return Err(Failure::bad_request(format!("field label not supported: {name}"))),
            }
        }
        Ok(selector)
    }

    pub(crate) fn is_all(&self) -> bool {
        self == &Self::default()
    }

    pub(crate) fn matches(&self, place: &Place, object: &Stored) -> bool {
        self.name.as_ref().is_none_or(|name| **name == *place.name)
            && self.namespace.as_ref().is_none_or(|namespace| **namespace == *place.namespace)
            && self.labels.iter().all(|(key, rule)| {
                let value = object.labels.iter().find(|(own, _)| **own == **key).map(|(_, value)| &**value);
                match (rule, value) {
                    (Rule::In(values), Some(value)) => values.iter().any(|one| one == value),
                    (Rule::NotIn(values), Some(value)) => values.iter().all(|one| one != value),
                    (Rule::Exists, Some(_)) | (Rule::NotIn(_) | Rule::Absent, None) => true,
                    _ => false,
                }
            })
    }
}

fn requirements(text: &str) -> Result<Vec<(String, Rule)>, Failure> {
    let mut requirements = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        // Commas within brackets belong to the values.
        let mut depth = 0;
        let end = rest.find(|letter| {
            depth += i32::from(letter == '(') - i32::from(letter == ')');
            letter == ',' && depth == 0
        });
        let (one, more) = end.map_or((rest, ""), |end| (&rest[..end], &rest[end + 1..]));
        requirements.push(requirement(one.trim())?);
        rest = more.trim();
    }
    Ok(requirements)
}

fn requirement(text: &str) -> Result<(String, Rule), Failure> {
    let wrong = || Failure::bad_request(format!("unable to parse requirement: {text}"));
    let values = |list: &str| {
        let list = list.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(list.split(',').map(|value| value.trim().to_owned()).collect::<Vec<_>>())
    };
    let (key, rule) = if let Some((key, list)) = text.split_once(" notin ") {
        (key, Rule::NotIn(values(list).ok_or_else(wrong)?))
    } else if let Some((key, list)) = text.split_once(" in ") {
        (key, Rule::In(values(list).ok_or_else(wrong)?))
    } else if let Some((key, value)) = text.split_once("!=") {
        (key, Rule::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        (key, Rule::In(vec![value.trim().to_owned()]))
    } else if let Some(key) = text.strip_prefix('!') {
        (key, Rule::Absent)
    } else {
        (text, Rule::Exists)
    };
    let key = key.trim();
    if key.is_empty() || key.contains(char::is_whitespace) {
        return Err(wrong());
    }
    Ok((key.to_owned(), rule))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn chosen(labels: &str) -> Vec<&'static str> {
        let objects =
            [("a", json!({"app": "x", "tier": "web"})), ("b", json!({"app": "y"})), ("c", json!({}))];
        let selector = Selector::parse(labels, "").unwrap();
        let matching = objects.into_iter().filter(|(name, labels)| {
            let object = json!({"metadata": {"name": name, "labels": labels}});
            selector.matches(&Place::new("n", name), &Stored::new(&object, 1))
        });
        matching.map(|(name, _)| name).collect()
    }

    #[test]
    fn every_kind_of_requirement_selects_as_the_server_does() {
        for (selector, expected) in [
            ("", &["a", "b", "c"][..]),
            ("app=x", &["a"]),
            ("app == x", &["a"]),
            ("app!=x", &["b", "c"]),
            ("app in (x, y)", &["a", "b"]),
            ("app notin (x)", &["b", "c"]),
            ("app", &["a", "b"]),
            ("!tier", &["b", "c"]),
            ("app in (x,y),tier=web", &["a"]),
        ] {
            assert_eq!(chosen(selector), expected, "{selector}");
        }
    }

    #[test]
    fn a_field_that_is_not_indexed_is_refused() {
        assert_eq!(Selector::parse("", "spec.x=1").unwrap_err().code, 400);
    }
}
