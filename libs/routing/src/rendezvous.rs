//! The same key, the same endpoint: highest random weight.

use xxhash_rust::xxh64::xxh64;

use crate::{KeyHash, LoadBound};

/// Chooses by the highest weight that an endpoint's name has for a key (Thaler and Ravishankar, "Using name-based
/// mappings to increase hit rates", 1998).
///
/// A weight depends on the key and that one name, not on the list: whoever joins takes keys only for itself, whoever
/// leaves gives away only its own, and the order of the list says nothing. A ring of hashes needs hundreds of points for
/// each endpoint to share evenly, and a table to search; with up to some hundred endpoints, one multiplication or two for
/// each is less work than that search.
///
/// The weight of a name for a key is XXH64 of the 8 bytes (little-endian) of XXH64 of the name, with the hash of the key
/// for its seed. As with [`KeyHash`], it never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendezvous {
    /// The hash of each name, as bytes: made once, not for each request.
    names: Box<[[u8; 8]]>,
}

/// Where a key goes under a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounded {
    /// The endpoint.
    pub endpoint: usize,
    /// Whether an endpoint with a higher weight was passed over because it had its share.
    pub spilled: bool,
}

/// The best so far of a search.
type Best = Option<(u64, usize)>;

impl Rendezvous {
    /// Between endpoints with these names, which differ. They are known by their place in the list from here on.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { names: names.into_iter().map(|name| xxh64(name.as_bytes(), 0).to_le_bytes()).collect() }
    }

    /// The weight of `endpoint` for `key`; two endpoints have the same only where the hashes of their names are the same.
    pub fn weight(&self, key: KeyHash, endpoint: usize) -> Option<u64> {
        self.names.get(endpoint).map(|name| weight(key, *name))
    }

    /// The endpoint with the highest weight for `key` of those for which `usable` holds, or none where it holds for none.
    pub fn pick(&self, key: KeyHash, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let mut best: Best = None;
        for (endpoint, name) in self.names.iter().enumerate().filter(|(endpoint, _)| usable(*endpoint)) {
            keep(&mut best, weight(key, *name), endpoint);
        }
        best.map(|(_, endpoint)| endpoint)
    }

    /// The same, but past endpoints that have their share already (Mirrokni, Thorup and Zadimoghaddam, "Consistent
    /// Hashing with Bounded Loads", 2018): a key that everybody asks for is then shared by several endpoints, and always
    /// in the same order.
    ///
    /// `load` says how much is under way at an endpoint. What runs at those that are not usable counts for nothing.
    pub fn pick_bounded(
        &self,
        key: KeyHash,
        bound: LoadBound,
        usable: impl Fn(usize) -> bool,
        load: impl Fn(usize) -> usize,
    ) -> Option<Bounded> {
        let (count, total) = sum(self.names.len(), &usable, &load);
        let most = bound.most(total, count);
        let (mut best, mut with_room): (Best, Best) = (None, None);
        for (endpoint, name) in self.names.iter().enumerate().filter(|(endpoint, _)| usable(*endpoint)) {
            let weight = weight(key, *name);
            keep(&mut best, weight, endpoint);
            // In this order: few endpoints are better than all before them, so few loads are looked at.
            if is_better(with_room, weight) && load(endpoint) < most {
                with_room = Some((weight, endpoint));
            }
        }
        // Somebody has room, unless loads changed between the two looks; then the first choice is as good as any.
        let (_, endpoint) = with_room.or(best)?;
        Some(Bounded { endpoint, spilled: best.is_some_and(|(_, first)| first != endpoint) })
    }

    /// Every endpoint, the one with the highest weight for `key` first: the order in which they are taken. For people.
    pub fn ranking(&self, key: KeyHash) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.names.len()).collect();
        all.sort_by_key(|endpoint| std::cmp::Reverse(self.weight(key, *endpoint)));
        all
    }
}

fn weight(key: KeyHash, name: [u8; 8]) -> u64 {
    xxh64(&name, key.get())
}

/// Of two that weigh the same the first stays.
fn is_better(best: Best, weight: u64) -> bool {
    best.is_none_or(|(highest, _)| weight > highest)
}

fn keep(best: &mut Best, weight: u64, endpoint: usize) {
    if is_better(*best, weight) {
        *best = Some((weight, endpoint));
    }
}

/// How many of `count` endpoints are usable, and how much is under way at them.
fn sum(count: usize, usable: impl Fn(usize) -> bool, load: impl Fn(usize) -> usize) -> (usize, usize) {
    (0..count)
        .filter(|endpoint| usable(*endpoint))
        .fold((0, 0), |(count, total), endpoint| (count + 1, total.saturating_add(load(endpoint))))
}

#[cfg(test)]
mod tests;
