//! How far the API server has told what there is, namespace by namespace. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// A list that was refused for so long, and nothing else, is waited for no more: somebody took the right to it away.
pub(super) const GIVE_UP: Duration = Duration::from_secs(30);

/// The watches of a place: of routes, and of what is behind them.
pub(super) const WATCHES: usize = 2;

/// The namespaces that are followed; watch by watch, [`WATCHES`] a place.
#[derive(Debug)]
pub(super) struct Progress {
    places: Vec<Place>,
    /// Whether what is missing is waited for no more.
    gave_up: bool,
}

/// A namespace, or all of them.
#[derive(Debug)]
struct Place {
    namespace: Option<String>,
    lists: [List; WATCHES],
}

/// The first list of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    /// It was not told yet.
    Awaited,
    /// Nor will it be: refused since then.
    Refused(Instant),
    /// It was told, whatever came later.
    Told,
}

impl Place {
    fn is_settled(&self) -> bool {
        self.lists.iter().all(|list| *list == List::Told)
    }

    /// Since when it is refused.
    fn refused(&self) -> Option<Instant> {
        let refused = self.lists.iter().filter_map(|list| match list {
            List::Refused(since) => Some(*since),
            List::Awaited | List::Told => None,
        });
        refused.min()
    }
}

impl Progress {
    /// Of these namespaces; of all, where none is named.
    pub(super) fn new(namespaces: &[String]) -> Self {
        let mut names: Vec<_> = namespaces.iter().cloned().map(Some).collect();
        if names.is_empty() {
            names.push(None);
        }
        let place = |namespace| Place { namespace, lists: [List::Awaited; WATCHES] };
        Self { places: names.into_iter().map(place).collect(), gave_up: false }
    }

    /// The namespaces, in the order of their watches.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = Option<&str>> {
        self.places.iter().map(|place| place.namespace.as_deref())
    }

    /// The namespace of a watch.
    pub(super) fn namespace(&self, watch: usize) -> Option<&str> {
        self.places.get(watch / WATCHES)?.namespace.as_deref()
    }

    fn list(&mut self, watch: usize) -> Option<&mut List> {
        self.places.get_mut(watch / WATCHES).map(|place| &mut place.lists[watch % WATCHES])
    }

    /// A list has ended.
    pub(super) fn listed(&mut self, watch: usize) {
        if let Some(list) = self.list(watch) {
            *list = List::Told;
        }
    }

    /// A watch failed, by a refusal of its list or otherwise.
    pub(super) fn failed(&mut self, watch: usize, refused: bool, now: Instant) {
        let Some(list) = self.list(watch) else { return };
        *list = match *list {
            List::Awaited if refused => List::Refused(now),
            // A server that does not answer may have another answer when it does.
            List::Refused(_) if !refused => List::Awaited,
            same => same,
        };
    }

    /// Whether everything of that namespace was told.
    pub(super) fn is_settled(&self, namespace: &str) -> bool {
        let is_of = |place: &&Place| place.namespace.as_deref().is_none_or(|name| name == namespace);
        self.places.iter().filter(is_of).any(Place::is_settled)
    }

    /// Whether everything was told.
    pub(super) fn is_whole(&self) -> bool {
        self.places.iter().all(Place::is_settled)
    }

    /// Whether something was.
    pub(super) fn has_begun(&self) -> bool {
        self.places.iter().any(Place::is_settled)
    }

    /// When to wait no more, as it looks now: once all that is missing was refused for long, while the rest is there. A server
    /// that refuses everything is none to go by.
    pub(super) fn gives_up(&self) -> Option<Instant> {
        if self.gave_up || self.is_whole() || !self.has_begun() {
            return None;
        }
        let missing = self.places.iter().filter(|place| !place.is_settled());
        let refused: Option<Vec<Instant>> = missing.map(Place::refused).collect();
        Some(refused?.into_iter().max()? + GIVE_UP)
    }

    /// Waits no more for what is missing.
    pub(super) fn give_up(&mut self) {
        self.gave_up = true;
    }

    pub(super) fn gave_up(&self) -> bool {
        self.gave_up
    }

    /// The namespaces of which not everything was told.
    pub(super) fn missing(&self) -> String {
        let missing = self.places.iter().filter(|place| !place.is_settled());
        let names: Vec<_> = missing.filter_map(|place| place.namespace.as_deref()).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(namespaces: &[&str]) -> Progress {
        Progress::new(&namespaces.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
    }

    fn told(progress: &mut Progress, place: usize) {
        progress.listed(place * WATCHES);
        progress.listed(place * WATCHES + 1);
    }

    #[test]
    fn a_namespace_is_settled_once_both_of_its_lists_were_told() {
        let mut progress = of(&["a", "b"]);
        assert_eq!(progress.namespaces().collect::<Vec<_>>(), [Some("a"), Some("b")]);
        assert_eq!((progress.namespace(1), progress.namespace(2)), (Some("a"), Some("b")));
        progress.listed(0);
        assert!(!progress.has_begun() && !progress.is_settled("a"));
        progress.listed(1);
        assert!(progress.is_settled("a") && !progress.is_settled("b") && !progress.is_whole());
        assert_eq!(progress.missing(), "b");
        told(&mut progress, 1);
        assert!(progress.is_whole());
        let mut everywhere = of(&[]);
        assert!(!everywhere.is_settled("any"));
        told(&mut everywhere, 0);
        assert!(everywhere.is_settled("any") && everywhere.is_whole());
    }

    #[test]
    fn what_is_refused_for_long_is_waited_for_no_more_while_the_rest_is_there() {
        let now = Instant::now();
        let later = now + Duration::from_secs(5);
        let mut progress = of(&["a", "b", "c"]);
        progress.failed(2, true, now);
        assert_eq!(progress.gives_up(), None, "nothing else is there");
        told(&mut progress, 0);
        assert_eq!(progress.gives_up(), None, "c may come");
        progress.failed(5, true, later);
        progress.failed(2, true, later);
        assert_eq!(progress.gives_up(), Some(later + GIVE_UP));
        progress.failed(2, false, later);
        assert_eq!(progress.gives_up(), None, "b is not refused any more");
        told(&mut progress, 1);
        assert_eq!(progress.gives_up(), Some(later + GIVE_UP));
        progress.give_up();
        assert_eq!((progress.gives_up(), progress.gave_up()), (None, true));
        // What is refused later was told once, and is known.
        progress.failed(0, true, later);
        assert!(progress.is_settled("a"));
    }

    #[test]
    fn a_server_that_refuses_everything_is_waited_for() {
        for namespaces in [&[][..], &["a"], &["a", "b"]] {
            let mut progress = of(namespaces);
            let watches = progress.namespaces().count() * WATCHES;
            (0..watches).for_each(|watch| progress.failed(watch, true, Instant::now()));
            assert_eq!(progress.gives_up(), None);
        }
    }
}
