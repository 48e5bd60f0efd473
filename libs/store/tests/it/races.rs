//! The races that housekeeping has to survive, each made to happen: on a real Redis, with every step where it hurts.
//!
//! A step of the store is one script, so whatever two processes do at once, the server does one after the other. A race
//! is an order of steps that nobody expects; each test here is one such order.

mod leaders;
mod leases;
mod nodes;
mod streams;

use fundbond_lease::Token;
use fundbond_protocol::PodId;
use fundbond_store::{Buried, NODE_TIMEOUT, Opened, Order, Ordered, Swept};

use crate::{
    redis::{Redis, Server, redis_fixture},
    scene::{Scene, cluster, pod_id},
};

/// A store on a server that a test can lay hands on.
struct Race {
    scene: Scene,
    server: std::sync::Arc<Server>,
}

impl std::ops::Deref for Race {
    type Target = Scene;
    fn deref(&self) -> &Scene {
        &self.scene
    }
}

/// A leader, who may be paused between any two of its orders.
#[derive(Clone, Debug)]
struct Leader(Order);

impl Race {
    async fn new() -> Self {
        let fixture: Redis = redis_fixture().await;
        let server = fixture.server.clone();
        Self { scene: Scene::new(fixture), server }
    }

    fn leader(token: u64) -> Leader {
        Leader(Order { cluster: cluster("k"), token: Token(token) })
    }

    async fn bury(&self, by: &Leader, pod: &PodId) -> Ordered<Vec<Buried>> {
        self.store.bury_nodes(&by.0, std::slice::from_ref(pod)).await.unwrap()
    }

    async fn sweep(&self, by: &Leader, pod: &PodId, limit: usize) -> Ordered<Swept> {
        self.store.sweep(&by.0, pod, limit).await.unwrap()
    }

    /// A pod that holds these streams and then says nothing any more.
    async fn silent(&self, name: &str, streams: &[&str]) -> (PodId, Vec<Opened>) {
        let pod = self.pod(name).await;
        let mut opened = Vec::new();
        for stream in streams {
            opened.push(self.open(&pod, stream, &[]).await);
        }
        self.fixture.advance(NODE_TIMEOUT).await;
        (pod, opened)
    }

    /// The same, and it is buried.
    async fn buried(&self, by: &Leader, name: &str, streams: &[&str]) -> (PodId, Vec<Opened>) {
        let (pod, opened) = self.silent(name, streams).await;
        assert_eq!(self.bury(by, &pod).await, Ordered::Done(vec![Buried::Dead]));
        (pod, opened)
    }

    async fn holds(&self, pod: &PodId, stream: &str) -> bool {
        self.holder_of(stream).await.as_ref() == Some(pod)
    }
}

fn swept(deleted: u64, left: u64) -> Ordered<Swept> {
    Ordered::Done(Swept::Some { deleted, left })
}

const NOT_BURIED: Ordered<Swept> = Ordered::Done(Swept::NotBuried);

fn pod(name: &str) -> PodId {
    pod_id(name)
}
