//! Many FundClusters at once: what an operator takes for them, and how fast it serves an edit.

#![allow(clippy::print_stdout, reason = "figures are for whoever asks for them")]

use std::{collections::HashMap, path::Path, time::Duration};

use fundbond_crds::{FundCluster, GatewayRoute, labels};
use fundbond_operator::kinds::Kind;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{DynamicObject, ListParams, Patch, PatchParams},
    core::PartialObjectMeta,
    runtime::watcher::{self, Event, watcher},
};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::{
    clusters::OneProxy,
    server::{harness::Desk, process::Process},
};

/// Time for each FundCluster, on a machine that is busy with other things.
const EACH: Duration = Duration::from_secs(2);

/// Edits that are measured.
const EDITS: usize = 200;

/// How many of them in a second, unless `FUNDBOND_EDIT_RATE` says so: two cores have the API server, the operator and this
/// test to themselves.
const RATE: u32 = 50;

/// Where they are.
pub(crate) struct Place<'a> {
    pub(crate) desk: &'a Desk,
    /// By which the operator finds the server.
    pub(crate) kubeconfig: &'a Path,
    /// How much was written so far, but for leases.
    pub(crate) writes: &'a (dyn Fn() -> usize + Sync),
    /// Whether pods become ready by themselves: then their clusters are asked how they are.
    pub(crate) serves: bool,
}

/// Makes `many`, starts an operator anew beside them, and edits some.
pub(crate) async fn are_served(place: &Place<'_>, many: usize) {
    let Place { desk, kubeconfig, writes, serves } = *place;
    let patience = EACH * u32::try_from(many).unwrap() + Duration::from_mins(1);
    let clusters = OneProxy::start().await;
    let start = |node| Process::with(kubeconfig, &desk.namespace, node, &clusters.url());
    let mut operator = start("first");
    let names: Vec<String> = (0..many).map(|number| format!("c{number}")).collect();
    let began = Instant::now();
    let made = stream::iter(&names).map(|name| desk.create(name, json!({}))).buffer_unordered(8);
    made.for_each(|_| async {}).await;
    timeout(patience, all_told(desk, many)).await.unwrap();
    println!(
        "{many} FundClusters, each with all its children and its status: {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let children = count_children(desk).await;
    println!("{children} children; the operator has {} kB", operator.resident_kilobytes());

    // What it takes to know it all from the start, and to find nothing to do.
    if serves {
        timeout(patience, all_asked(desk)).await.unwrap();
        println!("all clusters have said how they are after {:.1} s", began.elapsed().as_secs_f64());
    }
    timeout(patience, at_rest(writes)).await.unwrap();
    operator.end().await;
    let before = writes();
    let began = Instant::now();
    let operator = start("second");
    let done = "fund_operator_reconciles_total{outcome=\"done\"} ";
    timeout(patience, async {
        while operator.metric(done).await < many {
            // sleep-ok: another process; the deadline is around it.
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    let kilobytes = operator.resident_kilobytes();
    println!(
        "cold start: everything looked at after {:.1} s, {kilobytes} kB, {} bytes for each child and its share",
        began.elapsed().as_secs_f64(),
        kilobytes * 1024 / children
    );
    assert_eq!(writes() - before, 0, "writes of an operator that found everything as it should be");

    let rate = u32::try_from(crate::size("FUNDBOND_EDIT_RATE", RATE.into())).unwrap();
    let mut took = edits(desk, &names, rate).await;
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{} edits at {rate} a second, from sending to its Deployment: p50 {:.0} ms, p99 {:.0} ms",
        took.len(),
        at(50),
        at(99)
    );
}

/// Waits until every FundCluster was told that all is applied.
async fn all_told(desk: &Desk, many: usize) {
    let routes = desk.api::<GatewayRoute>();
    loop {
        let list = desk.api::<FundCluster>().list(&ListParams::default()).await.unwrap();
        let told = list
            .items
            .iter()
            .filter(|cluster| cluster.status.as_ref().is_some_and(|status| !status.conditions.is_empty()));
        if told.count() == many
            && routes.list_metadata(&ListParams::default()).await.unwrap().items.len() == many
        {
            return;
        }
        // sleep-ok: another process; the deadline is around it. A list of many takes the server's time from who is measured.
        sleep(Duration::from_millis(200) * u32::try_from(many).unwrap().div_ceil(100)).await;
    }
}

/// Waits until every FundCluster was told what its cluster says.
async fn all_asked(desk: &Desk) {
    loop {
        let list = desk.api::<FundCluster>().list(&ListParams::default()).await.unwrap();
        if list
            .items
            .iter()
            .all(|cluster| cluster.status.as_ref().is_some_and(|status| status.streams == Some(42)))
        {
            return;
        }
        // sleep-ok: another process; the deadline is around it.
        sleep(Duration::from_secs(1)).await;
    }
}

/// Waits until nothing is written any more: pods that become ready are news.
async fn at_rest(writes: &(dyn Fn() -> usize + Sync)) {
    let mut seen = usize::MAX;
    while std::mem::replace(&mut seen, writes()) != seen {
        // sleep-ok: longer than the simulator's pods take to become ready; the deadline is around it.
        sleep(Duration::from_secs(5)).await;
    }
}

async fn count_children(desk: &Desk) -> usize {
    let selected = ListParams::default().labels(&format!("{}={}", labels::MANAGED_BY, labels::OPERATOR));
    let mut count = 0;
    // Those that others bring are not asked for, and may be unknown.
    for kind in Kind::ALL.into_iter().filter(|kind| kind.brought_by().is_none()) {
        let api: Api<PartialObjectMeta<DynamicObject>> =
            Api::namespaced_with(desk.client.clone(), &desk.namespace, kind.resource());
        count += api.list(&selected).await.unwrap().items.len();
    }
    count
}

/// Edits the number of pods of one FundCluster after the other, and says how long each took to reach its Deployment.
async fn edits(desk: &Desk, names: &[String], rate: u32) -> Vec<Duration> {
    let mut deployments = std::pin::pin!(watcher(desk.api::<Deployment>(), watcher::Config::default()));
    // What is there already would come in between.
    while !matches!(deployments.try_next().await.unwrap().unwrap(), Event::InitDone) {}
    let clusters = desk.api::<FundCluster>();
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut sent, mut took) = (HashMap::new(), Vec::new());
    let (mut next, mut replicas) = (0, 3);
    while took.len() < EDITS {
        tokio::select! {
            _ = ticks.tick(), if next < EDITS => {
                let name = &names[next % names.len()];
                if next > 0 && next % names.len() == 0 {
                    replicas += 1;
                }
                sent.insert((format!("{name}-pods"), replicas), Instant::now());
                let patch = Patch::Merge(json!({"spec": {"pods": {"replicas": replicas}}}));
                clusters.patch(name, &PatchParams::default(), &patch).await.unwrap();
                next += 1;
            }
            seen = deployments.try_next() => {
                let Event::Apply(seen) = seen.unwrap().unwrap() else { continue };
                let replicas = seen.spec.unwrap().replicas.unwrap();
                // One that came twice in a row is seen once, at the number of the last.
                let name = seen.metadata.name.unwrap();
                let served: Vec<_> =
                    sent.keys().filter(|(sent, number)| *sent == name && *number <= replicas).cloned().collect();
                took.extend(served.iter().filter_map(|key| sent.remove(key)).map(|sent: Instant| sent.elapsed()));
            }
            // sleep-ok: it is the deadline.
            () = sleep(Duration::from_secs(30)) => panic!("{} edits were never served", EDITS - took.len()),
        }
    }
    took
}
