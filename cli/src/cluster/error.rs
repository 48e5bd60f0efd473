//! Why an API server did not answer, and what to do about it.

use std::{error::Error as StdError, fmt, time::Duration};

use fundbond_crds::GROUP;
use kube::{
    config::{InferConfigError, KubeconfigError},
    core::Status,
};

use crate::{client::root_cause, program};

/// What was asked, in the words of rights: a verb, a resource and a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// `list`.
    pub verb: &'static str,
    /// `fundclusters.fundbond.dev`, `pods/log`.
    pub resource: String,
    /// None: in all, or in none.
    pub namespace: Option<String>,
    /// The one object, where it is about one.
    pub name: Option<String>,
}

impl Question {
    /// `verb` on `plural` of `group`.
    pub fn of(verb: &'static str, group: &str, plural: &str, namespace: Option<String>) -> Self {
        let resource = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        Self { verb, resource, namespace, name: None }
    }

    /// The same about one object.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    fn is_ours(&self) -> bool {
        self.resource.ends_with(GROUP)
    }

    /// The command that says whether somebody may do it. `flags` lead to the same server.
    pub fn can_i(&self, flags: &str) -> String {
        // A subresource is asked for by name: `pods --subresource=log`.
        let (resource, sub) = match self.resource.split_once('/') {
            Some((resource, sub)) => (resource, format!(" --subresource={sub}")),
            None => (self.resource.as_str(), String::new()),
        };
        let place = self.namespace.as_ref().map_or(" -A".to_owned(), |namespace| format!(" -n {namespace}"));
        format!("kubectl{flags} auth can-i {} {resource}{sub}{place}", self.verb)
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        if let Some(namespace) = &self.namespace {
            write!(f, " in namespace {namespace}")?;
        }
        Ok(())
    }
}

