//! Leases as hashes.

use std::sync::Arc;

use async_trait::async_trait;
use fundbond_lease::{Expected, LeaseError, LeaseStore, Stored, Version, Written};

use super::{RedisStore, link::Commands, reply, scripts::Step};
use crate::{Leases, StoreError};

struct RedisLease {
    commands: Arc<Commands>,
    name: String,
}

impl Leases for RedisStore {
    fn lease(&self, name: &str) -> Arc<dyn LeaseStore> {
        Arc::new(RedisLease { commands: self.commands.clone(), name: name.to_owned() })
    }
}

#[async_trait]
impl LeaseStore for RedisLease {
    async fn read(&self) -> Result<Option<Stored>, LeaseError> {
        let mut answer = reply::parts(self.commands.step(Step::LeaseRead, vec![self.name.clone()]).await?)?;
        if answer.is_empty() {
            return Ok(None);
        }
        let holder = Some(answer.text()?).filter(|holder| !holder.is_empty());
        Ok(Some(Stored { holder, version: Version(answer.number()?) }))
    }

    async fn write(&self, holder: Option<&str>, expected: Expected) -> Result<Written, LeaseError> {
        let expected = match expected {
            Expected::Absent => String::new(),
            Expected::Version(version) => version.0.to_string(),
        };
        let arguments = vec![self.name.clone(), holder.unwrap_or_default().to_owned(), expected];
        let mut answer = reply::parts(self.commands.step(Step::LeaseWrite, arguments).await?)?;
        match answer.text()?.as_str() {
            "done" => Ok(Written::Done(Version(answer.number()?))),
            "conflict" => Ok(Written::Conflict),
            other => Err(StoreError::Contract(format!("lease-write answered {other:?}")).into()),
        }
    }
}
