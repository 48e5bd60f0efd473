//! Which gateways have which generation of a route. Decides, and asks nobody.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fundbond_protocol::api::AppliedRoutes;

use crate::{gateways::Heard, seen::Key};

/// So many questions in a row without an answer, and a gateway counts as one that does not say: one that ends leaves the
/// list of those that are ready by then.
const PATIENCE: u8 = 3;

/// How far a route came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Programmed {
    /// Gateways that are ready.
    pub(crate) gateways: i32,
    /// Those of them that have it.
    pub(crate) acknowledged: i32,
    /// Those of them that do not say.
    pub(crate) silent: i32,
    /// One that refuses it, and why.
    pub(crate) refused: Option<(String, String)>,
}

/// Whose FundClusters should hear of something new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    /// These; none, mostly.
    These(BTreeSet<Key>),
    /// Everybody's: there are other gateways.
    All,
}

/// What gateways said last.
#[derive(Debug, Default)]
pub(crate) struct Acknowledgements(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// None until they were heard, which is another thing than that there are none: all of them have answered, or were asked
    /// often enough.
    gateways: Option<Vec<Gateway>>,
    /// How often they were asked without being heard.
    unheard: u8,
    /// Other gateways, seen once: while a Deployment rolls there are others all the time.
    others: Option<Vec<String>>,
}

#[derive(Clone, Debug)]
struct Gateway {
    name: String,
    said: Option<Arc<AppliedRoutes>>,
    /// How often in a row it said nothing.
    silent: u8,
}

impl Acknowledgements {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These gateways are ready, and said this.
    pub(crate) fn hear(&self, mut heard: Vec<Heard>) -> Touched {
        heard.sort_by(|one, other| one.gateway.cmp(&other.gateway));
        let mut state = self.state();
        let Some(before) = state.gateways.clone() else {
            // One lost answer takes nothing back that a former leader has heard.
            if heard.iter().any(|heard| heard.said.is_none()) && !state.asked_enough() {
                return Touched::nobody();
            }
            state.gateways = Some(heard.into_iter().map(|heard| Gateway::after(None, heard)).collect());
            return Touched::All;
        };
        let known = |name: &str| before.iter().find(|gateway| gateway.name == name);
        let now: Vec<Gateway> =
            heard.into_iter().map(|heard| Gateway::after(known(&heard.gateway), heard)).collect();
        let names = |gateways: &[Gateway]| -> Vec<String> {
            gateways.iter().map(|gateway| gateway.name.clone()).collect()
        };
        let (there, were) = (names(&now), names(&before));
        if there == were {
            state.others = None;
            let touched = difference(&before, &now);
            state.gateways = Some(now);
            return touched;
        }
        if were.is_empty() || state.others.as_ref() == Some(&there) {
            state.others = None;
            state.gateways = Some(now);
            return Touched::All;
        }
        // Those that stay may say something new all the same.
        state.others = Some(there);
        let stays = |gateway: &Gateway| now.iter().find(|other| other.name == gateway.name).cloned();
        let after: Vec<_> =
            before.iter().map(|gateway| stays(gateway).unwrap_or_else(|| gateway.clone())).collect();
        let touched = difference(&before, &after);
        state.gateways = Some(after);
        touched
    }

    /// Nobody can tell where gateways are. What they said before stands: they go on without an API server. Where they were
    /// never heard, nobody waits for them for ever.
    pub(crate) fn unseen(&self) -> Touched {
        let mut state = self.state();
        if state.gateways.is_some() || !state.asked_enough() {
            return Touched::nobody();
        }
        state.gateways = Some(Vec::new());
        Touched::All
    }

    /// From now on another operator asks. By the time this one asks again, what it has heard may be long ago.
    pub(crate) fn forget(&self) {
        *self.state() = State::default();
    }

    /// How far this generation of a FundCluster's route came; none while gateways were not heard yet.
    pub(crate) fn of(&self, key: &Key, generation: i64) -> Option<Programmed> {
        let (state, object) = (self.state(), key.to_string());
        let mut programmed = Programmed::default();
        for gateway in state.gateways.as_ref()? {
            programmed.gateways += 1;
            match &gateway.said {
                None => programmed.silent += 1,
                Some(said) if said.routes.get(&object).is_some_and(|applied| *applied >= generation) => {
                    programmed.acknowledged += 1;
                }
                Some(said) => {
                    let why = said.refused.get(&object);
                    let refused = why.map(|why| (gateway.name.clone(), why.clone()));
                    programmed.refused = programmed.refused.or(refused);
                }
            }
        }
        Some(programmed)
    }

