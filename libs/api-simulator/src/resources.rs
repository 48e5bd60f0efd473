//! Which kinds there are, and what differs between them.
//!
//! One line in [`KUBERNETES`] is one more kind; the kinds of this product come from their definitions.

use std::{collections::HashMap, sync::Arc};

use fundbond_crds::{check::Checker, definitions};
use serde_json::{Value, json};

use crate::{
    fields::Fields,
    shape::{self, Shape},
};

/// When `metadata.generation` rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    /// There is none.
    Absent,
    /// With the spec.
    Spec,
    /// With the spec or the annotations.
    SpecAndAnnotations,
    /// With anything but metadata and status.
    All,
}

/// What a definition says of its objects.
#[derive(Debug)]
pub(crate) struct Custom {
    pub(crate) schema: Value,
    pub(crate) checker: Checker,
}

/// A kind.
#[derive(Debug)]
pub struct Resource {
    /// `apps`; nothing for the core.
    pub group: String,
    /// `v1`.
    pub version: String,
    /// `deployments`.
    pub plural: String,
    /// `Deployment`.
    pub kind: String,
    /// Whether the status is written by itself.
    pub(crate) status: bool,
    pub(crate) generation: Generation,
    /// Whether a replacement of nothing makes an object.
    pub(crate) created_by_replacing: bool,
    /// Whether a replacement may leave out which version it replaces.
    pub(crate) replaced_blindly: bool,
    pub(crate) shape: Arc<Shape>,
    pub(crate) custom: Option<Custom>,
    /// What an object of it has before anything is written into it.
    pub(crate) empty: Value,
    /// What writes of the object itself do not touch, and what those of its status do not.
    pub(crate) reset: Fields,
    pub(crate) reset_of_status: Fields,
}

impl Resource {
    /// `apps/v1`, `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `deployments.apps`, `configmaps`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }
}

/// A line of the table.
struct Line {
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
    /// Where its shape differs from that of any object.
    shape: &'static str,
    status: bool,
    generation: Generation,
    created_by_replacing: bool,
    replaced_blindly: bool,
    /// Structs of Go that are written though nothing is in them.
    empty: &'static str,
}

const fn line(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
    shape: &'static str,
) -> Line {
    Line {
        group,
        version,
        plural,
        kind,
        shape,
        status: false,
        generation: Generation::Absent,
        created_by_replacing: false,
        replaced_blindly: true,
        empty: "{}",
    }
}

impl Line {
    const fn status(mut self) -> Self {
        self.status = true;
        self
    }

    const fn generation(mut self, generation: Generation) -> Self {
        self.generation = generation;
        self
    }

    const fn created_by_replacing(mut self) -> Self {
        self.created_by_replacing = true;
        self
    }

    const fn never_blindly(mut self) -> Self {
        self.replaced_blindly = false;
        self
    }

    const fn empty(mut self, empty: &'static str) -> Self {
        self.empty = empty;
        self
    }
}

