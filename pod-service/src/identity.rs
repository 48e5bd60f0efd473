//! Who this process is: a pod id that changes when the store declares it dead.

use std::io;

use fundbond_protocol::PodId;
use tokio::sync::{Notify, watch};

/// The pod's current id.
#[derive(Debug)]
pub struct Identity {
    host: String,
    port: u16,
    current: watch::Sender<PodId>,
    changed: Notify,
}

impl Identity {
    /// Draws the first nonce.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn new(host: String, port: u16) -> io::Result<Self> {
        let current = watch::Sender::new(draw(&host, port)?);
        Ok(Self { host, port, current, changed: Notify::new() })
    }

    /// The id in force.
    pub fn id(&self) -> PodId {
        self.current.borrow().clone()
    }

    /// Takes a new nonce; `None` where somebody did since `old` was in force.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn renew(&self, old: &PodId) -> io::Result<Option<PodId>> {
        let new = draw(&self.host, self.port)?;
        let renewed = self.current.send_if_modified(|current| {
            let renews = *current == *old;
            if renews {
                current.clone_from(&new);
            }
            renews
        });
        if renewed {
            self.changed.notify_one();
        }
        Ok(renewed.then_some(new))
    }

    /// Waits for a new id. One waiter: the hub, which is told of what changed before it asked as well.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The id from now on, for who has to do something when it changes.
    pub fn watch(&self) -> watch::Receiver<PodId> {
        self.current.subscribe()
    }
}

fn draw(host: &str, port: u16) -> io::Result<PodId> {
    let mut random = [0; 5];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(PodId::new(host, port, random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_renewed_once_however_many_ask() {
        let identity = Identity::new("host-a".into(), 9090).unwrap();
        let first = identity.id();
        let second = identity.renew(&first).unwrap().unwrap();
        assert_ne!(first, second);
        assert_eq!(identity.renew(&first).unwrap(), None);
        assert_eq!(identity.id(), second);
        assert_eq!(first.display_id(), second.display_id());
    }
}
