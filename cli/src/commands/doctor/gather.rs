//! Looks at everything, as far as the rights go. What cannot be looked at is said, and the rest is looked at all the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use fundbond_crds::labels;
use futures::future::join_all;
use jiff::{Timestamp, fmt::rfc2822};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Pod};
use kube::{Resource, ResourceExt as _, api::DynamicObject};
use serde::de::DeserializeOwned;

use crate::{
    admin::RouteTable,
    args::cluster::SightArgs,
    cluster::{Cluster, ClusterError, Scope},
    doctor::{self, Blind, Look, Place, Seen, Version},
};

/// The admin port of a gateway, where its pods do not say.
const GATEWAY_ADMIN: i32 = 18_000;

/// So many gateways are asked for their routes: all have the same ones, and each question takes a moment.
const GATEWAYS_ASKED: usize = 10;

/// Where to look for what.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    /// FundClusters, and what became of them.
    pub(crate) clusters: Scope,
    /// Operator and gateway.
    pub(crate) system: Scope,
}

impl Sight {
    /// By the options of a command.
    pub(crate) fn of(args: &SightArgs) -> Self {
        let scope = |namespace: &Option<String>| namespace.clone().map_or(Scope::All, Scope::Namespace);
        Self { clusters: scope(&args.cluster.namespace), system: scope(&args.system_namespace) }
    }

    /// Whether something of the product is of interest: it is the system's own, or of a FundCluster that is.
    pub(crate) fn has(&self, object: &DynamicObject) -> bool {
        let namespace = object.namespace().unwrap_or_default();
        let of_a_cluster = object.labels().get(labels::MANAGED_BY).is_some_and(|by| by == labels::OPERATOR);
        let scope = if of_a_cluster { &self.clusters } else { &self.system };
        match scope {
            Scope::All => true,
            Scope::Namespace(only) => *only == namespace,
        }
    }
}

/// Looks.
pub(crate) async fn gather(cluster: &Cluster, sight: &Sight) -> Seen {
    let version = cluster.version().await;
    let here = Timestamp::now();
    let (version, there) = match version {
        Ok((info, date)) => {
            let version = Version { major: info.major, minor: info.minor, whole: info.git_version };
            (Ok(version), date.as_deref().and_then(time))
        }
        Err(error) => (Err(blind(&error)), None),
    };
    let mut seen = Seen {
        kubectl: cluster.kubectl(),
        program: cluster.program(),
        server: cluster.server().to_owned(),
        version,
        here,
        there,
        definitions: Vec::new(),
        deployments: Ok(Vec::new()),
        leases: BTreeMap::new(),
        clusters: Ok(Vec::new()),
        secrets: BTreeMap::new(),
        routes: Ok(Vec::new()),
        slices: Ok(Vec::new()),
        tables: BTreeMap::new(),
        pods: Ok(Vec::new()),
        autoscalers: Ok(Vec::new()),
    };
    if seen.version.is_err() {
        return seen;
    }
    for name in doctor::DEFINITIONS {
        seen.definitions.push(look(cluster.definition(name).await));
    }
    seen.deployments = of_the_product(cluster, sight).await;
    leases(cluster, &mut seen).await;
    seen.clusters = look(cluster.fund_clusters(&sight.clusters).await);
    secrets(cluster, &mut seen).await;
    seen.routes = look(cluster.list(&sight.clusters, "").await);
    let ours = labels::of_the_product();
    seen.slices = look(cluster.list(&sight.clusters, &ours).await);
    seen.pods = of_the_product(cluster, sight).await;
    seen.autoscalers = look(cluster.list(&sight.clusters, &ours).await);
    tables(cluster, &mut seen).await;
    seen
}

fn blind(error: &ClusterError) -> Blind {
    Blind { why: error.to_string(), next: error.next() }
}

fn look<T>(answer: Result<T, ClusterError>) -> Look<T> {
    answer.map_err(|error| blind(&error))
}

/// Objects of a kind that the system has, and FundClusters too.
async fn of_the_product<K>(cluster: &Cluster, sight: &Sight) -> Look<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let ours = labels::of_the_product();
    let mut scopes = vec![&sight.system];
    if sight.system != Scope::All && sight.clusters != sight.system {
        scopes.push(&sight.clusters);
    }
    let mut all = Vec::new();
    let resource = kube::api::ApiResource::erase::<K>(&());
    for scope in scopes {
        all.extend(look(cluster.list_as(scope, &resource, &ours).await)?);
    }
    let mut known = BTreeSet::new();
    let own = all.into_iter().filter(|object| sight.has(object) && known.insert(object.uid()));
    let typed: Result<Vec<K>, _> = own.map(DynamicObject::try_parse).collect();
    typed.map_err(|error| Blind {
        why: format!("cannot read {}: {error}", resource.plural),
        next: format!("{} version", cluster.kubectl()),
    })
}

async fn leases(cluster: &Cluster, seen: &mut Seen) {
    let Ok(deployments) = &seen.deployments else { return };
    let operators = deployments.iter().filter(|it| is(*it, "operator"));
    let places: Vec<Place> = operators.map(doctor::lease_of).collect();
    for (namespace, name) in places {
        let lease = match cluster.get::<Lease>(&namespace, &name).await {
            Ok(lease) => Ok(Some(lease)),
            Err(ClusterError::NotFound { .. }) => Ok(None),
            Err(error) => Err(blind(&error)),
        };
        seen.leases.insert((namespace, name), lease);
    }
}

async fn secrets(cluster: &Cluster, seen: &mut Seen) {
    let Ok(clusters) = &seen.clusters else { return };
    let named: BTreeSet<Place> = clusters.iter().filter_map(doctor::secret_of).collect();
    for (namespace, name) in named {
        let is_there = look(cluster.has_secret(&namespace, &name).await);
        seen.secrets.insert((namespace, name), is_there);
    }
}

/// Asks gateways that are ready for their routes.
async fn tables(cluster: &Cluster, seen: &mut Seen) {
    let Ok(pods) = &seen.pods else { return };
    let ready: Vec<_> = pods.iter().filter(|pod| is(*pod, "gateway") && is_ready(pod)).collect();
    let asked = ready.into_iter().take(GATEWAYS_ASKED).map(|pod| table(cluster, pod));
    seen.tables = join_all(asked).await.into_iter().collect();
}

async fn table(cluster: &Cluster, pod: &Pod) -> (Place, Look<RouteTable>) {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let page = cluster.admin_of_pod(&namespace, &name, admin_port(pod), "/routes").await;
    let table = look(page).and_then(|text| {
        serde_json::from_str::<RouteTable>(&text).map_err(|error| Blind {
            why: format!("its /routes is not that of a gateway: {error}"),
            next: format!("{} describe pod {name} -n {namespace}", cluster.kubectl()),
        })
    });
    ((namespace, name), table)
}

fn is(object: &impl kube::ResourceExt, program: &str) -> bool {
    object.labels().get(labels::NAME).is_some_and(|name| name == program)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|it| it.type_ == "Ready" && it.status == "True"))
}

fn admin_port(pod: &Pod) -> i32 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let admin = ports.find(|port| port.name.as_deref() == Some("admin"));
    admin.map_or(GATEWAY_ADMIN, |port| port.container_port)
}

/// The time of a `Date` header.
fn time(text: &str) -> Option<Timestamp> {
    rfc2822::parse(text).ok().map(|time| time.timestamp())
}
