//! The contract, over every place that this crate has.

use std::sync::Arc;

use fundbond_lease::{
    LeaseStore, MemoryLeases, contract::a_lease_is_written_over_what_was_seen_and_nothing_else,
};

use crate::server::Server;

#[tokio::test]
async fn in_memory_a_lease_is_written_over_what_was_seen_and_nothing_else() {
    let lease = Arc::new(MemoryLeases::default());
    lease.delete();
    a_lease_is_written_over_what_was_seen_and_nothing_else(&*lease, &*lease, async || lease.delete())
        .await
        .unwrap();
}

#[tokio::test]
async fn in_kubernetes_a_lease_is_written_over_what_was_seen_and_nothing_else() {
    let server = Server::new();
    let (one, other) = (server.lease("k-housekeeper"), server.lease("k-housekeeper"));
    a_lease_is_written_over_what_was_seen_and_nothing_else(&one, &other, async || {
        server.delete("k-housekeeper");
    })
    .await
    .unwrap();
    assert_eq!(server.lease("another").read().await.unwrap(), None);
}