    /// The newest generation that any gateway has of what goes by the name of a FundCluster's route; 0 where none has any.
    pub(crate) fn newest(&self, key: &Key) -> i64 {
        let (state, object) = (self.state(), key.to_string());
        let said = state.gateways.iter().flatten().filter_map(|gateway| gateway.said.as_ref());
        said.filter_map(|said| said.routes.get(&object)).copied().max().unwrap_or_default()
    }
}

impl State {
    /// Counts a question that nobody heard an answer to. Whether there were enough of them to go by what there is.
    fn asked_enough(&mut self) -> bool {
        self.unheard = self.unheard.saturating_add(1);
        self.unheard >= PATIENCE
    }
}

impl Gateway {
    /// What is known of a gateway once it was asked again.
    fn after(known: Option<&Self>, heard: Heard) -> Self {
        let Heard { gateway: name, said } = heard;
        match (said, known) {
            (Some(said), _) => Self { name, said: Some(said), silent: 0 },
            (None, Some(known)) => {
                let silent = known.silent.saturating_add(1);
                Self { name, said: known.said.clone().filter(|_| silent < PATIENCE), silent }
            }
            (None, None) => Self { name, said: None, silent: PATIENCE },
        }
    }
}

impl Touched {
    fn nobody() -> Self {
        Self::These(BTreeSet::new())
    }
}

/// What the same gateways say anew.
fn difference(before: &[Gateway], after: &[Gateway]) -> Touched {
    let mut touched = BTreeSet::new();
    for (before, after) in before.iter().zip(after) {
        match (&before.said, &after.said) {
            (Some(before), Some(after)) if Arc::ptr_eq(before, after) => {}
            (Some(before), Some(after)) => {
                changed(&before.routes, &after.routes, &mut touched);
                changed(&before.refused, &after.refused, &mut touched);
            }
            (None, None) => {}
            _ => return Touched::All,
        }
    }
    Touched::These(touched)
}

