//! Who has which route: of several FundClusters that want the same, the one that was there first.

use std::collections::HashMap;

use fundbond_crds::claim::{self, Claim};
use kube::api::DynamicObject;
use serde_json::Value;

use crate::seen::{Key, Uid};

/// A claim that is kept.
type Wish = Claim<Box<str>>;

/// How one FundCluster stands in line: by age to the second, as the server keeps it, then by uid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    created: i64,
    uid: Uid,
    key: Key,
}

/// All that is asked for.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// In their order. Nearly all of them are of one.
    lines: HashMap<Wish, Vec<Place>>,
    asked: HashMap<Key, (Place, Vec<Wish>)>,
}

/// A FundCluster that was first, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rival {
    pub(crate) key: Key,
    pub(crate) claim: Wish,
}

impl Routes {
    /// Takes down what `cluster` asks for, and says whose turn it may be now. One that is being deleted asks for nothing.
    pub(crate) fn ask(&mut self, key: &Key, cluster: &DynamicObject) -> Vec<Key> {
        let meta = &cluster.metadata;
        let claims = match meta.deletion_timestamp {
            Some(_) => Vec::new(),
            None => asked_for(&cluster.data),
        };
        let created = meta.creation_timestamp.as_ref().map_or(i64::MAX, |created| created.0.as_second());
        let uid = meta.uid.as_deref().unwrap_or_default().into();
        let place = Place { created, uid, key: key.clone() };
        if self.asked.get(key).is_some_and(|(before, had)| *before == place && *had == claims) {
            return Vec::new();
        }
        let mut turns = self.leave(key);
        for claim in &claims {
            let line = self.lines.entry(claim.clone()).or_default();
            if let Err(at) = line.binary_search(&place) {
                line.reserve_exact(1);
                line.insert(at, place.clone());
            }
            turns.extend(line.iter().filter(|other| other.key != *key).map(|other| other.key.clone()));
        }
        if !claims.is_empty() {
            self.asked.insert(key.clone(), (place, claims));
        }
        turns
    }

    /// Takes it out of all lines, and says whose turn it may be now.
    pub(crate) fn leave(&mut self, key: &Key) -> Vec<Key> {
        let Some((place, claims)) = self.asked.remove(key) else { return Vec::new() };
        let mut turns = Vec::new();
        for claim in claims {
            let Some(line) = self.lines.get_mut(&claim) else { continue };
            line.retain(|other| *other != place);
            turns.extend(line.iter().map(|other| other.key.clone()));
            if line.is_empty() {
                self.lines.remove(&claim);
            }
        }
        turns
    }

    /// Who has what `key` asks for, if that is somebody else.
    pub(crate) fn rival(&self, key: &Key) -> Option<Rival> {
        let (_, claims) = self.asked.get(key)?;
        claims.iter().find_map(|claim| {
            let first = self.lines.get(claim)?.first()?;
            (first.key != *key).then(|| Rival { key: first.key.clone(), claim: claim.clone() })
        })
    }
}

/// What a FundCluster asks for, read leniently: whoever has a bad spec still has its route.
fn asked_for(data: &Value) -> Vec<Wish> {
    let route = &data["spec"]["route"];
    let value = route["value"].as_str().filter(|value| !value.is_empty());
    claim::claims(value.map(Box::from), route["default"] == true).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster(name: &str, created: i64, route: &Value) -> (Key, DynamicObject) {
        let object = json!({
            "metadata": {
                "name": name, "namespace": "ns", "uid": format!("uid-{name}"),
                "creationTimestamp": jiff::Timestamp::from_second(created).unwrap().to_string(),
            },
            "spec": {"route": route},
        });
        (Key::new("ns", name), serde_json::from_value(object).unwrap())
    }

    fn ask(routes: &mut Routes, name: &str, created: i64, route: &Value) -> Vec<String> {
        let (key, object) = cluster(name, created, route);
        routes.ask(&key, &object).iter().map(|key| key.name.to_string()).collect()
    }

    fn rival(routes: &Routes, name: &str) -> Option<(String, String)> {
        routes.rival(&Key::new("ns", name)).map(|rival| (rival.key.name.to_string(), rival.claim.to_string()))
    }

    #[test]
    fn the_older_keeps_the_route_whoever_is_seen_first() {
        let mut routes = Routes::default();
        let route = json!({"value": "a"});
        assert!(ask(&mut routes, "new", 20, &route).is_empty());
        assert_eq!(rival(&routes, "new"), None);
        assert_eq!(ask(&mut routes, "old", 10, &route), ["new"]);
        assert_eq!(rival(&routes, "new").unwrap(), ("old".into(), "the route value a".into()));
        assert_eq!(rival(&routes, "old"), None);
    }

    #[test]
    fn of_the_same_age_the_lesser_uid_is_first() {
        let mut routes = Routes::default();
        ask(&mut routes, "b", 10, &json!({"value": "v"}));
        ask(&mut routes, "a", 10, &json!({"value": "v"}));
        assert_eq!(rival(&routes, "b").unwrap().0, "a");
    }

    #[test]
    fn the_next_in_line_hears_when_one_leaves_or_wants_something_else() {
        let mut routes = Routes::default();
        ask(&mut routes, "old", 10, &json!({"value": "a"}));
        ask(&mut routes, "new", 20, &json!({"value": "a"}));
        assert_eq!(ask(&mut routes, "old", 10, &json!({"value": "b"})), ["new"]);
        assert_eq!(rival(&routes, "new"), None);
        assert_eq!(ask(&mut routes, "old", 10, &json!({"value": "b"})), [""; 0], "nothing has changed");
        ask(&mut routes, "new", 20, &json!({"value": "b"}));
        assert_eq!(routes.leave(&Key::new("ns", "old")).len(), 1);
        assert_eq!(rival(&routes, "new"), None);
        routes.leave(&Key::new("ns", "new"));
        assert!(routes.lines.is_empty() && routes.asked.is_empty());
    }

    #[test]
    fn one_that_is_being_deleted_has_left() {
        let mut routes = Routes::default();
        ask(&mut routes, "old", 10, &json!({"value": "a"}));
        ask(&mut routes, "new", 20, &json!({"value": "a"}));
        let (key, mut object) = cluster("old", 10, &json!({"value": "a"}));
        object.metadata.deletion_timestamp = object.metadata.creation_timestamp.clone();
        assert_eq!(routes.ask(&key, &object).len(), 1);
        assert_eq!(rival(&routes, "new"), None);
    }

    #[test]
    fn a_value_is_one_in_any_header_and_two_defaults_are_one_too_many() {
        let mut routes = Routes::default();
        ask(&mut routes, "a", 10, &json!({"header": "X-Desk", "value": "1", "default": true}));
        ask(&mut routes, "b", 20, &json!({"value": "1"}));
        ask(&mut routes, "c", 30, &json!({"value": "2", "default": true}));
        ask(&mut routes, "d", 40, &json!({"header": "X-Desk", "value": "3"}));
        assert_eq!(rival(&routes, "b").unwrap(), ("a".into(), "the route value 1".into()));
        assert_eq!(rival(&routes, "c").unwrap(), ("a".into(), "the default route".into()));
        assert_eq!(rival(&routes, "d"), None, "another value");
    }
}
