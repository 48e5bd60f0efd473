//! The audit log, read back: who asked for what, when, and what was answered.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::Deserialize;

use crate::{User, must};

/// What is written down: who, what and when of every request, without the objects themselves, and nothing of what the
/// server asks of itself.
const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: None, users: ["system:apiserver"]}
  - {level: Metadata}
"#;

/// Between two looks at the log.
const PAUSE: Duration = Duration::from_millis(20);

/// The audit log of one server.
pub struct Audit {
    policy: PathBuf,
    log: PathBuf,
}

impl Audit {
    pub(crate) fn prepare(directory: &Path) -> Result<Self> {
        let (policy, log) = (directory.join("audit-policy.yaml"), directory.join("audit.log"));
        fs::write(&policy, POLICY).with_context(|| format!("cannot write {}", policy.display()))?;
        fs::write(&log, "").with_context(|| format!("cannot write {}", log.display()))?;
        Ok(Self { policy, log })
    }

    pub(crate) fn arguments(&self) -> Vec<String> {
        vec![
            format!("--audit-policy-file={}", self.policy.display()),
            format!("--audit-log-path={}", self.log.display()),
            // Megabytes before it begins another file, which nobody would read: a terabyte.
            "--audit-log-maxsize=1000000".into(),
        ]
    }

    /// Everything so far, in the order it was written. A request is written down after it was answered: see
    /// [`Audit::until`].
    pub fn entries(&self) -> Vec<Entry> {
        must(self.read())
    }

    fn read(&self) -> Result<Vec<Entry>> {
        let text =
            fs::read_to_string(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut entries = Vec::new();
        for line in whole.lines() {
            // A server that was killed leaves half a line, on which the next one goes on.
            let line = line.rfind(r#"{"kind":"Event""#).map_or(line, |start| &line[start..]);
            let event: Event =
                serde_json::from_str(line).with_context(|| format!("an audit event: {line}"))?;
            entries.push(event.into());
        }
        Ok(entries)
    }

    /// What a user asked so far.
    pub fn of(&self, user: &User) -> Vec<Entry> {
        let mut entries = self.entries();
        entries.retain(|entry| entry.user == user.name());
        entries
    }

    /// Waits until the log holds what `so` looks for.
    ///
    /// # Panics
    /// It does not within `limit`.
    pub async fn until(&self, limit: Duration, mut so: impl FnMut(&[Entry]) -> bool) -> Vec<Entry> {
        let began = Instant::now();
        loop {
            let entries = self.entries();
            if so(&entries) {
                return entries;
            }
            let last: Vec<String> = entries.iter().rev().take(10).map(ToString::to_string).collect();
            assert!(began.elapsed() < limit, "not within {limit:?}; the last, newest first: {last:#?}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What roles must allow for a user to have done all this, whether or not it was allowed.
    pub fn rules(&self, user: &User) -> BTreeSet<Rule> {
        self.of(user).iter().filter_map(Entry::rule).collect()
    }
}

/// When of a request it was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Stage {
    /// The answer has begun: only of what takes long, as watches do.
    ResponseStarted,
    /// It is over.
    ResponseComplete,
    /// The server failed in the middle of it.
    Panic,
}

/// One request, at one stage. The text of it is one line for people.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The same for all stages of one request.
    pub id: String,
    /// Which stage.
    pub stage: Stage,
    /// Who asked: the one who was impersonated, where somebody was.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; of what is no resource, the HTTP
    /// method in small letters.
    pub verb: String,
    /// The path and query that were asked for.
    pub uri: String,
    /// Empty for the core group, and for what is no resource.
    pub group: String,
    /// In the plural; empty for what is no resource.
    pub resource: String,
    /// `status` and the like, else empty.
    pub subresource: String,
    /// Empty where there is none.
    pub namespace: String,
    /// Empty where all are meant.
    pub name: String,
    /// What was answered; 0 while nothing is.
    pub code: u16,
    /// When the request came.
    pub received: Timestamp,
    /// When this stage was reached.
    pub at: Timestamp,
}

impl Entry {
    /// Whether something was written and stays: asked for by a verb that writes, for good, and granted.
    pub fn is_write(&self) -> bool {
        let verbs = ["create", "update", "patch", "delete", "deletecollection"];
        self.stage == Stage::ResponseComplete
            && verbs.contains(&self.verb.as_str())
            && (200..300).contains(&self.code)
            && !self.uri.contains("dryRun=All")
    }

    /// Whether it was refused for a lack of rights.
    pub fn is_forbidden(&self) -> bool {
        self.code == 403
    }

    /// What a role must allow for it; none for what is no resource.
    pub fn rule(&self) -> Option<Rule> {
        let resource = match (self.resource.as_str(), self.subresource.as_str()) {
            ("", _) => return None,
            (resource, "") => resource.to_owned(),
            (resource, subresource) => format!("{resource}/{subresource}"),
        };
        Some(Rule { group: self.group.clone(), resource, verb: self.verb.clone() })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {} {} {} -> {}", self.at, self.stage, self.user, self.verb, self.uri, self.code)
    }
}

/// One verb on one kind of resource, as roles allow it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// Empty for the core group.
    pub group: String,
    /// `deployments`, or with its subresource `deployments/status`.
    pub resource: String,
    /// As roles spell it.
    pub verb: String,
}

/// What the server writes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "auditID")]
    audit_id: String,
    stage: Stage,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: Identity,
    impersonated_user: Option<Identity>,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct Identity {
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

impl From<Event> for Entry {
    fn from(event: Event) -> Self {
        Self {
            id: event.audit_id,
            stage: event.stage,
            user: event.impersonated_user.unwrap_or(event.user).username,
            verb: event.verb,
            uri: event.request_uri,
            group: event.object_ref.api_group,
            resource: event.object_ref.resource,
            subresource: event.object_ref.subresource,
            namespace: event.object_ref.namespace,
            name: event.object_ref.name,
            code: event.response_status.code,
            received: event.request_received_timestamp,
            at: event.stage_timestamp,
        }
    }
}
