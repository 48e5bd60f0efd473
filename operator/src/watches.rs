//! Which watches there are: one for each kind and each namespace that is looked at.

use crate::{cache::WatchId, kinds::Kind, watch::Subject};

/// All watches, by number.
#[derive(Clone, Debug)]
pub(crate) struct Watches {
    /// Empty for all namespaces.
    namespaces: Vec<String>,
}

impl Watches {
    /// Of these namespaces; of all, where none is named.
    pub(crate) fn new(mut namespaces: Vec<String>) -> Self {
        namespaces.sort_unstable();
        namespaces.dedup();
        Self { namespaces }
    }

    fn places(&self) -> usize {
        self.namespaces.len().max(1)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        (Kind::ALL.len() + 1) * self.places()
    }

    /// Each with its subject and its namespace.
    pub(crate) fn all(&self) -> impl Iterator<Item = (WatchId, Subject, Option<String>)> {
        let subjects = std::iter::once(Subject::Clusters).chain(Kind::ALL.map(Subject::Children));
        subjects.enumerate().flat_map(move |(number, subject)| {
            (0..self.places()).map(move |place| {
                let id = WatchId::of(number * self.places() + place);
                (id, subject, self.namespaces.get(place).cloned())
            })
        })
    }

    fn place(&self, namespace: &str) -> usize {
        self.namespaces.binary_search_by(|known| (**known).cmp(namespace)).unwrap_or_default()
    }

    /// The one that tells of FundClusters there.
    pub(crate) fn clusters(&self, namespace: &str) -> WatchId {
        WatchId::of(self.place(namespace))
    }

    /// The one that tells of such children there.
    pub(crate) fn children(&self, kind: Kind, namespace: &str) -> WatchId {
        WatchId::of((kind as usize + 1) * self.places() + self.place(namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_watch_is_found_by_what_it_tells_of() {
        for namespaces in [vec![], vec!["b".to_owned(), "a".to_owned(), "b".to_owned()]] {
            let watches = Watches::new(namespaces);
            let all: Vec<_> = watches.all().collect();
            assert_eq!(all.len(), watches.len());
            for (number, (id, subject, namespace)) in all.into_iter().enumerate() {
                assert_eq!(id, WatchId::of(number));
                let namespace = namespace.as_deref().unwrap_or("any");
                let found = match subject {
                    Subject::Clusters => watches.clusters(namespace),
                    Subject::Children(kind) => watches.children(kind, namespace),
                };
                assert_eq!(found, id);
            }
        }
    }
}
