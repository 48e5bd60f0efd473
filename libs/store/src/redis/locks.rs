//! Locks as keys that expire.

use std::time::Duration;

use async_trait::async_trait;

use super::{RedisStore, reply, scripts::Step, word};
use crate::{Lock, Locked, Locks, StoreError};

/// What a script says of a lock that was taken before.
const STANDING: [(&str, bool); 2] = [("held", true), ("lost", false)];

/// A lock of no time would be an error of the server.
fn millis(time: Duration) -> String {
    time.as_millis().max(1).to_string()
}

#[async_trait]
impl Locks for RedisStore {
    async fn lock(&self, name: &str, owner: &str, time: Duration) -> Result<Locked, StoreError> {
        let arguments = [name.to_owned(), owner.to_owned(), millis(time)];
        let mut answer = reply::parts(self.step(Step::Lock, arguments).await?)?;
        if answer.is_empty() {
            self.commands.tell(|observer| observer.lock_contended());
            return Ok(Locked::Held);
        }
        let token = answer.number()?;
        Ok(Locked::Taken(Lock { name: name.to_owned(), owner: owner.to_owned(), token }))
    }

    async fn extend(&self, lock: &Lock, time: Duration) -> Result<bool, StoreError> {
        let arguments = [lock.name.clone(), lock.owner.clone(), lock.token.to_string(), millis(time)];
        word(self.step(Step::ExtendLock, arguments).await?, &STANDING)
    }

    async fn unlock(&self, lock: &Lock) -> Result<bool, StoreError> {
        let arguments = [lock.name.clone(), lock.owner.clone(), lock.token.to_string()];
        word(self.step(Step::Unlock, arguments).await?, &STANDING)
    }
}
