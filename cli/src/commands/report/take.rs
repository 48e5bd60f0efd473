//! Takes one thing after the other. What cannot be taken is written down, and the next is taken all the same.

use std::{collections::BTreeSet, time::Duration};

use fundbond_crds::{FundCluster, GatewayRoute, labels};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    coordination::v1::Lease,
    core::v1::{ConfigMap, Event, Pod, Service},
    discovery::v1::EndpointSlice,
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    ResourceExt as _,
    api::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, ClusterError, Question, Scope},
    commands::{
        doctor::{Sight, gather},
        say,
    },
    doctor,
    render::Style,
    report::{Archive, ArchiveError, Missing, Redactor},
};

/// The last lines of a log: a few minutes of a busy pod, and days of a quiet one.
const LINES: u32 = 2_000;

/// The longest log: what so many lines of a usual length are, ten times over.
const LOG_BYTES: u32 = 8 * 1024 * 1024;

/// Pods whose logs and admin pages are taken. More of them say the same.
const PODS: usize = 100;

/// So many pods are asked at once: one that does not answer costs half a minute.
const AT_ONCE: usize = 8;

/// Pages of the admin port, and their names in the report. Who has no such page answers 404, which is nothing missing.
const PAGES: [(&str, &str); 2] = [("/routes", "routes.json"), ("/metrics", "metrics.txt")];

/// A report that is being made.
pub(super) struct Taking<'a> {
    cluster: &'a Cluster,
    sight: &'a Sight,
    pub(super) archive: Archive,
    pub(super) redactor: Redactor,
    pub(super) missing: Vec<Missing>,
    /// Names of objects of ours, by namespace, for events and leases about them.
    ours: BTreeSet<(String, String)>,
}

impl<'a> Taking<'a> {
    pub(super) fn new(cluster: &'a Cluster, sight: &'a Sight, archive: Archive, redactor: Redactor) -> Self {
        Self { cluster, sight, archive, redactor, missing: Vec::new(), ours: BTreeSet::new() }
    }

    /// All there is to take.
    pub(super) async fn everything(&mut self, since: Option<Duration>) -> Result<(), ArchiveError> {
        say("reading objects");
        self.findings().await?;
        let clusters = [ApiResource::erase::<FundCluster>(&()), ApiResource::erase::<GatewayRoute>(&())];
        for resource in clusters {
            self.objects(&resource, "").await?;
        }
        let ours = labels::of_the_product();
        for resource in [
            ApiResource::erase::<Deployment>(&()),
            ApiResource::erase::<ReplicaSet>(&()),
            ApiResource::erase::<Service>(&()),
            ApiResource::erase::<EndpointSlice>(&()),
            ApiResource::erase::<ConfigMap>(&()),
            ApiResource::erase::<HorizontalPodAutoscaler>(&()),
            ApiResource::erase::<PodDisruptionBudget>(&()),
            ApiResource::erase::<NetworkPolicy>(&()),
        ] {
            self.objects(&resource, &ours).await?;
        }
        let pods = self.objects(&ApiResource::erase::<Pod>(&()), &ours).await?;
        self.about_ours(&ApiResource::erase::<Event>(&()), event_is_about).await?;
        self.about_ours(&ApiResource::erase::<Lease>(&()), lease_is_of).await?;
        say(&format!("reading logs and admin pages of {} pods", pods.len().min(PODS)));
        if pods.len() > PODS {
            let what = format!("logs and admin pages of {} more pods", pods.len() - PODS);
            self.lacks(&what, format!("at most {PODS} are taken; -n takes one namespace"));
        }
        let cluster = self.cluster;
        let mut all =
            stream::iter(pods.iter().take(PODS).map(|pod| pieces(cluster, pod, since))).buffered(AT_ONCE);
        while let Some(pieces) = all.next().await {
            for piece in pieces {
                self.put(piece)?;
            }
        }
        Ok(())
    }

    fn lacks(&mut self, what: &str, why: impl Into<String>) {
        self.missing.push(Missing { what: what.to_owned(), why: why.into() });
    }

