//! A lease that remembers what it said last, so that whoever asks who leads costs its place nothing.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use fundbond_lease::{Expected, LeaseError, LeaseStore, Stored, Written};
use tokio::time::Instant;

/// A lease, and who held it when it was last seen through this.
pub struct Watched {
    lease: Arc<dyn LeaseStore>,
    /// What was seen is true for so long: a candidate looks far more often, and a lease that was not seen for longer than
    /// it lasts may be somebody else's.
    fresh: Duration,
    seen: Mutex<Option<(Option<String>, Instant)>>,
}

impl Watched {
    /// A lease that lasts for `lasts`.
    pub fn new(lease: Arc<dyn LeaseStore>, lasts: Duration) -> Self {
        Self { lease, fresh: lasts, seen: Mutex::new(None) }
    }

    /// Who holds it. None where nobody does, and where it was not seen lately.
    pub fn holder(&self) -> Option<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (holder, at) = seen.as_ref()?;
        (at.elapsed() < self.fresh).then(|| holder.clone())?
    }

    fn saw(&self, holder: Option<String>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((holder, Instant::now()));
    }
}

#[async_trait]
impl LeaseStore for Watched {
    async fn read(&self) -> Result<Option<Stored>, LeaseError> {
        let found = self.lease.read().await?;
        self.saw(found.as_ref().and_then(|found| found.holder.clone()));
        Ok(found)
    }

    async fn write(&self, holder: Option<&str>, expected: Expected) -> Result<Written, LeaseError> {
        let written = self.lease.write(holder, expected).await?;
        if let Written::Done(_) = written {
            self.saw(holder.map(Into::into));
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use fundbond_lease::MemoryLeases;
    use tokio::time::advance;

    use super::*;

    const LASTS: Duration = Duration::from_secs(15);

    #[tokio::test(start_paused = true)]
    async fn who_leads_is_known_for_as_long_as_it_was_seen_lately() {
        let place = Arc::new(MemoryLeases::default());
        let lease = Watched::new(place.clone(), LASTS);
        assert_eq!(lease.holder(), None);
        let version = lease.read().await.unwrap().unwrap().version;
        lease.write(Some("a"), Expected::Version(version)).await.unwrap();
        assert_eq!(lease.holder().as_deref(), Some("a"));
        assert_eq!(lease.write(Some("b"), Expected::Version(version)).await.unwrap(), Written::Conflict);
        assert_eq!(lease.holder().as_deref(), Some("a"), "nothing was written");
        advance(LASTS).await;
        assert_eq!(lease.holder(), None, "it may be anybody's by now");
        lease.read().await.unwrap();
        assert_eq!(lease.holder().as_deref(), Some("a"));
        place.delete();
        lease.read().await.unwrap();
        assert_eq!(lease.holder(), None);
    }
}
