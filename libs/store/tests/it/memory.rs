//! The contract on the in-memory twin.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use fundbond_protocol::{ConnectionId, PodId};
use fundbond_store::{
    MemoryStore, Store,
    memory::{Backup, Config, Restart},
};

use crate::scene::{Fixture, LOG_FLOOR, Loss, cluster, pod_id};

struct Memory {
    store: Arc<MemoryStore>,
    backup: Mutex<Option<Backup>>,
}

fn memory() -> Memory {
    let store = MemoryStore::with(Config { log_floor: LOG_FLOOR, ..Config::default() });
    Memory { store: Arc::new(store), backup: Mutex::default() }
}

#[async_trait]
impl Fixture for Memory {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    async fn back_up(&self) {
        *self.backup.lock().unwrap() = Some(self.store.backup());
    }

    async fn restart(&self, loss: Loss) {
        self.store.restart(match loss {
            Loss::Nothing => Restart::Keep,
            Loss::Everything => Restart::LoseEverything,
            Loss::SinceBackup => {
                Restart::RollBackTo(self.backup.lock().unwrap().clone().expect("a backup was made"))
            }
        });
    }

    async fn advance(&self, time: Duration) {
        tokio::time::advance(time).await;
    }

    async fn publish(&self, message: &str) {
        self.store.publish_foreign(message.as_bytes());
    }

    async fn plant(&self, stream: &str, owner: &str, home: &str) {
        self.store.plant(&ConnectionId::parse_kept(stream).unwrap(), &pod_id(owner), &cluster(home));
    }

    async fn cut(&self, pod: &PodId) {
        self.store.cut(pod);
    }
}

crate::contract::contract_suite!(super::memory(), #[tokio::test(start_paused = true)]);