    fn add(&mut self, file: &str, what: &str, text: &str) -> Result<(), ArchiveError> {
        self.archive.add(file, what, text)
    }

    /// What `doctor` finds, and the versions of both sides.
    async fn findings(&mut self) -> Result<(), ArchiveError> {
        let seen = gather(self.cluster, self.sight).await;
        let findings = doctor::findings(&seen);
        let text = doctor::text(&findings, None, Style::PLAIN);
        let text = self.redactor.text(&format!("{text}-- {}\n", doctor::summary(&findings)));
        self.add("doctor.txt", "what fundctl doctor finds", &text)?;
        let versions = json!({
            "fundctl": env!("CARGO_PKG_VERSION"),
            "kubernetes": seen.version.as_ref().map_or("not told", |version| &version.whole),
            "hereAndThere": [Some(seen.here), seen.there],
        });
        self.add("versions.json", "versions, and what time it was here and there", &pretty(&versions))
    }

    /// All objects of a kind that are ours.
    async fn objects(
        &mut self,
        resource: &ApiResource,
        labels: &str,
    ) -> Result<Vec<DynamicObject>, ArchiveError> {
        let ours_alone = labels.is_empty();
        let scopes = if ours_alone || self.sight.system == self.sight.clusters {
            vec![&self.sight.clusters]
        } else {
            vec![&self.sight.system, &self.sight.clusters]
        };
        let mut objects: Vec<DynamicObject> = Vec::new();
        let mut asked = false;
        for scope in scopes {
            match self.cluster.list_as(scope, resource, labels).await {
                Ok(found) => {
                    asked = true;
                    let known: BTreeSet<_> = objects.iter().map(kube::ResourceExt::uid).collect();
                    let new = found.into_iter().filter(|object| !known.contains(&object.uid()));
                    let sight = self.sight;
                    objects.extend(new.filter(|object| ours_alone || sight.has(object)));
                }
                Err(error) => self.lacks(&resource.plural, error.to_string()),
            }
        }
        for object in &objects {
            self.ours.insert((object.namespace().unwrap_or_default(), object.name_any()));
        }
        if asked {
            self.documents(&resource.plural, &objects)?;
        }
        Ok(objects)
    }

    /// Objects of a kind without our labels, in the namespaces where objects of ours are.
    async fn about_ours(
        &mut self,
        resource: &ApiResource,
        is_about: fn(&DynamicObject) -> String,
    ) -> Result<(), ArchiveError> {
        let namespaces: BTreeSet<String> = self.ours.iter().map(|(namespace, _)| namespace.clone()).collect();
        let mut objects = Vec::new();
        let mut asked = false;
        for namespace in namespaces {
            let scope = Scope::Namespace(namespace.clone());
            match self.cluster.list_as(&scope, resource, "").await {
                Ok(found) => {
                    asked = true;
                    objects.extend(
                        found
                            .into_iter()
                            .filter(|object| self.ours.contains(&(namespace.clone(), is_about(object)))),
                    );
                }
                Err(error) => self.lacks(&format!("{} of {namespace}", resource.plural), error.to_string()),
            }
        }
        if asked { self.documents(&resource.plural, &objects) } else { Ok(()) }
    }

    /// One file with all `objects`, as `kubectl get -o yaml` has them.
    fn documents(&mut self, plural: &str, objects: &[DynamicObject]) -> Result<(), ArchiveError> {
        let mut text = String::new();
        for object in objects {
            match serde_json::to_value(object).map(|value| self.redactor.object(value)) {
                Ok(value) => match yaml_serde::to_string(&value) {
                    Ok(yaml) => text = format!("{text}---\n{yaml}"),
                    Err(error) => self.lacks(&format!("{plural} {}", object.name_any()), error.to_string()),
                },
                Err(error) => self.lacks(&format!("{plural} {}", object.name_any()), error.to_string()),
            }
        }
        let what = format!("{} {plural}", objects.len());
        self.add(&format!("objects/{plural}.yaml"), &what, &text)
    }

