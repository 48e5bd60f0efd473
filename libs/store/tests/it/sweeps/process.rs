//! A pod as a process: what it believes to hold, and what it does about it, as the product's pods do.

use std::collections::BTreeMap;

use fundbond_protocol::{Epoch, PodId};
use fundbond_store::{Asserted, Assertion, Closed, Generation, Node, Reasserted, Registered, Store};

use crate::scene::{at, cluster, connection, pod_id};
use fundbond_protocol::LastEventId;
use fundbond_store::{Holder, ReadLimit, Register};
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Process {
    /// The readable name; others may have had it before.
    pub(super) display: String,
    pub(super) id: PodId,
    /// Not killed.
    pub(super) running: bool,
    /// Stopped for a while: it does nothing, and its clients wait.
    pub(super) paused: bool,
    /// What it would serve.
    pub(super) streams: BTreeMap<String, (Generation, Epoch)>,
}

/// Names for starts of processes, never the same twice.
#[derive(Debug, Default)]
pub(super) struct Nonces(u32);

impl Nonces {
    pub(super) fn next(&mut self, display: &str) -> PodId {
        self.0 += 1;
        pod_id(&format!("{display}~{}", self.0))
    }
}

impl Process {
    pub(super) async fn start(display: &str, nonces: &mut Nonces, store: &dyn Store) -> Self {
        let mut process = Self {
            display: display.to_owned(),
            id: nonces.next(display),
            running: true,
            paused: false,
            streams: BTreeMap::new(),
        };
        process.beat(nonces, store).await;
        process
    }

    pub(super) fn acts(&self) -> bool {
        self.running && !self.paused
    }

    /// Says that it lives, under another name where this one is buried; says whether it is.
    pub(super) async fn beat(&mut self, nonces: &mut Nonces, store: &dyn Store) -> bool {
        if store.heartbeat(&self.id, &cluster("k")).await.unwrap() == Node::Alive {
            return false;
        }
        self.id = nonces.next(&self.display);
        assert_eq!(
            store.heartbeat(&self.id, &cluster("k")).await.unwrap(),
            Node::Alive,
            "nobody had this name"
        );
        true
    }

    /// Repeats what it holds; gives the streams that it is told somebody else has, with its own generations.
    pub(super) async fn reassert(&mut self, store: &dyn Store) -> Vec<(String, Generation)> {
        let assertions: Vec<_> = self
            .streams
            .iter()
            .map(|(stream, (generation, epoch))| Assertion {
                connection: connection(stream),
                generation: *generation,
                position: at(epoch, 0),
                tasks: vec![],
                gained: true,
            })
            .collect();
        let Reasserted::Streams(answers) =
            store.reassert(&self.id, &cluster("k"), &assertions).await.unwrap()
        else {
            // The next heartbeat mends it.
            return Vec::new();
        };
        let mut replaced = Vec::new();
        for (assertion, answer) in assertions.iter().zip(answers) {
            let stream = assertion.connection.as_str();
            match answer {
                Asserted::Replaced => {
                    self.streams.remove(stream);
                    replaced.push((stream.to_owned(), assertion.generation));
                }
                Asserted::Closed => panic!("nobody closes streams of others here"),
                Asserted::Held { epoch, .. } => {
                    self.streams.insert(stream.to_owned(), (assertion.generation, epoch));
                }
            }
        }
        replaced
    }

    /// A client opens a stream here. Gives its generation, if that came about.
    pub(super) async fn open(
        &mut self,
        stream: &str,
        nonces: &mut Nonces,
        store: &dyn Store,
    ) -> Option<Generation> {
        // As a pod does: a refusal is followed by a heartbeat and another attempt.
        for _ in 0..2 {
            let request = Register {
                connection: connection(stream),
                pod: self.id.clone(),
                cluster: cluster("k"),
                last: LastEventId::Start,
                tasks: vec![],
                limit: ReadLimit::default(),
                asked: Instant::now(),
            };
            match store.register(&request).await.unwrap() {
                Registered::Open(opened) => {
                    self.streams.insert(stream.to_owned(), (opened.generation, opened.reading.epoch));
                    return Some(opened.generation);
                }
                Registered::Buried | Registered::NoHealth => {
                    self.beat(nonces, store).await;
                }
                Registered::Done => return None,
                Registered::Late => panic!("no request is under way while another is made"),
            }
        }
        None
    }

    /// The client of a stream left.
    pub(super) async fn close(&mut self, stream: &str, store: &dyn Store) -> Option<Closed> {
        let (generation, _) = self.streams.remove(stream)?;
        let holder = Holder { connection: connection(stream), pod: self.id.clone(), generation };
        Some(store.close(&holder).await.unwrap())
    }
}
