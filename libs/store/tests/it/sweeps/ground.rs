//! The store under test, and what can be done to it.

use std::{sync::Arc, time::Duration};

use fundbond_protocol::{PodId, keys};
use fundbond_store::{
    MemoryStore, RedisStore, Store,
    memory::{Backup, Restart},
    redis::Config,
};

use crate::{
    redis::{Server, connected},
    scene::{Loss, cluster, connection},
};

pub(super) enum Ground {
    Memory { store: Arc<MemoryStore>, backup: Option<Backup> },
    Redis { server: Arc<Server>, store: Arc<RedisStore>, backed_up: bool },
}

impl Ground {
    pub(super) fn memory() -> Self {
        Self::Memory { store: Arc::new(MemoryStore::new()), backup: None }
    }

    /// An empty store on a server that others had before.
    pub(super) async fn redis(server: &Arc<Server>) -> Self {
        server.command::<()>(&["FLUSHALL"]).await.unwrap();
        let store = Arc::new(RedisStore::new(&Config::at(server.url())).unwrap());
        connected(&store).await;
        Self::Redis { server: server.clone(), store, backed_up: false }
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory { store, .. } => store.clone(),
            Self::Redis { store, .. } => store.clone(),
        }
    }

    pub(super) async fn advance(&self, time: Duration) {
        match self {
            Self::Memory { .. } => tokio::time::advance(time).await,
            Self::Redis { server, .. } => server.age(time).await,
        }
    }

    /// Registers a stream as no pod does.
    pub(super) async fn plant(&self, stream: &str, owner: &PodId) {
        match self {
            Self::Memory { store, .. } => store.plant(&connection(stream), owner, &cluster("k")),
            Self::Redis { server, .. } => {
                let (key, value) = (keys::registration(&connection(stream)), format!("{owner}:k"));
                server.command::<()>(&["SET", &key, &value, "EX", "86400"]).await.unwrap();
            }
        }
    }

    pub(super) async fn back_up(&mut self) {
        match self {
            Self::Memory { store, backup } => *backup = Some(store.backup()),
            Self::Redis { server, backed_up, .. } => {
                server.back_up().await;
                *backed_up = true;
            }
        }
    }

    /// Another life of the server, if there is a backup where one is needed.
    pub(super) async fn restart(&self, loss: Loss) -> bool {
        match self {
            Self::Memory { store, backup } => {
                store.restart(match (loss, backup) {
                    (Loss::Nothing, _) => Restart::Keep,
                    (Loss::Everything, _) => Restart::LoseEverything,
                    (Loss::SinceBackup, Some(backup)) => Restart::RollBackTo(backup.clone()),
                    (Loss::SinceBackup, None) => return false,
                });
            }
            Self::Redis { server, store, backed_up } => {
                if matches!(loss, Loss::SinceBackup) && !backed_up {
                    return false;
                }
                server.replace_life(loss).await;
                connected(store).await;
            }
        }
        true
    }
}
