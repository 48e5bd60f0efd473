//! The system under test, as processes of this machine: gateway, cluster proxies, pods, a Redis, and a fault proxy on
//! each pod's way to it.
//!
//! Every process keeps its port for the whole run, so that one that is started again is found where it was. Dropping
//! the site ends all of them.

mod clock;
mod leader;
mod ports;
mod process;
mod programs;
mod redis;
mod routes;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use fundbond_fault_proxy::{FaultProxy, Upstream};
use fundbond_protocol::PodId;
use http::StatusCode;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use crate::{
    error::ChaosError,
    history::History,
    http::{CLUSTER, Http},
    plan::{Plan, Target},
};

pub use process::{Process, Signal};
pub use programs::Programs;
pub use redis::Redis;

/// How long the system may take to be ready: it takes a second or two, and more where the machine is busy.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// How long a pod that is asked to end may drain: less than the least time of such a fault.
const DRAIN_GRACE: &str = "8s";

/// Tasks a pod runs at once. Most of them wait between their steps, so a few more than it has cores.
const TASKS_AT_ONCE: &str = "64";

/// The whole system. Whoever strikes a process holds its lock, which says that nobody expects it to run.
#[derive(Debug)]
pub struct Site {
    /// The gateway.
    pub gateway: Mutex<Process>,
    /// Where it serves.
    pub address: SocketAddr,
    /// The cluster proxies.
    pub proxies: Vec<Mutex<Process>>,
    /// The pods.
    pub pods: Vec<Pod>,
    /// Where everything is kept.
    pub redis: Mutex<Redis>,
}

/// A pod and its way to Redis.
#[derive(Debug)]
pub struct Pod {
    /// The process.
    pub process: Mutex<Process>,
    /// Where it serves.
    pub address: SocketAddr,
    /// The way.
    pub way: FaultProxy,
}

/// Where a process serves, and where its probes are.
type Addresses = (SocketAddr, SocketAddr);

impl Site {
    /// Starts everything in `folder` and waits until it serves.
    ///
    /// # Errors
    /// Where something cannot be started, or is not ready in time.
    pub async fn start(
        plan: &Plan,
        programs: &Programs,
        folder: &Path,
        history: &Arc<History>,
    ) -> Result<Self, ChaosError> {
        let logs = folder.join("logs");
        std::fs::create_dir(&logs).map_err(|source| ChaosError::File { path: logs.clone(), source })?;
        let (pods, proxies) = (usize::from(plan.pods), usize::from(plan.proxies));
        let servers = pods + proxies + 1;
        // Two for each server, and one for Redis.
        let ports = ports::free(2 * servers + 1)?;
        let local = |port: &u16| SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
        let addresses: Vec<Addresses> =
            ports.chunks_exact(2).map(|pair| (local(&pair[0]), local(&pair[1]))).collect();
        let (of_pods, rest) = addresses.split_at(pods);
        let (of_proxies, of_gateway) = rest.split_at(proxies);
        let of_gateway = of_gateway[0];
        let redis = local(&ports[2 * servers]);
        let process = |name: String, program: &Path, (address, admin): Addresses| {
            let mut process = Process::new(name, program, &logs, history);
            let (host, port, admin) = (address.ip(), address.port(), admin.port());
            process.tell(&["--host", &host.to_string(), "--port", &port.to_string()]);
            process.tell(&["--admin-port", &admin.to_string(), "--log-format", "json"]);
            process
        };

        let to_pods = routes::write(&folder.join("pods.yaml"), "pod", of_pods)?;
        let to_proxies = routes::write(&folder.join("proxies.yaml"), "proxy", of_proxies)?;
        let store = Redis::start(redis, plan.redis_keeps, folder, &logs, history).await?;
        let pods = of_pods.iter().zip(0_u8..).map(|(addresses, number)| {
            let way = FaultProxy::start(Upstream::Tcp(redis)).map_err(ChaosError::Way)?;
            let mut process = process(format!("pod-{}", number + 1), &programs.pod, *addresses);
            process.tell(&["--cluster-id", CLUSTER, "--node-name", &format!("chaos{}", number + 1)]);
            process.tell(&["--store", &format!("redis://{}", way.address())]);
            process.tell(&["--drain-grace", DRAIN_GRACE, "--task-concurrency", TASKS_AT_ONCE]);
            if let Some(clock) = plan.clocks.iter().find(|clock| clock.pod == number) {
                clock::set(&mut process, *clock)?;
            }
            Ok(Pod { process: process.into(), address: addresses.0, way })
        });
        let pods = pods.collect::<Result<Vec<_>, ChaosError>>()?;
        if let Some(first) = plan.leads_first {
            let pod = &pods[usize::from(first)];
            pod.process.lock().await.start()?;
            ready(of_pods[usize::from(first)].1, &logs).await?;
            leader::wait_for(pod).await?;
        }
        for (pod, _) in pods.iter().zip(0_u8..).filter(|(_, number)| plan.leads_first != Some(*number)) {
            pod.process.lock().await.start()?;
        }
        let proxies = of_proxies.iter().enumerate().map(|(number, addresses)| {
            let mut process = process(format!("proxy-{}", number + 1), &programs.cluster_proxy, *addresses);
            process.tell(&["--routes", &to_pods, "--access-log", "false"]);
            process.start()?;
            Ok(process.into())
        });
        let proxies = proxies.collect::<Result<_, ChaosError>>()?;
        let mut gateway = process("gateway".to_owned(), &programs.gateway, of_gateway);
        gateway.tell(&["--routes", &to_proxies, "--access-log", "false"]);
        gateway.start()?;
        let site =
            Self { gateway: gateway.into(), address: of_gateway.0, proxies, pods, redis: store.into() };
        for (_, admin) in addresses {
            ready(admin, &logs).await?;
        }
        for (pod, number) in site.pods.iter().zip(0_u8..) {
            let hours = plan.clocks.iter().find(|clock| clock.pod == number).map_or(0, |clock| clock.hours);
            clock::verify(&*pod.process.lock().await, hours)?;
        }
        Ok(site)
    }

    /// Names of pods that are gone, each with its process. Of a pod that is being struck nothing is said.
    ///
    /// # Errors
    /// Where a log cannot be read.
    pub fn gone(&self) -> Result<Vec<(String, PodId)>, ChaosError> {
        let mut gone = Vec::new();
        for (pod, number) in self.pods.iter().zip(0_u8..) {
            let Ok(mut process) = pod.process.try_lock() else { continue };
            let runs = process.look();
            let mut ids = process.read_log()?.ids;
            if runs {
                ids.pop();
            }
            for id in ids {
                gone.push((Target::Pod(number).to_string(), PodId::parse(id)?));
            }
        }
        Ok(gone)
    }
}

/// Waits until a server says that it is ready.
async fn ready(admin: SocketAddr, logs: &Path) -> Result<(), ChaosError> {
    let http = Http::new(admin);
    let deadline = Instant::now() + READY_WITHIN;
    while !matches!(http.whole(http.get("/readyz")?).await, Ok((StatusCode::OK, _))) {
        if Instant::now() > deadline {
            return Err(ChaosError::NotReady { seconds: READY_WITHIN.as_secs(), logs: logs.to_owned() });
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
