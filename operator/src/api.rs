//! The calls that the operator makes. Each is one request, with one answer, in a limited time.

use std::time::Duration;

use fundbond_crds::{FundCluster, FundClusterStatus, labels};
use kube::{
    Api, Client, Resource as _,
    api::{
        ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions,
        ValidationDirective,
    },
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    failure::Failure,
    kinds::{Kind, fund_clusters},
    seen::{Key, Uid, Whole},
};

/// A call without an answer by then has failed. A busy API server ends its own work after 60 s; nobody waits so long for one
/// object.
const LIMIT: Duration = Duration::from_secs(15);

/// Applies the number of pods from when an autoscaler comes until it says the number itself.
const IN_BETWEEN: &str = "fundbond-operator-scale";

/// The API server, as far as the operator writes to it.
#[derive(Clone)]
pub(crate) struct Server {
    reader: Client,
    writer: Client,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    /// Reads by one client and writes by the other; each asks once.
    pub(crate) fn new(reader: Client, writer: Client) -> Self {
        Self { reader, writer }
    }

    /// A FundCluster as it is now, from the one place that is never behind; none where there is none.
    pub(crate) async fn cluster(&self, key: &Key) -> Result<Option<DynamicObject>, Failure> {
        let api = api::<DynamicObject>(&self.reader, &key.namespace, fund_clusters());
        in_time(api.get_opt(&key.name)).await
    }

    /// A child as it is now.
    pub(crate) async fn child(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Whole>, Failure> {
        let api = api::<Whole>(&self.reader, namespace, kind.resource());
        // By a list of one, which is what the operator may do anyway.
        let named = ListParams::default().fields(&format!("metadata.name={name}"));
        in_time(api.list(&named)).await.map(|mut found| found.items.pop())
    }

    /// Applies a child. Without `force` nothing is taken from another manager.
    pub(crate) async fn apply(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        value: &Value,
        force: bool,
    ) -> Result<Whole, Failure> {
        let parameters = PatchParams { force, ..strictly(labels::OPERATOR) };
        let api = api::<Whole>(&self.writer, namespace, kind.resource());
        in_time(api.patch(name, &parameters, &Patch::Apply(value))).await
    }

    /// Says the number of pods of a Deployment that nobody else says for now.
    pub(crate) async fn hand_over(
        &self,
        namespace: &str,
        name: &str,
        uid: &Uid,
        version: u64,
        replicas: i32,
    ) -> Result<Whole, Failure> {
        let resource = Kind::Deployment.resource();
        let mut value = json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": {"name": name, "namespace": namespace, "uid": uid.to_string()},
            "spec": {"replicas": replicas},
        });
        if version != 0 {
            value["metadata"]["resourceVersion"] = version.to_string().into();
        }
        let api = api::<Whole>(&self.writer, namespace, resource);
        // By force, for it is the operator's own number.
        let parameters = strictly(IN_BETWEEN).force();
        in_time(api.patch(name, &parameters, &Patch::Apply(value))).await
    }

    /// Deletes a child, if it is still what was seen.
    pub(crate) async fn delete(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        uid: &Uid,
        version: u64,
    ) -> Result<(), Failure> {
        let version = cfg!(not(feature = "bug-blind-delete")).then(|| version.to_string());
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_string()),
                resource_version: version.filter(|version| version != "0"),
            }),
            ..DeleteParams::background()
        };
        let api = api::<Whole>(&self.writer, namespace, kind.resource());
        in_time(api.delete(name, &parameters)).await.map(drop)
    }

    /// Tells a FundCluster what became of it, if it is still the one that this is about.
    pub(crate) async fn status(
        &self,
        key: &Key,
        version: &str,
        status: &FundClusterStatus,
    ) -> Result<DynamicObject, Failure> {
        let value = json!({
            "apiVersion": FundCluster::api_version(&()), "kind": FundCluster::kind(&()),
            "metadata": {"name": &*key.name, "namespace": &*key.namespace, "resourceVersion": version},
            "status": status,
        });
        let api = api::<DynamicObject>(&self.writer, &key.namespace, fund_clusters());
        in_time(api.patch_status(&key.name, &strictly(labels::OPERATOR).force(), &Patch::Apply(value))).await
    }
}

fn api<K>(client: &Client, namespace: &str, resource: &ApiResource) -> Api<K>
where
    K: kube::Resource<DynamicType = ApiResource, Scope = kube::core::DynamicResourceScope>,
{
    Api::namespaced_with(client.clone(), namespace, resource)
}

/// A field that the server does not know is a mistake, and not to be dropped without a word.
fn strictly(manager: &str) -> PatchParams {
    PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply(manager) }
}

async fn in_time<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match timeout(LIMIT, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::late(LIMIT)),
    }
}
