//! Watches: what happens to objects, told as it happens.
//!
//! Flow: where a watch has got to is a number -> what happened since, as far as it is asked for, goes out line by line ->
//! it waits for news, for its end, or for the next bookmark. Who is too far behind, or comes from before what is
//! remembered, is told that it expired.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use futures::{Stream, stream};
use http_body::Frame;
use tokio::{
    sync::watch,
    time::{Duration, Instant, sleep_until},
};

use crate::{
    call::Call,
    failure::Failure,
    object::{Place, Stored},
    resources::Resource,
    simulator::{Broken, Shared},
    state::State,
    store::Happened,
    verbs::number,
};

/// How often a watch is told how far it is though nothing happens, as elsewhere.
const BOOKMARKS: Duration = Duration::from_mins(1);

/// How long a watch lasts that does not say how long: some time between the server's half an hour and an hour.
const LASTING: Duration = Duration::from_mins(45);

/// A watch that goes on.
#[derive(Debug)]
pub(crate) struct Watching {
    call: Call,
    resource: Arc<Resource>,
    /// What happened up to this write was told.
    seen: u64,
    news: watch::Receiver<u64>,
    ends: Instant,
    bookmark: Option<Instant>,
    /// Lines that go out next.
    out: VecDeque<Bytes>,
    over: bool,
    /// How often the server had been away when this began.
    outages: u64,
}

impl State {
    /// Begins a watch.
    pub(crate) fn watch(&self, call: &Call) -> Result<Watching, Failure> {
        let objects = self.store.of(call.kind);
        let mut out = VecDeque::new();
        let seen = match call.query.revision.as_str() {
            // From now on, after all that there is.
            "" | "0" => {
                let first = Place::new(&call.place.namespace, "");
                let live = objects.live.range(first..);
                for (place, stored) in live.take_while(|(place, _)| within(call, place)) {
                    if call.query.selector.matches(place, stored) {
                        out.push_back(line(call, "ADDED", stored, stored.revision));
                    }
                }
                self.store.revision
            }
            revision => number(revision)?,
        };
        let lasting = call.query.timeout.map_or(LASTING, Duration::from_secs);
        let now = Instant::now();
        let mut watching = Watching {
            call: call.clone(),
            resource: objects.resource.clone(),
            seen,
            news: objects.news.subscribe(),
            ends: now + lasting,
            bookmark: call.query.bookmarks.then(|| now + BOOKMARKS),
            out,
            over: false,
            outages: self.outages,
        };
        if seen < objects.forgotten {
            // The server answers with 200 and says so in the first line.
            watching.expire(objects.forgotten);
        }
        Ok(watching)
    }
}

impl Watching {
    /// Says that what it asks for is not remembered.
    fn expire(&mut self, oldest: u64) {
        let failure = Failure::expired(format!("too old resource version: {} ({oldest})", self.seen));
        self.out.push_back(Bytes::from(format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", failure.status())));
        self.over = true;
    }

    /// Takes in what happened since it last looked.
    fn look(&mut self, state: &State) {
        let objects = state.store.of(self.call.kind);
        if self.seen < objects.dropped {
            self.expire(objects.dropped);
            return;
        }
        let first = objects.first_after(self.seen);
        for event in objects.happened.iter().skip(first) {
            if let Some(line) = self.told(event) {
                self.out.push_back(line);
            }
        }
        self.seen = self.seen.max(state.store.revision);
    }

    /// What an event is for who watches only some objects.
    fn told(&self, event: &Happened) -> Option<Bytes> {
        if !within(&self.call, &event.place) {
            return None;
        }
        let selector = &self.call.query.selector;
        let of = |stored: &Option<Arc<Stored>>| {
            stored.clone().filter(|stored| selector.matches(&event.place, stored))
        };
        let (word, stored) = match (of(&event.before), of(&event.after)) {
            (None, None) => return None,
            (None, Some(after)) => ("ADDED", after),
            (Some(_), Some(after)) => ("MODIFIED", after),
            // As it last was, under the number of the write that took it away.
            (Some(before), None) => ("DELETED", before),
        };
        Some(line(&self.call, word, &stored, event.revision))
    }

    fn bookmark(&self) -> Bytes {
        let (version, kind) = if self.call.metadata_only {
            ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata")
        } else {
            (self.resource.api_version(), self.resource.kind.as_str())
        };
        Bytes::from(format!(
            "{{\"type\":\"BOOKMARK\",\"object\":{{\"kind\":\"{kind}\",\"apiVersion\":\"{version}\",\"metadata\":\
             {{\"resourceVersion\":\"{}\",\"creationTimestamp\":null}}}}}}\n",
            self.seen
        ))
    }

    /// The next line, when there is one; nothing at the end.
    async fn next(&mut self, shared: &Weak<Shared>) -> Option<Result<Bytes, Broken>> {
        loop {
            if let Some(line) = self.out.pop_front() {
                return Some(Ok(line));
            }
            if self.over {
                return None;
            }
            let Some(server) = shared.upgrade() else { return Some(Err(self.broken())) };
            self.news.borrow_and_update();
            {
                let state = server.state();
                if state.outages != self.outages {
                    return Some(Err(self.broken()));
                }
                self.look(&state);
            }
            drop(server);
            if !self.out.is_empty() || self.over {
                continue;
            }
            let until = self.bookmark.map_or(self.ends, |bookmark| bookmark.min(self.ends));
            tokio::select! {
                biased;
                changed = self.news.changed() => {
                    if changed.is_err() {
                        return Some(Err(self.broken()));
                    }
                }
                () = sleep_until(until) => self.pass(until),
            }
        }
    }

    /// A time came: that of a bookmark, or of the end.
    fn pass(&mut self, time: Instant) {
        if time >= self.ends {
            self.over = true;
        } else {
            self.out.push_back(self.bookmark());
            self.bookmark = Some(time + BOOKMARKS);
        }
    }

    fn broken(&mut self) -> Broken {
        self.over = true;
        Broken
    }

    /// The lines as a body.
    pub(crate) fn frames(
        self,
        shared: Weak<Shared>,
    ) -> impl Stream<Item = Result<Frame<Bytes>, Broken>> + Send {
        stream::unfold((self, shared), |(mut watching, shared)| async move {
            let line = watching.next(&shared).await?;
            Some((line.map(Frame::data), (watching, shared)))
        })
    }
}

fn within(call: &Call, place: &Place) -> bool {
    call.place.namespace.is_empty() || call.place.namespace == place.namespace
}

/// An event as it is written.
fn line(call: &Call, word: &str, stored: &Stored, revision: u64) -> Bytes {
    let object = text(call.metadata_only, stored, revision);
    let mut line = Vec::with_capacity(object.len() + 32);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(word.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(&object);
    line.extend_from_slice(b"}\n");
    line.into()
}

/// An object as it is sent.
pub(crate) fn text(metadata_only: bool, stored: &Stored, revision: u64) -> Bytes {
    if !metadata_only {
        return stored.text_at(revision);
    }
    let begin = &b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":"[..];
    [begin, &stored.metadata_at(revision), b"}"].concat().into()
}
