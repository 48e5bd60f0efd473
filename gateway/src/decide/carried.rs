//! Which routes of a table are those of the table before. Pure.
//!
//! Tables of thousands of routes differ in one of them mostly, and what is remembered of the others is carried over without a
//! look at each: routes that did not change are the very same objects, in the same order.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Route, RouteTable};

/// What a table has of the one before.
#[derive(Debug)]
pub(crate) struct Carried<'a> {
    /// For each route its place before, where it is the same.
    same: Vec<Option<usize>>,
    /// Places of routes that are there no more, or are not as they were, by their names.
    left: HashMap<&'a str, usize>,
}

impl<'a> Carried<'a> {
    pub(crate) fn between(before: &'a RouteTable, table: &RouteTable) -> Self {
        let (old, new) = (before.routes(), table.routes());
        let is_same = |(old, new): &(&Arc<Route>, &Arc<Route>)| Arc::ptr_eq(old, new);
        let head = old.iter().zip(new).take_while(is_same).count();
        let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(is_same).count();
        let (old_end, new_end) = (old.len() - tail, new.len() - tail);
        let between: HashMap<*const Route, usize> =
            (head..old_end).map(|place| (Arc::as_ptr(&old[place]), place)).collect();
        let same: Vec<_> = (0..new.len())
            .map(|place| match place {
                _ if place < head => Some(place),
                _ if place >= new_end => Some(place - new_end + old_end),
                _ => between.get(&Arc::as_ptr(&new[place])).copied(),
            })
            .collect();
        let stay: HashSet<usize> = same[head..new_end].iter().copied().flatten().collect();
        let left = (head..old_end).filter(|place| !stay.contains(place));
        let left = left.map(|place| (&*old[place].name, place)).collect();
        Self { same, left }
    }

    /// Where the `route`th was before, if it is the same.
    pub(crate) fn same(&self, route: usize) -> Option<usize> {
        self.same.get(route).copied().flatten()
    }

    /// Where the `route`th was before, be it another one of that name.
    pub(crate) fn of_name(&self, route: usize, name: &str) -> Option<usize> {
        self.same(route).or_else(|| self.left.get(name).copied())
    }

    /// Places before of what is there no more, or not as it was.
    pub(crate) fn left(&self) -> impl Iterator<Item = usize> {
        self.left.values().copied()
    }

    /// Places of what is new, or not as it was.
    pub(crate) fn new_ones(&self) -> impl Iterator<Item = usize> {
        self.same.iter().enumerate().filter(|(_, same)| same.is_none()).map(|(place, _)| place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::route_file;

    fn route(name: &str) -> Arc<Route> {
        let text = format!(
            "{{generation: 1, routes: [{{match: {{value: {name}}}, endpoints: [{{address: '127.0.0.1:1'}}]}}]}}"
        );
        route_file::parse(&text).unwrap().routes()[0].clone()
    }

    proptest! {
        #[test]
        fn what_stays_is_found_wherever_it_went_and_what_does_not_by_its_name(
            old in proptest::sample::subsequence((0..12_usize).collect::<Vec<_>>(), 0..12),
            new in proptest::sample::subsequence((0..12_usize).collect::<Vec<_>>(), 0..12).prop_shuffle(),
            edited in proptest::collection::hash_set(0..12_usize, 0..4),
        ) {
            let all: Vec<_> = (0..12).map(|number| route(&format!("r{number}"))).collect();
            let before = RouteTable::new(1, old.iter().map(|number| all[*number].clone()));
            let after = RouteTable::new(2, new.iter().map(|number| match &all[*number] {
                route if edited.contains(number) => Arc::new(Route::clone(route)),
                route => route.clone(),
            }));
            let carried = Carried::between(&before, &after);
            for (place, number) in new.iter().enumerate() {
                let was = old.iter().position(|other| other == number);
                let name = format!("r{number}");
                prop_assert_eq!(carried.of_name(place, &name), was);
                prop_assert_eq!(carried.same(place), was.filter(|_| !edited.contains(number)));
            }
            let left: HashSet<_> = carried.left().map(|place| old[place]).collect();
            let expected = old.iter().filter(|number| edited.contains(number) || !new.contains(number));
            prop_assert_eq!(left, expected.copied().collect());
            let new_ones: HashSet<_> = carried.new_ones().map(|place| new[place]).collect();
            let expected = new.iter().filter(|number| edited.contains(number) || !old.contains(number));
            prop_assert_eq!(new_ones, expected.copied().collect());
        }
    }
}
