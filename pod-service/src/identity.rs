//! Who this process is: a pod id that changes when the store declares it dead.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use fundbond_protocol::PodId;
use tokio::sync::Notify;

/// The pod's current id.
#[derive(Debug)]
pub struct Identity {
    host: String,
    port: u16,
    current: Mutex<PodId>,
    changed: Notify,
}

impl Identity {
    /// Draws the first nonce.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn new(host: String, port: u16) -> io::Result<Self> {
        let current = Mutex::new(draw(&host, port)?);
        Ok(Self { host, port, current, changed: Notify::new() })
    }

    /// The id in force.
    pub fn id(&self) -> PodId {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a new nonce; `None` where somebody did since `old` was in force.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn renew(&self, old: &PodId) -> io::Result<Option<PodId>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if *current != *old {
            return Ok(None);
        }
        *current = draw(&self.host, self.port)?;
        self.changed.notify_one();
        Ok(Some(current.clone()))
    }

    /// Waits for a new id. One waiter: the hub.
    pub async fn changed(&self) {
        self.changed.notified().await;
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