fn changed<V: PartialEq>(
    before: &BTreeMap<String, V>,
    after: &BTreeMap<String, V>,
    touched: &mut BTreeSet<Key>,
) {
    let new = after.iter().filter(|(object, value)| before.get(*object) != Some(value));
    let gone = before.iter().filter(|(object, _)| !after.contains_key(*object));
    let named = new.chain(gone).filter_map(|(object, _)| object.split_once('/'));
    touched.extend(named.map(|(namespace, name)| Key::new(namespace, name)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(routes: &[(&str, i64)], refused: &[(&str, &str)]) -> Arc<AppliedRoutes> {
        let routes = routes.iter().map(|(name, generation)| (format!("funds/{name}"), *generation)).collect();
        let refused =
            refused.iter().map(|(name, why)| (format!("funds/{name}"), (*why).to_owned())).collect();
        Arc::new(AppliedRoutes { routes, refused })
    }

    fn heard(gateway: &str, said: impl Into<Option<Arc<AppliedRoutes>>>) -> Heard {
        Heard { gateway: gateway.to_owned(), said: said.into() }
    }

    fn desk() -> Key {
        Key::new("funds", "desk")
    }

    fn these(names: &[&str]) -> Touched {
        Touched::These(names.iter().map(|name| Key::new("funds", name)).collect())
    }

    #[test]
    fn a_route_is_acknowledged_by_those_who_have_it_or_a_later_one() {
        let gateways = Acknowledgements::default();
        let all = || {
            vec![
                heard("a", said(&[("desk", 3)], &[])),
                heard("b", said(&[("desk", 2)], &[("desk", "no header")])),
                heard("c", None),
            ]
        };
        for _ in 1..PATIENCE {
            assert_eq!(gateways.hear(all()), these(&[]));
            assert_eq!(gateways.of(&desk(), 1), None, "c may say something yet");
        }
        assert_eq!(gateways.hear(all()), Touched::All);
        let refused = Some(("b".to_owned(), "no header".to_owned()));
        let of = |acknowledged, refused| Some(Programmed { gateways: 3, acknowledged, silent: 1, refused });
        assert_eq!(gateways.of(&desk(), 2), of(2, None));
        assert_eq!(gateways.of(&desk(), 3), of(1, refused.clone()));
        assert_eq!(gateways.of(&desk(), 4), of(0, refused));
    }

    #[test]
    fn the_newest_of_a_route_is_what_any_gateway_has() {
        let gateways = Acknowledgements::default();
        assert_eq!(gateways.newest(&desk()), 0);
        gateways.hear(vec![
            heard("a", said(&[("desk", 3)], &[])),
            heard("b", said(&[("desk", 4)], &[])),
            heard("c", said(&[("other", 9)], &[])),
        ]);
        assert_eq!(gateways.newest(&desk()), 4);
    }

    #[test]
    fn what_was_not_heard_yet_is_not_nothing() {
        let gateways = Acknowledgements::default();
        assert_eq!(gateways.of(&desk(), 1), None);
        assert_eq!(gateways.hear(vec![]), Touched::All, "that there are none is news");
        assert_eq!(gateways.of(&desk(), 1), Some(Programmed::default()));
        assert_eq!(gateways.hear(vec![]), these(&[]));
        gateways.forget();
        assert_eq!(gateways.of(&desk(), 1), None);
        assert_eq!(gateways.hear(vec![heard("a", said(&[("desk", 1)], &[]))]), Touched::All, "at once");
        assert_eq!(gateways.of(&desk(), 1).unwrap().acknowledged, 1);
    }

    #[test]
    fn whoever_is_never_heard_keeps_nobody_waiting_for_ever() {
        let gateways = Acknowledgements::default();
        for _ in 1..PATIENCE {
            assert_eq!(gateways.unseen(), these(&[]));
            assert_eq!(gateways.of(&desk(), 1), None);
        }
        assert_eq!(gateways.unseen(), Touched::All);
        assert_eq!(gateways.of(&desk(), 1), Some(Programmed::default()));
        assert_eq!(gateways.hear(vec![heard("a", said(&[("desk", 1)], &[]))]), Touched::All);
        for _ in 0..9 {
            assert_eq!(gateways.unseen(), these(&[]));
        }
        assert_eq!(gateways.of(&desk(), 1).unwrap().acknowledged, 1, "what was heard stands");
    }

    #[test]
    fn only_whose_route_changed_hears_of_it() {
        let gateways = Acknowledgements::default();
        let first = said(&[("desk", 1), ("other", 1), ("goes", 1)], &[]);
        gateways.hear(vec![heard("a", first.clone())]);
        assert_eq!(gateways.hear(vec![heard("a", first)]), these(&[]));
        let second = said(&[("desk", 2), ("other", 1), ("new", 1)], &[("bad", "why")]);
        assert_eq!(gateways.hear(vec![heard("a", second)]), these(&["bad", "desk", "goes", "new"]));
    }

    #[test]
    fn other_gateways_count_once_they_were_seen_twice() {
        let gateways = Acknowledgements::default();
        let one = said(&[("desk", 1)], &[]);
        gateways.hear(vec![heard("a", one.clone())]);
        let both = || vec![heard("b", one.clone()), heard("a", said(&[("desk", 2)], &[]))];
        let of = |generation| gateways.of(&desk(), generation).unwrap();
        assert_eq!(gateways.hear(both()), these(&["desk"]), "who stays is heard at once");
        assert_eq!(of(2).gateways, 1);
        assert_eq!(gateways.hear(both()), Touched::All);
        assert_eq!(of(2), Programmed { gateways: 2, acknowledged: 1, ..Programmed::default() });
        // Back to one: also seen twice.
        gateways.hear(vec![heard("a", one.clone())]);
        assert_eq!(of(1).gateways, 2);
        assert_eq!(gateways.hear(vec![heard("a", one.clone())]), Touched::All);
        assert_eq!(of(1).gateways, 1);
    }

    #[test]
    fn one_lost_answer_takes_nothing_back_and_three_do() {
        let gateways = Acknowledgements::default();
        gateways.hear(vec![heard("a", said(&[("desk", 1)], &[]))]);
        for _ in 1..PATIENCE {
            assert_eq!(gateways.hear(vec![heard("a", None)]), these(&[]));
            assert_eq!(gateways.of(&desk(), 1).unwrap().acknowledged, 1);
        }
        assert_eq!(gateways.hear(vec![heard("a", None)]), Touched::All);
        let silent = Programmed { gateways: 1, silent: 1, ..Programmed::default() };
        assert_eq!(gateways.of(&desk(), 1), Some(silent));
        assert_eq!(gateways.hear(vec![heard("a", said(&[("desk", 1)], &[]))]), Touched::All);
    }
}
