//! What a leader does about a token that is greater than its own.
//!
//! Usually that is a later leader's, and there is nothing to do but stop. But tokens have an order only where they come
//! from one place that never forgets: a lease that was moved from Redis to Kubernetes, or to another Kubernetes, or whose
//! place was put back from a backup, numbers leaders of today below those of yesterday. Nothing would be tidied up then
//! until the store forgets the greater one, which takes an hour.
//!
//! The leader can tell. It sees the greater token; then it renews. A renewal is done only where nobody has led since its
//! own leadership began, so that the greater token cannot be a successor's.

use fundbond_lease::{Leadership, Token};
use fundbond_store::{Order, Store, StoreError};
use tokio::time::Instant;

/// A greater token than one's own, and when it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    greatest: Token,
    seen: Instant,
}

impl Doubt {
    /// Why orders under `order` come too late, if the store says so.
    pub async fn of(store: &dyn Store, order: &Order) -> Result<Option<Self>, StoreError> {
        let found = store.fence(&order.cluster).await?;
        // Taken after the answer: the renewal that counts is sent after somebody wrote the token.
        Ok(found
            .filter(|greatest| *greatest > order.token)
            .map(|greatest| Self { greatest, seen: Instant::now() }))
    }

    /// Whether the greater token is nobody's who led after `leads` began.
    pub fn is_refuted(&self, leads: &Leadership) -> bool {
        leads.token < self.greatest && leads.renewed > self.seen && leads.holds()
    }

    /// Puts one's own token in its place.
    pub async fn overrule(&self, store: &dyn Store, order: &Order) -> Result<(), StoreError> {
        if store.overrule(order, self.greatest).await? {
            tracing::warn!(
                cluster = %order.cluster,
                token = order.token.0,
                "a greater token than this leader's was from another place or time of the lease, and is forgotten"
            );
        }
        Ok(())
    }
}
