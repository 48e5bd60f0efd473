//! Why something could not be done, and what that means for the next attempt.

use std::{error::Error, io, time::Duration};

use kube::core::{Status, response::StatusCause};

use crate::fence::NotLeading;

/// Something that the API server did not do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// This process does not lead.
    #[error("another operator leads")]
    NotLeading,
    /// Somebody else was faster. What they did comes with a watch, or with the next look.
    #[error("somebody else changed it in between")]
    Conflict(#[source] Box<kube::Error>),
    /// It is not there.
    #[error("it is not there")]
    Absent(#[source] Box<kube::Error>),
    /// Its namespace is being deleted: nothing new comes in.
    #[error("its namespace is being deleted")]
    NamespaceLeaves(#[source] Box<kube::Error>),
    /// The server does not want it, and will not until somebody changes something.
    #[error("the API server refuses it: {0}")]
    Refused(String),
    /// Nobody knows whether it was done.
    #[error("the API server cannot be asked")]
    Unreachable {
        /// When it wants to be asked again.
        again: Option<Duration>,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Failure {
    /// No answer in time.
    pub(crate) fn late(limit: Duration) -> Self {
        Self::Unreachable { again: None, source: format!("no answer within {limit:?}").into() }
    }

    /// A word for logs and metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::NotLeading => "not_leading",
            Self::Conflict(_) => "conflict",
            Self::Absent(_) => "absent",
            Self::NamespaceLeaves(_) => "namespace_leaves",
            Self::Refused(_) => "refused",
            Self::Unreachable { .. } => "unreachable",
        }
    }

    /// Whether two managers quarrel over fields, which is a conflict that goes on until somebody yields.
    pub(crate) fn is_quarrel(&self) -> bool {
        matches!(self, Self::Conflict(error) if matches!(&**error, kube::Error::Api(status) if is_quarrel(status)))
    }
}

fn is_quarrel(status: &Status) -> bool {
    names(status, |cause| cause.reason == "FieldManagerConflict")
}

/// Whether the server names such a cause.
fn names(status: &Status, is_it: impl Fn(&StatusCause) -> bool) -> bool {
    status.details.iter().flat_map(|details| &details.causes).any(is_it)
}

/// Whether the fence held a request back, or a socket the rest of it.
fn was_held_back(error: &(dyn Error + 'static)) -> bool {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    chain.into_iter().any(|error: &(dyn Error + 'static)| {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        error.is::<NotLeading>() || inner.is_some_and(<dyn Error + Send + Sync>::is::<NotLeading>)
    })
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        let status = match error {
            kube::Error::Api(ref status) => status,
            kube::Error::Service(ref source) if was_held_back(&**source) => return Self::NotLeading,
            error => return Self::Unreachable { again: None, source: error.into() },
        };
        let again = status.details.as_ref().map(|details| details.retry_after_seconds).filter(|s| *s > 0);
        let again = again.map(|seconds| Duration::from_secs(u64::from(seconds)));
        match status.code {
            404 => Self::Absent(error.into()),
            409 => Self::Conflict(error.into()),
            // It is another object of that name by now.
            422 if names(status, |cause| cause.field == "metadata.uid") => Self::Conflict(error.into()),
            403 if leaves(status) => Self::NamespaceLeaves(error.into()),
            408 | 429 | 500.. => Self::Unreachable { again, source: error.into() },
            _ => Self::Refused(status.message.clone()),
        }
    }
}

fn leaves(status: &Status) -> bool {
    names(status, |cause| cause.reason == "NamespaceTerminating")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(status: serde_json::Value) -> &'static str {
        let status: Status = serde_json::from_value(status).unwrap();
        Failure::from(kube::Error::Api(status.boxed())).kind()
    }

    #[test]
    fn answers_of_the_server_are_told_apart() {
        let cause = |reason: &str| json!({"causes": [{"reason": reason, "message": "", "field": ""}]});
        for (code, details, expected) in [
            (404, json!({}), "absent"),
            (409, json!({}), "conflict"),
            (403, json!({}), "refused"),
            (403, cause("NamespaceTerminating"), "namespace_leaves"),
            (422, json!({}), "refused"),
            (
                422,
                json!({"causes": [{"reason": "FieldValueInvalid", "message": "", "field": "metadata.uid"}]}),
                "conflict",
            ),
            (429, json!({"retryAfterSeconds": 7}), "unreachable"),
            (500, json!({}), "unreachable"),
            (504, json!({}), "unreachable"),
        ] {
            let status =
                json!({"status": "Failure", "code": code, "message": "m", "reason": "r", "details": details});
            assert_eq!(kind(status), expected, "{code}");
        }
    }

    #[test]
    fn a_server_that_wants_peace_says_for_how_long() {
        let status = json!({"status": "Failure", "code": 429, "details": {"retryAfterSeconds": 7}});
        let failure =
            Failure::from(kube::Error::Api(serde_json::from_value::<Status>(status).unwrap().boxed()));
        assert!(matches!(failure, Failure::Unreachable { again: Some(again), .. } if again.as_secs() == 7));
    }
}
