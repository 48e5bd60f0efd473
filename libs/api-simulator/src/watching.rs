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
    faults::{Delivery, Event},
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

/// How long an event waits for the next one to be told before it.
const HELD: Duration = Duration::from_secs(1);

/// What goes out.
#[derive(Debug)]
enum Out {
    Line(Bytes),
    /// The connection breaks.
    Break,
    /// The watch is over.
    End,
}

/// A watch that goes on.
#[derive(Debug)]
pub(crate) struct Watching {
    call: Call,
    resource: Arc<Resource>,
    identity: Arc<str>,
    /// The number of the request that began it.
    number: u64,
    /// What happened up to this write was told.
    seen: u64,
    news: watch::Receiver<u64>,
    ends: Instant,
    bookmark: Option<Instant>,
    /// What goes out, and when.
    out: VecDeque<(Instant, Out)>,
    /// What waits for the next event, until then.
    held: Option<(Instant, Bytes)>,
    over: bool,
    /// How often the server had been away when this began.
    outages: u64,
}

impl State {
    /// Begins a watch.
    pub(crate) fn watch(&self, call: &Call, identity: &Arc<str>, request: u64) -> Result<Watching, Failure> {
        let objects = self.store.of(call.kind);
        let now = Instant::now();
        let mut out = VecDeque::new();
        let seen = match call.query.revision.as_str() {
            // From now on, after all that there is.
            "" | "0" => {
                let first = Place::new(&call.place.namespace, "");
                let live = objects.live.range(first..);
                for (place, stored) in live.take_while(|(place, _)| within(call, place)) {
                    if call.query.selector.matches(place, stored) {
                        out.push_back((now, Out::Line(line(call, "ADDED", stored, stored.revision))));
                    }
                }
                self.store.revision
            }
            revision => number(revision)?,
        };
        let lasting = call.query.timeout.map_or(LASTING, Duration::from_secs);
        let mut watching = Watching {
            call: call.clone(),
            resource: objects.resource.clone(),
            identity: identity.clone(),
            number: request,
            seen,
            news: objects.news.subscribe(),
            ends: now + lasting,
            bookmark: call.query.bookmarks.then(|| now + BOOKMARKS),
            out,
            held: None,
            over: false,
            outages: self.outages,
        };
        if seen < objects.forgotten {
            // The server answers with 200 and says so in the first line.
            watching.expire(now, objects.forgotten);
        }
        Ok(watching)
    }
}

impl Watching {
    /// Says that what it asks for is not remembered.
    fn expire(&mut self, when: Instant, oldest: u64) {
        let failure = Failure::expired(format!("too old resource version: {} ({oldest})", self.seen));
        let line = Bytes::from(format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", failure.status()));
        self.out.push_back((when, Out::Line(line)));
        self.out.push_back((when, Out::End));
    }

    /// Takes in what happened since it last looked.
    fn look(&mut self, state: &mut State) {
        let objects = state.store.of(self.call.kind);
        let now = Instant::now();
        if self.seen < objects.dropped {
            self.seen = u64::MAX;
            self.expire(now, objects.dropped);
            return;
        }
        let first = objects.first_after(self.seen);
        for event in objects.happened.iter().skip(first) {
            let Some((word, line)) = self.told(event) else { continue };
            let delivery = state.faults.event(Event {
                number: 0,
                watch: self.number,
                identity: &self.identity,
                resource: &self.resource.plural,
                word,
                namespace: &event.place.namespace,
                name: &event.place.name,
            });
            self.deliver(now, delivery, line);
        }
        self.seen = self.seen.max(state.store.revision);
    }

    fn deliver(&mut self, now: Instant, delivery: Delivery, line: Bytes) {
        // Nothing is told before what is late.
        let when = self.out.back().map_or(now, |(when, _)| now.max(*when));
        let next = self.held.take();
        match delivery {
            Delivery::Now => self.out.push_back((when, Out::Line(line))),
            Delivery::Never => {}
            Delivery::Twice => {
                self.out.push_back((when, Out::Line(line.clone())));
                self.out.push_back((when, Out::Line(line)));
            }
            Delivery::AfterNext => self.held = Some((when + HELD, line)),
            Delivery::Late(late) => self.out.push_back((when.max(now + late), Out::Line(line))),
            Delivery::Break => self.out.push_back((when, Out::Break)),
            Delivery::Expire => self.expire(when, self.seen),
        }
        if let Some((_, line)) = next {
            self.out.push_back((when, Out::Line(line)));
        }
    }

    /// What an event is for who watches only some objects.
    fn told(&self, event: &Happened) -> Option<(&'static str, Bytes)> {
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
        Some((word, line(&self.call, word, &stored, event.revision)))
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
            if self.over {
                return None;
            }
            self.news.borrow_and_update();
            let unbroken = shared.upgrade().is_some_and(|server| {
                let mut state = server.state();
                let unbroken = state.outages == self.outages;
                if unbroken {
                    self.look(&mut state);
                }
                unbroken
            });
            if !unbroken {
                return Some(Err(self.broken()));
            }
            let now = Instant::now();
            if self.out.front().is_some_and(|(when, _)| *when <= now) {
                match self.out.pop_front() {
                    Some((_, Out::Line(line))) => return Some(Ok(line)),
                    Some((_, Out::Break)) => return Some(Err(self.broken())),
                    Some((_, Out::End)) | None => return None,
                }
            }
            let times = [self.out.front().map(|(when, _)| *when), self.held.as_ref().map(|(when, _)| *when)];
            let times = times.into_iter().chain([self.bookmark, Some(self.ends)]).flatten();
            let until = times.min().unwrap_or(self.ends);
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

    /// A time came: of a line, of an event that waited for another, of a bookmark, or of the end.
    fn pass(&mut self, time: Instant) {
        if time >= self.ends {
            self.over = true;
            return;
        }
        if let Some((_, line)) = self.held.take_if(|(when, _)| *when <= time) {
            self.out.push_back((time, Out::Line(line)));
        }
        if self.bookmark.is_some_and(|bookmark| bookmark <= time) {
            let when = self.out.back().map_or(time, |(when, _)| time.max(*when));
            self.out.push_back((when, Out::Line(self.bookmark())));
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