    /// Puts in what came of one question.
    fn put(&mut self, piece: Piece) -> Result<(), ArchiveError> {
        match piece.text {
            Ok(text) => {
                let text = self.redactor.text(&text);
                self.add(&piece.file, &piece.what, &text)
            }
            Err(why) => {
                self.lacks(&piece.what, why);
                Ok(())
            }
        }
    }
}

/// Something of a pod that was asked for.
struct Piece {
    file: String,
    what: String,
    /// It, or why it is not there.
    text: Result<String, String>,
}

/// The logs and the admin pages of a pod.
async fn pieces(cluster: &Cluster, pod: &DynamicObject, since: Option<Duration>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for container in containers(pod) {
        pieces.push(log(cluster, pod, &container.name, since, false).await);
        if container.restarts > 0 {
            pieces.push(log(cluster, pod, &container.name, since, true).await);
        }
    }
    pieces.extend(pages(cluster, pod).await);
    pieces
}

/// The last lines of a container, or of the one before it.
async fn log(
    cluster: &Cluster,
    pod: &DynamicObject,
    container: &str,
    since: Option<Duration>,
    previous: bool,
) -> Piece {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let since = since.map_or_else(String::new, |since| format!("&sinceSeconds={}", since.as_secs().max(1)));
    let (asked, before) = if previous { ("&previous=true", ".previous") } else { ("", "") };
    let path = format!(
        "/api/v1/namespaces/{namespace}/pods/{name}/log?container={container}&timestamps=true&tailLines={LINES}\
         &limitBytes={LOG_BYTES}{since}{asked}"
    );
    let question = Question::of("get", "", "pods/log", Some(namespace.clone())).named(&name);
    let text = cluster.text(question, &path).await.map(|(_, text)| text);
    Piece {
        file: format!("logs/{namespace}/{name}/{container}{before}.log"),
        what: format!("log of {container}{before} of {namespace}/{name}, at most {LINES} lines"),
        text: text.map_err(|error| error.to_string()),
    }
}

/// Pages of its admin port.
async fn pages(cluster: &Cluster, pod: &DynamicObject) -> Vec<Piece> {
    let Some(port) = admin_port(pod) else { return Vec::new() };
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let mut pieces = Vec::new();
    for (page, file) in PAGES {
        let text = match cluster.admin_of_pod(&namespace, &name, port, page).await {
            // It is no gateway, and has no routes.
            Err(ClusterError::NotFound { .. }) if page == "/routes" => continue,
            text => text.map_err(|error| error.to_string()),
        };
        pieces.push(Piece {
            file: format!("admin/{namespace}/{name}/{file}"),
            what: format!("{page} of {namespace}/{name}"),
            text,
        });
    }
    pieces
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

struct Container {
    name: String,
    restarts: i64,
}

fn containers(pod: &DynamicObject) -> Vec<Container> {
    let all = pod.data.pointer("/spec/containers").and_then(Value::as_array);
    let statuses = pod.data.pointer("/status/containerStatuses").and_then(Value::as_array);
    let names = all.into_iter().flatten().filter_map(|container| container["name"].as_str());
    names
        .map(|name| {
            let status = statuses.into_iter().flatten().find(|status| status["name"] == name);
            let restarts = status.and_then(|status| status["restartCount"].as_i64()).unwrap_or_default();
            Container { name: name.to_owned(), restarts }
        })
        .collect()
}

fn admin_port(pod: &DynamicObject) -> Option<i32> {
    let containers = pod.data.pointer("/spec/containers").and_then(Value::as_array)?;
    let mut ports = containers.iter().filter_map(|container| container["ports"].as_array()).flatten();
    let port = ports.find(|port| port["name"] == "admin")?["containerPort"].as_i64()?;
    i32::try_from(port).ok()
}

fn event_is_about(event: &DynamicObject) -> String {
    event.data.pointer("/involvedObject/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The Lease of a FundCluster's housekeeper, or that of an operator, which is called as its Deployment is or was told.
fn lease_is_of(lease: &DynamicObject) -> String {
    let name = lease.name_any();
    name.strip_suffix("-housekeeper").map_or(name.clone(), str::to_owned)
}