/// Why an API server did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Neither a kubeconfig nor a pod's account.
    #[error("no Kubernetes is known here: there is no kubeconfig that can be used, and this runs in no pod")]
    Nowhere(#[source] Box<InferConfigError>),
    /// A kubeconfig that cannot be used.
    #[error("cannot use {file}")]
    Kubeconfig {
        /// Which.
        file: String,
        /// Why not.
        #[source]
        source: Box<KubeconfigError>,
    },
    /// A context that is not there.
    #[error("{file} has no context {context}; it has: {}", list(.known))]
    Context {
        /// Which.
        context: String,
        /// The kubeconfig.
        file: String,
        /// Those it has.
        known: Vec<String>,
    },
    /// Certificates, credentials or proxies that cannot be used.
    #[error("{server} cannot be spoken to as its configuration says")]
    Client {
        /// Its address.
        server: String,
        /// Why not.
        #[source]
        source: Box<kube::Error>,
    },
    /// Nobody answers there.
    #[error("cannot {question}: cannot reach the API server {server}: {why}")]
    Unreachable {
        /// Its address.
        server: String,
        /// What was asked.
        question: Box<Question>,
        /// In the words of the operating system.
        why: String,
    },
    /// No answer in time.
    #[error("cannot {question}: no answer from the API server {server} in {} s", .after.as_secs())]
    Slow {
        /// Its address.
        server: String,
        /// What was asked.
        question: Box<Question>,
        /// How long it was waited for.
        after: Duration,
    },
    /// The server does not know who asks.
    #[error("cannot {question}: the API server {server} does not know who asks")]
    Unknown {
        /// Its address.
        server: String,
        /// What was asked.
        question: Box<Question>,
        /// The options that lead there.
        flags: String,
    },
    /// The rules do not allow it.
    #[error("may not {question}: {}", .status.message)]
    Forbidden {
        /// What was asked.
        question: Box<Question>,
        /// What the server says.
        status: Box<Status>,
        /// The options that lead there.
        flags: String,
    },
    /// The server does not know the kind.
    #[error("cannot {question}: the API server {server} does not know {}", .question.resource)]
    NoDefinition {
        /// Its address.
        server: String,
        /// What was asked.
        question: Box<Question>,
    },
    /// There is no such object.
    #[error("there is no {}{}", object(.question), place(.question))]
    NotFound {
        /// What was asked.
        question: Box<Question>,
        /// The options that lead there.
        flags: String,
    },
    /// The server says no in another way.
    #[error("cannot {question}: the API server answers {}: {}", .status.code, .status.message)]
    Refused {
        /// What was asked.
        question: Box<Question>,
        /// What the server says.
        status: Box<Status>,
    },
    /// The answer is none.
    #[error("cannot {question}: the answer cannot be read")]
    Unreadable {
        /// What was asked.
        question: Box<Question>,
        /// Why not.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

fn list(known: &[String]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

fn object(question: &Question) -> String {
    // `fundclusters.fundbond.dev` is a FundCluster to people.
    let kind = match question.resource.split(['.', '/']).next().unwrap_or_default() {
        "fundclusters" => "FundCluster".to_owned(),
        plural => plural.trim_end_matches('s').to_owned(),
    };
    question.name.as_ref().map_or_else(|| kind.clone(), |name| format!("{kind} {name}"))
}

fn place(question: &Question) -> String {
    question.namespace.as_ref().map_or_else(String::new, |namespace| format!(" in namespace {namespace}"))
}

impl ClusterError {
    pub(super) fn of(server: &str, flags: &str, question: Question, error: kube::Error) -> Self {
        let (server, flags, question) = (server.to_owned(), flags.to_owned(), Box::new(question));
        match error {
            kube::Error::Api(status) => match status.code {
                401 => Self::Unknown { server, question, flags },
                403 => Self::Forbidden { question, status, flags },
                // Where the kind is known, an answer has details about the object; where it is not, it is a line of text.
                404 if status.details.is_none() && question.is_ours() => {
                    Self::NoDefinition { server, question }
                }
                404 if question.name.is_some() => Self::NotFound { question, flags },
                _ => Self::Refused { question, status },
            },
            error @ (kube::Error::SerdeError(_) | kube::Error::FromUtf8(_)) => {
                Self::Unreadable { question, source: error.into() }
            }
            error => Self::Unreachable { server, question, why: root_cause(&error) },
        }
    }

    /// Whether the same question may be answered later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Slow { .. } => true,
            Self::Refused { status, .. } => {
                status.code >= 500 || matches!(status.code, 408 | 409 | 410 | 429)
            }
            _ => false,
        }
    }

    /// What to do next.
    pub fn next(&self) -> String {
        match self {
            Self::Nowhere(_) => "name a kubeconfig with --kubeconfig or KUBECONFIG, as for kubectl; \
                                 `kubectl config view` shows what kubectl takes"
                .to_owned(),
            Self::Kubeconfig { .. } => "correct it, or name another one with --kubeconfig".to_owned(),
            Self::Context { .. } => "name one of them with --context".to_owned(),
            Self::Client { .. } => {
                "correct the cluster and the user of that context in the kubeconfig".to_owned()
            }
            Self::Unreachable { .. } | Self::Slow { .. } => {
                "is it up, and is this the right context? `kubectl config get-contexts` shows all; \
                 `kubectl get --raw /readyz` asks the same server"
                    .to_owned()
            }
            Self::Unknown { flags, .. } => {
                format!("log in again; kubectl{flags} auth whoami shows whom the server takes you for")
            }
            Self::Forbidden { question, flags, .. } => question.can_i(flags),
            Self::NoDefinition { .. } => {
                "helm install fundbond-crds charts/fundbond-crds --namespace fundbond --create-namespace"
                    .to_owned()
            }
            Self::NotFound { question, flags } if question.resource.starts_with("fundclusters.") => {
                format!("{}{flags} status -A shows those there are", program::name())
            }
            Self::NotFound { question, flags } => {
                let place =
                    question.namespace.as_ref().map_or(" -A".to_owned(), |name| format!(" -n {name}"));
                format!("kubectl{flags} get {}{place} shows those there are", question.resource)
            }
            Self::Refused { .. } => "try again; the API server's own log says more".to_owned(),
            Self::Unreadable { .. } => {
                "is it a Kubernetes API server, of a version that this program knows? `kubectl version`"
                    .to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(question: Question, status: Status) -> ClusterError {
        ClusterError::of("https://k8s:6443", " --context prod", question, kube::Error::Api(status.boxed()))
    }

    fn fund_clusters() -> Question {
        Question::of("list", GROUP, "fundclusters", Some("funds".to_owned()))
    }

    #[test]
    fn who_may_not_look_is_told_the_right_and_how_to_ask_for_it() {
        let status = Status::failure("fundclusters.fundbond.dev is forbidden: User \"eve\"", "Forbidden");
        let error = of(fund_clusters(), status.with_code(403));
        assert_eq!(
            error.to_string(),
            "may not list fundclusters.fundbond.dev in namespace funds: fundclusters.fundbond.dev is forbidden: \
             User \"eve\""
        );
        assert_eq!(error.next(), "kubectl --context prod auth can-i list fundclusters.fundbond.dev -n funds");
        let logs = Question::of("get", "", "pods/log", None).can_i("");
        assert_eq!(logs, "kubectl auth can-i get pods --subresource=log -A");
    }

    #[test]
    fn a_kind_that_is_not_there_is_told_apart_from_an_object_that_is_not() {
        let plain = Status::failure("404 page not found", "Failed to parse error data").with_code(404);
        let error = of(fund_clusters(), plain);
        assert!(error.next().starts_with("helm install fundbond-crds"), "{error}");
        let details = serde_json::from_value(
            serde_json::json!({"kind": "fundclusters", "name": "desk", "group": GROUP}),
        );
        let gone = Status::failure("not found", "NotFound").with_code(404).with_details(details.unwrap());
        let error = of(Question { verb: "get", ..fund_clusters() }.named("desk"), gone);
        assert_eq!(error.to_string(), "there is no FundCluster desk in namespace funds");
        assert_eq!(error.next(), "fundctl --context prod status -A shows those there are");
    }

    #[test]
    fn only_what_passes_by_itself_is_temporary() {
        for (code, temporary) in
            [(401, false), (403, false), (404, false), (410, true), (429, true), (503, true)]
        {
            let error = of(fund_clusters(), Status::failure("m", "r").with_code(code));
            assert_eq!(error.is_temporary(), temporary, "{code}");
        }
    }
}
