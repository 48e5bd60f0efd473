//! The store a world plays on, and what it can be made to suffer.

use std::{
    cell::RefCell,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use fundbond_protocol::{TaskId, keys};
use fundbond_store::{
    MemoryStore, RedisStore, Store, StoreError,
    memory::{Backup, Config, Restart},
    redis,
};
use jiff::Timestamp;
use tokio::runtime::Handle;

use crate::{
    redis::{Server, connected},
    scene::{DEADLINE, Loss, task},
};

thread_local! {
    /// What waits for a store that does not answer at once; none for the twin.
    static RUNTIME: RefCell<Option<Handle>> = const { RefCell::new(None) };
}

/// The answer of a step.
pub(super) fn now<T>(step: impl Future<Output = Result<T, StoreError>>) -> T {
    settled(step).unwrap()
}

fn settled<T>(step: impl Future<Output = T>) -> T {
    if let Some(runtime) = RUNTIME.with_borrow(Clone::clone) {
        return runtime.block_on(step);
    }
    let mut step = pin!(step);
    // The twin waits for nothing; paused time gives way once when it is moved.
    for _ in 0..3 {
        if let Poll::Ready(answer) = step.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return answer;
        }
    }
    panic!("the twin waits for nothing")
}

/// Bounds of a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) log_floor: usize,
    pub(super) log_per_task: usize,
}

pub(super) enum Stage {
    Memory { store: Arc<MemoryStore>, backup: Option<Backup> },
    Redis { server: Arc<Server>, store: Arc<RedisStore>, backed_up: bool, fences: u64 },
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Memory { .. } => "the memory twin",
            Self::Redis { .. } => "a Redis",
        })
    }
}

impl Stage {
    pub(super) fn memory(bounds: Bounds) -> Self {
        let Bounds { log_floor, log_per_task } = bounds;
        // Fixed, so that a seed plays the same today and tomorrow.
        let config = Config { log_floor, log_per_task, started_at: Timestamp::UNIX_EPOCH };
        Self::Memory { store: Arc::new(MemoryStore::with(config)), backup: None }
    }

    /// An empty store on `server`. From here on this thread waits on `runtime`.
    pub(super) fn redis(server: &Arc<Server>, runtime: &Handle, bounds: Bounds) -> Self {
        RUNTIME.set(Some(runtime.clone()));
        let _context = runtime.enter();
        let Bounds { log_floor, log_per_task } = bounds;
        let config = redis::Config {
            log_floor,
            log_per_task,
            gather: Duration::ZERO,
            ..redis::Config::at(server.url())
        };
        let store = Arc::new(RedisStore::new(&config).unwrap());
        settled(connected(&store));
        settled(server.command::<()>(&["FLUSHALL"])).unwrap();
        Self::Redis { server: server.clone(), store, backed_up: false, fences: 0 }
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory { store, .. } => store.clone(),
            Self::Redis { store, .. } => store.clone(),
        }
    }

    pub(super) fn advance(&self, time: Duration) {
        match self {
            Self::Memory { .. } => settled(tokio::time::advance(time)),
            Self::Redis { server, .. } => settled(server.age(time)),
        }
    }

    pub(super) fn back_up(&mut self) {
        match self {
            Self::Memory { store, backup } => *backup = Some(store.backup()),
            Self::Redis { server, backed_up, .. } => {
                settled(server.back_up());
                *backed_up = true;
            }
        }
    }

    /// Publishes a message as somebody else does.
    pub(super) fn publish(&self, message: &str) {
        match self {
            Self::Memory { store, .. } => store.publish_foreign(message.as_bytes()),
            Self::Redis { server, .. } => {
                settled(server.command::<u32>(&["PUBLISH", keys::FOREIGN_CHANNEL, message])).unwrap();
            }
        }
    }

    /// Whether there was something to go back to, where that was asked for. `listening` pods hear of the gap
    /// before this comes back.
    pub(super) fn restart(&mut self, loss: Loss, listening: usize) -> bool {
        match self {
            Self::Memory { store, backup } => {
                let backup = backup.take();
                let restart = match loss {
                    Loss::Nothing => Restart::Keep,
                    Loss::Everything => Restart::LoseEverything,
                    Loss::SinceBackup => match backup {
                        Some(backup) => Restart::RollBackTo(backup),
                        None => return false,
                    },
                };
                store.restart(restart);
            }
            Self::Redis { server, store, backed_up, .. } => {
                let had_one = std::mem::take(backed_up);
                if matches!(loss, Loss::SinceBackup) && !had_one {
                    return false;
                }
                settled(server.replace_life(loss));
                settled(connected(store));
                let back = async {
                    loop {
                        let words = ["PUBSUB", "NUMSUB", keys::CONTROL_CHANNEL];
                        let (_, count): (String, usize) = server.command(&words).await.unwrap();
                        if count >= listening {
                            return;
                        }
                        // sleep-ok: connections of another thread have to come back.
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                };
                settled(async { tokio::time::timeout(DEADLINE, back).await })
                    .expect("all listen again in time");
            }
        }
        true
    }

    /// Says something to all pods; what they were told before has arrived when this has. Nothing for the twin,
    /// whose messages are there at once.
    pub(super) fn fence(&mut self) -> Option<TaskId> {
        let Self::Redis { server, fences, .. } = self else { return None };
        *fences += 1;
        let name = format!("fence-{fences}");
        let words = ["PUBLISH", keys::CONTROL_CHANNEL, &format!("Z\t{name}")];
        settled(server.command::<u32>(&words)).unwrap();
        Some(task(&name))
    }

    /// Everything a subscription brought, up to the fence.
    pub(super) fn drain(
        subscription: &mut fundbond_store::Subscription,
        fence: Option<&TaskId>,
    ) -> Vec<fundbond_store::Message> {
        let mut batch = Vec::new();
        let Some(fence) = fence else {
            loop {
                let more = tokio::task::unconstrained(subscription.recv_many(&mut batch, 1024));
                match pin!(more).poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(received) if received > 0 => {}
                    _ => break,
                }
            }
            return batch;
        };
        let is_fence = |message: &fundbond_store::Message| matches!(message, fundbond_store::Message::Ended { task } if task == fence);
        let waiting = async {
            while !batch.iter().any(is_fence) {
                assert!(subscription.recv_many(&mut batch, 1024).await > 0, "the subscription is over");
            }
        };
        settled(async { tokio::time::timeout(DEADLINE, waiting).await }).expect("the fence arrives in time");
        batch.retain(|message| !is_fence(message));
        batch
    }
}
