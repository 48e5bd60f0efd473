//! An operator in this process, and somebody who uses the same namespace.

use std::{net::SocketAddr, time::Duration};

use fundbond_crds::{FundCluster, FundClusterStatus};
use fundbond_operator::{Config, Operator, Program, RunError, Surroundings};
use fundbond_service_runtime::Shutdown;
use fundbond_test_api_server::{ApiServer, User};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::clusters::OneProxy;

/// What is expected to happen has happened by then, on a machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A namespace of its own.
pub(crate) struct Desk {
    pub(crate) namespace: String,
    pub(crate) client: Client,
}

/// Clusters are asked every half a minute.
const ROUND: Duration = Duration::from_secs(30).saturating_add(SOON);

/// An operator that runs.
pub(crate) struct Running {
    pub(crate) admin: SocketAddr,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), RunError>>,
    _clusters: OneProxy,
}

impl Running {
    /// One that looks after `namespace` as `user`.
    pub(crate) async fn start(user: &User, namespace: &str) -> Self {
        let clusters = OneProxy::start().await;
        let config = config(namespace, &clusters.url());
        let surroundings = Surroundings::of(&config, user.config()).unwrap();
        let operator = Operator::bind(config, surroundings).await.unwrap();
        let (admin, shutdown) = (operator.admin_address(), Shutdown::new());
        let task = tokio::spawn(operator.run(shutdown.clone()));
        Self { admin, shutdown, task, _clusters: clusters }
    }

    /// Ends it as a signal would.
    pub(crate) async fn stop(self) {
        self.shutdown.begin();
        timeout(SOON, self.task).await.unwrap().unwrap().unwrap();
    }
}

fn config(namespace: &str, proxies: &str) -> Config {
    let arguments = [
        "operator",
        "--host",
        "127.0.0.1",
        "--admin-port",
        "0",
        "--watch-namespaces",
        namespace,
        "--namespace",
        namespace,
        "--proxy-address",
        proxies,
    ];
    <Program as clap::Parser>::parse_from(arguments).config
}

impl Desk {
    /// With an operator that may do anything.
    pub(crate) async fn open(server: &ApiServer) -> (Self, Running) {
        let desk = Self::open_idle(server).await;
        let operator = Running::start(&server.admin(), &desk.namespace).await;
        (desk, operator)
    }

    /// Without one.
    pub(crate) async fn open_idle(server: &ApiServer) -> Self {
        server.install_definitions().await;
        Self { client: server.client(), namespace: server.namespace().await }
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Makes a FundCluster, with what `more` says of its spec.
    pub(crate) async fn create(&self, name: &str, more: Value) -> FundCluster {
        let mut spec = json!({"route": {"value": format!("{name}.{}", self.namespace)}, "redis": {"url": "redis://redis:6379"}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let object = json!({
            "apiVersion": "fundbond.dev/v1alpha1", "kind": "FundCluster", "metadata": {"name": name}, "spec": spec,
        });
        let cluster: FundCluster = serde_json::from_value(object).unwrap();
        self.api().create(&PostParams::default(), &cluster).await.unwrap()
    }

    /// Changes a spec.
    pub(crate) async fn edit(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.api::<FundCluster>().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Lets all pods of a Deployment be ready, as its controller would.
    pub(crate) async fn roll_out(&self, name: &str) {
        let deployment = self.deployment(name).await;
        self.pods(name, deployment.spec.unwrap().replicas.unwrap()).await;
    }

    async fn deployment(&self, name: &str) -> Deployment {
        let api = self.api::<Deployment>();
        eventually(&format!("Deployment {name}"), async || api.get_opt(name).await.unwrap()).await
    }

    /// Lets so many pods of a Deployment be ready.
    pub(crate) async fn pods(&self, name: &str, ready: i32) {
        let deployment = self.deployment(name).await;
        let replicas = deployment.spec.unwrap().replicas;
        let status = json!({"status": {
            "observedGeneration": deployment.metadata.generation,
            "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": ready, "availableReplicas": ready,
        }});
        let api = self.api::<Deployment>();
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    /// Waits until a FundCluster was told what its cluster says.
    pub(crate) async fn asked(&self, name: &str) -> FundClusterStatus {
        let api = self.api::<FundCluster>();
        eventually_within(ROUND, &format!("{name} says how it is"), async || {
            api.get(name).await.unwrap().status.filter(|status| status.streams.is_some())
        })
        .await
    }

    /// Waits until the condition of a FundCluster has this status and reason.
    pub(crate) async fn told(&self, name: &str, about: &str, status: &str, reason: &str) -> FundCluster {
        let api = self.api::<FundCluster>();
        eventually(&format!("{name}: {about} {status} {reason}"), async || {
            let cluster = api.get(name).await.unwrap();
            let conditions = cluster.status.clone().unwrap_or_default().conditions;
            let found = conditions.iter().find(|condition| condition.type_ == about);
            let is = found.is_some_and(|found| found.status == status && found.reason == reason)
                && cluster.status.as_ref().and_then(|status| status.observed_generation)
                    == cluster.metadata.generation;
            is.then_some(cluster)
        })
        .await
    }
}

/// What an admin port says, head and all; none where nobody listens.
pub(crate) async fn ask(admin: SocketAddr, path: &str) -> Option<String> {
    let mut socket = TcpStream::connect(admin).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: operator\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    Some(answer)
}

/// Waits until there is what is looked for.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(SOON, what, look).await
}

/// The same, by another deadline.
pub(crate) async fn eventually_within<T>(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        // sleep-ok: the server is another process; the deadline is above.
        sleep(Duration::from_millis(20)).await;
    }
}

/// Names of all objects of a kind.
pub(crate) async fn names<K>(api: &Api<K>) -> Vec<String>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let list = api.list(&kube::api::ListParams::default()).await.unwrap();
    list.items.iter().map(kube::ResourceExt::name_any).collect()
}
