//! Many FundClusters in a real API server.

use fundbond_test_api_server::shared;

use super::{harness::Desk, rights::entitled};
use crate::{
    many::{Place, are_served},
    size,
};

/// `FUNDBOND_MANY=1000` for figures that mean something, with `FUNDBOND_OPERATOR` for a release build.
#[tokio::test]
async fn many_fund_clusters_are_served_and_a_restart_writes_nothing() {
    let desk = Desk::open_idle(shared()).await;
    let user = entitled(&desk, "operator").await;
    let writes = || {
        let audit = shared().audit();
        audit.of(&user).iter().filter(|entry| entry.is_write() && entry.resource != "leases").count()
    };
    let place = Place { desk: &desk, kubeconfig: &user.kubeconfig(), writes: &writes, serves: false };
    are_served(&place, size("FUNDBOND_MANY", 10).try_into().unwrap()).await;
}
