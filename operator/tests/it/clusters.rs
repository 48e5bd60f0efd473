//! What clusters say of themselves: the same for all of them, unless a test says something else.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Json, Router, extract::State, http::HeaderMap, routing::get};
use fundbond_operator::{Answering, Proxies, Question, Unanswered};
use fundbond_protocol::{
    api::{BacklogStatus, BreakerStatus, CLUSTER_STATUS_PATH, ClusterStatus, NodeStatus},
    headers,
};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};

/// Two pods with as many streams each, and one that is dead.
pub(crate) fn says(cluster_id: &str, streams: u64, backlog: u64, leader: &str) -> ClusterStatus {
    let node = |pod: &str, alive| NodeStatus {
        pod_id: pod.parse().unwrap(),
        alive,
        health_age_seconds: alive.then_some(1.5),
        streams,
    };
    ClusterStatus {
        cluster_id: cluster_id.parse().unwrap(),
        nodes: vec![node("pod-a", true), node("pod-b", true), node("pod-c", false)],
        leader: Some(leader.to_owned()),
        last_sweep: None,
        breaker: BreakerStatus::default(),
        tasks: BacklogStatus { waiting: backlog, oldest_seconds: None, running: 1 },
    }
}

/// Clusters without sockets, for a clock that nobody waits for.
#[derive(Clone, Default)]
pub(crate) struct Clusters(Arc<Mutex<Said>>);

struct Said {
    /// Streams of each pod, backlog, leader; none where no cluster answers.
    says: Option<(u64, u64, &'static str)>,
    asked: Vec<(Instant, String)>,
}

impl Default for Said {
    fn default() -> Self {
        Self { says: Some((21, 3, "pod-a")), asked: Vec::new() }
    }
}

impl Clusters {
    /// From now on they say this.
    pub(crate) fn say(&self, says: Option<(u64, u64, &'static str)>) {
        self.0.lock().unwrap().says = says;
    }

    /// When which of them were asked.
    pub(crate) fn asked(&self) -> Vec<(Instant, String)> {
        self.0.lock().unwrap().asked.clone()
    }
}

impl Proxies for Clusters {
    fn ask<'a>(&'a self, question: &'a Question) -> Answering<'a> {
        Box::pin(async {
            let mut said = self.0.lock().unwrap();
            said.asked.push((Instant::now(), question.cluster_id.clone()));
            let (streams, backlog, leader) = said.says.ok_or(Unanswered::Late)?;
            Ok(says(&question.cluster_id, streams, backlog, leader))
        })
    }
}

/// The proxy of all clusters of which the name and the namespace can be told by the route: `name.namespace`.
pub(crate) struct OneProxy {
    pub(crate) address: SocketAddr,
    serving: JoinHandle<()>,
}

impl OneProxy {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = Router::new().route(CLUSTER_STATUS_PATH, get(answer)).with_state(());
        let serving = tokio::spawn(async { axum::serve(listener, served).await.unwrap() });
        Self { address, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for OneProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(()): State<()>, asked: HeaderMap) -> Json<ClusterStatus> {
    let route = asked[headers::X_CLUSTER_ROUTE].to_str().unwrap();
    let (name, namespace) = route.split_once('.').unwrap_or((route, "none"));
    Json(says(&format!("{namespace}.{name}"), 21, 3, "pod-a"))
}
