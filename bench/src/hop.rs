//! What a hop keeps for a stream on which nothing happens: memory of the proxy beside that of the pod.
//!
//! Flow: a pod -> a `cluster-proxy` in front of it, with the route file a person would write -> idle streams
//! through both -> what the kernel says they hold in RAM, against before.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{
    args::HopOptions,
    build,
    client::Client,
    error::{BenchError, RunError},
    fleet::Fleet,
    machine,
    report::{Heading, Report, grouped},
    say,
    server::{Program, Server},
    stats::{Measure, Pairs, Sample, Side},
};

/// From the opening of the streams to the measurement: past a pod's first heartbeat, so that every buffer on
/// the way has been used.
const PAST_HEARTBEAT: Duration = Duration::from_millis(2_500);

/// How long the first stream may take to get through: the proxy asks its pods each second whether they are ready.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// Between two tries.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// What a reader must know before quoting a figure.
const NOTES: [&str; 2] = [
    "Memory is what the kernel says a process holds in RAM (VmRSS), less what it held with one stream, for each \
     stream: without the kernel's own for its sockets.",
    "cluster-proxy stands in front of one pod-service; both are those of the same streams. The gateway is the \
     same forwarder, so a way through both hops costs the proxy's figure twice.",
];

/// Measures and answers the report.
///
/// # Errors
/// Where a stream does not get through, or ends.
pub async fn measure(options: &HopOptions) -> Result<Report, BenchError> {
    machine::raise_descriptor_limit()?;
    let pod = match &options.pod_binary {
        Some(path) => path.clone(),
        None => build::pod_service().await?,
    };
    let proxy = match &options.proxy_binary {
        Some(path) => path.clone(),
        None => build::cluster_proxy().await?,
    };
    let rounds = options.print.rounds(3);
    let mut report = Report::begin(Heading {
        rounds,
        each: format!("{} streams", grouped(options.streams as f64)),
        columns: ["cluster-proxy", "pod-service"],
        notes: &NOTES,
    })?;
    let title = format!("{} streams through one hop, idle", grouped(options.streams as f64));
    let mut pairs = Pairs::default();
    for round in 1..=rounds {
        let samples = run(&proxy, &pod, options.streams).await?;
        for (side, sample) in Side::BOTH.into_iter().zip(samples) {
            say(&format!("{title} · round {round}/{rounds} · {}: {sample}", report.column(side)));
            pairs.add(side, sample);
        }
    }
    report.add("hop", title, options.streams, &pairs);
    Ok(report)
}

async fn run(proxy: &Path, pod: &Path, streams: usize) -> Result<[Sample; 2], BenchError> {
    let folder = tempfile::tempdir().map_err(BenchError::Folder)?;
    // Any free port; somebody else may take it first, and then the pod says so.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
    let admin = free.map_err(BenchError::Folder)?;
    let pod = Server::start(Program::pod(pod).with_admin_port(admin.port())).await?;
    let routes = folder.path().join("routes.yaml");
    let text = format!(
        "generation: 1\nroutes:\n- match: {{value: cluster1, default: true}}\n  endpoints: [{{address: '{}', \
         adminAddress: '{admin}'}}]\n",
        pod.address()
    );
    std::fs::write(&routes, text).map_err(BenchError::Folder)?;
    let proxy = Server::start(Program::proxy(proxy, &routes)).await?;
    let servers = [proxy, pod];
    let sample = idle(&servers, streams).await;
    let words = servers.each_ref().map(Server::last_words).join(" | ");
    for server in servers {
        server.stop().await?;
    }
    let what = format!("idle streams through a hop (last words of the servers: {words})");
    sample.map_err(|source| BenchError::Load { what, source: Box::new(source) })
}

/// Opens a stream and watches it until it has heard a heartbeat.
async fn stays_open(client: &Client) -> Result<(), RunError> {
    let mut fleet = Fleet::open(client, 1, None).await?;
    fleet.watch_until(Instant::now() + PAST_HEARTBEAT).await
}

async fn idle(servers: &[Server; 2], streams: usize) -> Result<[Sample; 2], RunError> {
    let client = Client::new(servers[0].address());
    // What the first stream brings to life is not the price of a stream.
    let deadline = Instant::now() + READY_WITHIN;
    // Before its pod is ready the proxy sends streams away.
    while let Err(error) = stays_open(&client).await {
        if Instant::now() > deadline {
            return Err(error);
        }
        sleep(TRY_AGAIN).await;
    }
    let before = [servers[0].resident()?, servers[1].resident()?];
    let mut fleet = Fleet::open(&client, streams, None).await?;
    fleet.watch_until(Instant::now() + PAST_HEARTBEAT).await?;
    let mut samples = [Sample::default(), Sample::default()];
    for ((server, before), sample) in servers.iter().zip(before).zip(&mut samples) {
        let more = server.resident()?.saturating_sub(before);
        sample.set(Measure::StreamKilobytes, more as f64 / streams as f64 / 1e3);
    }
    Ok(samples)
}
