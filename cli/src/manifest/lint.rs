//! What a server would refuse, and what it takes but a person would regret.
//!
//! Flow: each [`Document`] is judged alone (by the server's own rules, then by [`regret`]), then all of them together: two
//! FundClusters may be right, and not both.

mod clash;
mod regret;
mod text;

use std::{collections::BTreeMap, sync::LazyLock};

use fundbond_crds::{FundCluster, GROUP, VERSION, check::Checker, definitions};
use fundbond_protocol::FieldProblem;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Serialize;
use serde_json::Value;

use super::{Document, File};

pub use super::wrap::hanging;
pub use text::{summary, text};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A server refuses it.
    Error,
    /// A server takes it.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// In which file.
    pub file: String,
    /// On which line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Of which object: `FundCluster funds/cluster1`.
    pub object: String,
    /// Which field; empty where it is the object itself.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
    /// What to do.
    pub fix: String,
}

/// What became of some files.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Everything that is wrong, in the order of the files.
    pub problems: Vec<Problem>,
    /// How many objects were judged.
    pub checked: usize,
    /// How many were not, because they are of kinds that are not ours.
    pub passed_over: usize,
    /// The FundClusters that a server would take.
    pub clusters: Vec<Sound>,
}

/// A FundCluster that a server would take.
#[derive(Clone, Debug)]
pub struct Sound {
    /// As it was written.
    pub document: Document,
    /// As it is meant, with every default.
    pub cluster: FundCluster,
}

impl Report {
    /// How many problems of `severity` there are.
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    /// Without its warnings.
    #[must_use]
    pub fn errors(mut self) -> Self {
        self.problems.retain(|problem| problem.severity == Severity::Error);
        self
    }

    fn error(&mut self, document: &Document, problem: FieldProblem, fix: String) {
        self.add(Severity::Error, document, problem.field, &problem.message, fix);
    }

    fn add(&mut self, severity: Severity, of: &Document, field: String, reason: &str, fix: String) {
        self.problems.push(Problem {
            severity,
            file: of.file().to_owned(),
            line: of.line(&field),
            object: of.title(),
            field,
            reason: masked(reason),
            fix,
        });
    }
}

/// Judges every object of `files`. What names no namespace is in `namespace`.
pub fn lint(files: &[File], namespace: &str) -> Report {
    let mut report = Report::default();
    for file in files {
        let (documents, malformed) = Document::all(file);
        for document in documents {
            judge(document, namespace, &mut report);
        }
        if let Some(malformed) = malformed {
            report.problems.push(Problem {
                severity: Severity::Error,
                file: file.name.clone(),
                line: malformed.line,
                object: "a document that cannot be read".to_owned(),
                field: String::new(),
                reason: malformed.why,
                fix: "correct the YAML there; what is behind it was not looked at".to_owned(),
            });
        }
    }
    clash::find(&mut report);
    let place = |name: &str| files.iter().position(|file| file.name == name);
    report.problems.sort_by_key(|problem| (place(&problem.file), problem.line));
    report
}

/// Of FundClusters, then of GatewayRoutes. To read all their rules takes longer than to judge a hundred objects.
static JUDGES: LazyLock<[Judge; 2]> =
    LazyLock::new(|| definitions::definitions().map(|definition| Judge::of(&definition)));

/// What judges the objects of a kind.
struct Judge {
    kind: String,
    checker: Checker,
}

impl Judge {
    fn of(definition: &CustomResourceDefinition) -> Self {
        Self { kind: definition.spec.names.kind.clone(), checker: Checker::of(definition) }
    }
}

/// What a server would say to `new`, which is to take the place of `old`: the first of it.
pub(super) fn change(old: &Value, new: &Value) -> Option<FieldProblem> {
    JUDGES[0].checker.check(new, Some(old)).into_iter().next()
}