/// The kinds of Kubernetes itself.
const KUBERNETES: [Line; 14] = [
    line("", "v1", "configmaps", "ConfigMap", "ConfigMap"),
    line("", "v1", "secrets", "Secret", "Secret"),
    line("", "v1", "services", "Service", "Service")
        .status()
        .created_by_replacing()
        .empty(r#"{"spec": {}, "status": {"loadBalancer": {}}}"#),
    line("", "v1", "serviceaccounts", "ServiceAccount", "ServiceAccount"),
    line("", "v1", "events", "Event", "Event")
        .created_by_replacing()
        .empty(r#"{"involvedObject": {}, "source": {}}"#),
    line("events.k8s.io", "v1", "events", "Event", "Event").created_by_replacing().empty(r#"{"regarding": {}}"#),
    line("apps", "v1", "deployments", "Deployment", "Deployment")
        .status()
        .generation(Generation::SpecAndAnnotations)
        .empty(
            r#"{"spec": {"selector": null, "strategy": {}, "template": {"metadata": {}, "spec": {"containers": null}}}, "status": {}}"#,
        ),
    line("rbac.authorization.k8s.io", "v1", "roles", "Role", "Plain").created_by_replacing(),
    line("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", "RoleBinding")
        .created_by_replacing()
        .empty(r#"{"roleRef": {}}"#),
    line("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "HorizontalPodAutoscaler")
        .status()
        .empty(r#"{"spec": {"scaleTargetRef": {}}, "status": {}}"#),
    line("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", "PodDisruptionBudget")
        .status()
        .generation(Generation::Spec)
        .never_blindly()
        .empty(r#"{"spec": {}, "status": {}}"#),
    line("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", "NetworkPolicy")
        .generation(Generation::Spec)
        .empty(r#"{"spec": {}}"#),
    line("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", "Plain")
        .generation(Generation::All)
        .created_by_replacing(),
    line("coordination.k8s.io", "v1", "leases", "Lease", "Plain")
        .created_by_replacing()
        .never_blindly()
        .empty(r#"{"spec": {}}"#),
];

fn of_kubernetes(line: &Line) -> Resource {
    let mut empty: Value = serde_json::from_str(line.empty).unwrap_or_else(|_| json!({}));
    empty["metadata"] = json!({});
    Resource {
        group: line.group.to_owned(),
        version: line.version.to_owned(),
        plural: line.plural.to_owned(),
        kind: line.kind.to_owned(),
        status: line.status,
        generation: line.generation,
        created_by_replacing: line.created_by_replacing,
        replaced_blindly: line.replaced_blindly,
        shape: shape::known(line.shape),
        custom: None,
        empty,
        reset: if line.status { Fields::at(&["status"]) } else { Fields::default() },
        reset_of_status: if line.kind == "Deployment" {
            // Its controller notes in an annotation which template it has rolled out.
            let mut reset = Fields::at(&["spec"]);
            reset.extend(&Fields::at(&["metadata", "labels"]));
            reset
        } else {
            reset_of_status()
        },
    }
}

/// What writes of a status do not touch.
fn reset_of_status() -> Fields {
    let mut fields = Fields::at(&["metadata"]);
    fields.extend(&Fields::at(&["spec"]));
    fields
}

fn of_definitions() -> impl Iterator<Item = Resource> {
    definitions::definitions().into_iter().map(|definition| {
        let checker = Checker::of(&definition);
        let spec = definition.spec;
        let version = spec.versions.into_iter().next();
        let version = version.expect("a definition of this product has one version");
        let schema = version.schema.and_then(|schema| schema.open_api_v3_schema);
        let schema = serde_json::to_value(schema).expect("a schema is JSON");
        Resource {
            group: spec.group,
            version: version.name,
            plural: spec.names.plural,
            kind: spec.names.kind,
            status: version.subresources.is_some_and(|subresources| subresources.status.is_some()),
            generation: Generation::All,
            created_by_replacing: false,
            replaced_blindly: false,
            shape: shape::described(&schema),
            custom: Some(Custom { schema, checker }),
            empty: json!({"metadata": {}}),
            reset: Fields::at(&["status"]),
            reset_of_status: reset_of_status(),
        }
    })
}

/// All kinds, and where each is in the list.
#[derive(Debug)]
pub(crate) struct Resources {
    all: Vec<Arc<Resource>>,
    by_path: HashMap<(String, String), usize>,
}

impl Resources {
    pub(crate) fn new() -> Self {
        let all: Vec<_> =
            KUBERNETES.iter().map(of_kubernetes).chain(of_definitions()).map(Arc::new).collect();
        let by_path = all.iter().enumerate();
        let by_path = by_path.map(|(index, resource)| {
            ((format!("{}/{}", resource.group, resource.version), resource.plural.clone()), index)
        });
        Self { by_path: by_path.collect(), all }
    }

    pub(crate) fn all(&self) -> &[Arc<Resource>] {
        &self.all
    }

    /// Of a path: the group, the version, the plural.
    pub(crate) fn of_path(&self, group: &str, version: &str, plural: &str) -> Option<usize> {
        self.by_path.get(&(format!("{group}/{version}"), plural.to_owned())).copied()
    }
}
