//! What a run comes to, and how two runs differ.

use std::collections::BTreeMap;

use fundbond_crds::labels;
use serde_json::Value;

use super::{scripts::Script, wire::Wire, world::World};

/// The uid of a FundCluster is among its settings, and so in every digest of them. Uids are of one run alone; that settings are
/// right, each word of readiness is held to.
const OF_ONE_RUN: [&str; 3] = ["FUND_LEASE_OWNER", "fundbond.dev/applied", labels::CONFIG_HASH];

/// What stands there in the end, and what it took.
#[derive(Debug)]
pub(crate) struct Outcome {
    objects: BTreeMap<String, Value>,
    pub(crate) writes: usize,
    pub(crate) requests: usize,
}

impl Outcome {
    /// Of a script on such a wire, with so many operators.
    pub(crate) async fn of(script: &Script, wire: Wire, operators: usize) -> Self {
        let world = World::new(1, wire, operators);
        for deed in &script.1 {
            deed.be_done(&world.user);
            world.settle().await;
        }
        Self::now(&world)
    }

    /// Of a world that has come to rest.
    pub(crate) fn now(world: &World) -> Self {
        let mut objects = world.simulator.lasting_objects();
        for (place, object) in &mut objects {
            for pointer in ["/data", "/metadata/annotations", "/spec/template/metadata/annotations"] {
                if let Some(fields) = object.pointer_mut(pointer).and_then(Value::as_object_mut) {
                    fields.retain(|name, _| !OF_ONE_RUN.contains(&name.as_str()));
                }
            }
            // How often a route was written depends on what got in between. That it rises is another test's.
            for (kind, pointer) in [("gatewayroutes", "/spec"), ("fundclusters", "/status/gateways")] {
                let counts = object.pointer_mut(pointer).and_then(Value::as_object_mut);
                if let Some(counts) = counts.filter(|_| place.starts_with(kind)) {
                    counts.remove("generation");
                }
            }
        }
        Self { objects, writes: world.writes(), requests: world.wire.requests() }
    }

    /// Where it is not what another one is.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut all = Vec::new();
        for place in self.objects.keys().chain(other.objects.keys()) {
            compare(place, self.objects.get(place), other.objects.get(place), &mut all);
        }
        all.sort();
        all.dedup();
        all
    }
}

fn compare(at: &str, one: Option<&Value>, two: Option<&Value>, all: &mut Vec<String>) {
    match (one, two) {
        (one, two) if one == two => {}
        (Some(Value::Object(one)), Some(Value::Object(two))) => {
            for name in one.keys().chain(two.keys()) {
                compare(&format!("{at}.{name}"), one.get(name), two.get(name), all);
            }
        }
        (Some(_), None) => all.push(format!("{at}: only here")),
        (None, Some(_)) => all.push(format!("{at}: only there")),
        (one, two) => all.push(format!("{at}: {} and {}", text(one), text(two))),
    }
}

fn text(value: Option<&Value>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}