fn judge(document: Document, namespace: &str, report: &mut Report) {
    let judges = &*JUDGES;
    if document.value.get("apiVersion").is_none() && document.value.get("kind").is_none() {
        report.checked += 1;
        let message = "has neither apiVersion nor kind, so it is no object of Kubernetes".to_owned();
        let fix = "take it out of what is applied".to_owned();
        return report.error(&document, FieldProblem { field: String::new(), message }, fix);
    }
    for field in ["apiVersion", "kind"] {
        if document.value.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
            report.checked += 1;
            let example = if field == "kind" { "FundCluster".to_owned() } else { version() };
            let problem = FieldProblem { field: field.to_owned(), message: "Required value".to_owned() };
            return report.error(&document, problem, format!("add it, for example `{field}: {example}`"));
        }
    }
    let (kind, api_version) =
        (document.kind().unwrap_or_default(), document.api_version().unwrap_or_default());
    let judge = judges.iter().find(|judge| judge.kind == kind);
    let ours = api_version.split('/').next() == Some(GROUP);
    let Some(judge) = judge else {
        if !ours {
            report.passed_over += 1;
            return;
        }
        report.checked += 1;
        let known: Vec<_> = judges.iter().map(|judge| judge.kind.as_str()).collect();
        let message = format!("{GROUP} has no kind {kind}");
        let fix = format!("write {}", known.join(" or "));
        return report.error(&document, FieldProblem { field: "kind".to_owned(), message }, fix);
    };
    report.checked += 1;
    if api_version != version() {
        let message = format!("a {kind} of {api_version} is none that the operator knows");
        let fix = format!("write `apiVersion: {}`", version());
        return report.error(&document, FieldProblem { field: "apiVersion".to_owned(), message }, fix);
    }
    let before = report.count(Severity::Error);
    // Without a name the rules about names cannot be asked.
    let nameless = document.name().is_none_or(str::is_empty);
    if nameless {
        let problem =
            FieldProblem { field: "metadata.name".to_owned(), message: "Required value".to_owned() };
        report.error(&document, problem, "add it, for example `name: cluster1`".to_owned());
    }
    for problem in judge.checker.check(&document.value, None) {
        if nameless && problem.field.is_empty() {
            continue;
        }
        let fix = judge.checker.fix(&document.value, &problem);
        // What is said of the whole object is about its name.
        let field = if problem.field.is_empty() { "metadata.name".to_owned() } else { problem.field };
        let reason = problem.message.strip_suffix(&format!(": {fix}")).unwrap_or(&problem.message).to_owned();
        report.error(&document, FieldProblem { field, message: reason }, fix);
    }
    if report.count(Severity::Error) > before {
        return;
    }
    if kind == judges[0].kind {
        let mut value = document.value.clone();
        settle(&mut value, namespace);
        match serde_json::from_value::<FundCluster>(value) {
            Ok(cluster) => sound(document, cluster, report),
            // The schema says what the type says; where it does not, that is a mistake of ours which must be seen.
            Err(error) => {
                let problem = FieldProblem { field: "spec".to_owned(), message: error.to_string() };
                report.error(&document, problem, "correct the value that it names".to_owned());
            }
        }
    } else {
        let reason = "the operator alone writes GatewayRoutes, and takes back what others change";
        let fix = "write a FundCluster; its route comes with it".to_owned();
        report.add(Severity::Warning, &document, String::new(), reason, fix);
    }
}

fn sound(document: Document, cluster: FundCluster, report: &mut Report) {
    for regret in regret::of(&document, &cluster) {
        report.add(Severity::Warning, &document, regret.field, &regret.reason, regret.fix);
    }
    report.clusters.push(Sound { document, cluster });
}

/// What a server adds: the namespace. And what it leaves alone: nulls are what is not there.
fn settle(value: &mut Value, namespace: &str) {
    drop_nulls(value);
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.entry("namespace").or_insert_with(|| namespace.into());
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// The version that the operator knows.
fn version() -> String {
    format!("{GROUP}/{VERSION}")
}

/// `reason` without what looks like the name and password in an address: it ends up in the logs of a pipeline.
fn masked(reason: &str) -> String {
    let mut masked = String::new();
    let mut rest = reason;
    while let Some(at) = rest.find("://") {
        let (before, behind) = rest.split_at(at + 3);
        masked.push_str(before);
        let end = behind
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '?' | '#' | '['))
            .unwrap_or(behind.len());
        match behind[..end].rfind('@') {
            Some(user) => {
                masked.push_str("***");
                rest = &behind[user..];
            }
            None => rest = behind,
        }
    }
    masked + rest
}

/// FundClusters by what `keys` says of them, where that is the same for several.
fn several<K: Ord, I: IntoIterator<Item = K>>(
    clusters: &[Sound],
    keys: impl Fn(&Sound) -> I,
) -> BTreeMap<K, Vec<usize>> {
    let mut found: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for (index, sound) in clusters.iter().enumerate() {
        for key in keys(sound) {
            found.entry(key).or_default().push(index);
        }
    }
    found.retain(|_, same| same.len() > 1);
    found
}

#[cfg(test)]
mod tests;
