//! Many FundClusters in the simulator, which has room for more of them than a real server has on a small machine.

use std::{fs, path::Path};

use fundbond_api_simulator::Simulator;

use super::world::{FUNDS, is_write};
use crate::{
    many::{Place, are_served},
    server::harness::Desk,
    size,
};

/// `FUNDBOND_MANY=10000` for figures that mean something, with `FUNDBOND_OPERATOR` for a release build of the operator, and a
/// release build of this: the simulator shares the machine.
#[tokio::test(flavor = "multi_thread")]
async fn many_fund_clusters_are_served_and_a_restart_writes_nothing() {
    let simulator = Simulator::new(1);
    let listening = simulator.listen("operator").await.unwrap();
    let kubeconfig = Path::new(env!("CARGO_TARGET_TMPDIR")).join("simulator.kubeconfig");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: it, clusters: [{{name: it, cluster: {{server: '{}'}}}}], \
         contexts: [{{name: it, context: {{cluster: it, user: it}}}}], users: [{{name: it, user: {{}}}}]}}\n",
        listening.url()
    );
    fs::write(&kubeconfig, text).unwrap();
    let desk = Desk { namespace: FUNDS.to_owned(), client: simulator.client("kubectl") };
    let writes = || simulator.trace().iter().filter(|entry| is_write(entry)).count();
    let place = Place { desk: &desk, kubeconfig: &kubeconfig, writes: &writes, serves: true };
    are_served(&place, size("FUNDBOND_MANY", 10).try_into().unwrap()).await;
}
