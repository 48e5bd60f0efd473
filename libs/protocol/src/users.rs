//! What is said to people: paths and answers of the calls about the one stream of a user.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ClusterId, PodId, UserId, ids::is_id_byte};

/// Path of all of them.
pub const SSE_PATH: &str = "/api/sse";
/// Path of user streams; the user follows.
pub const SSE_CONNECT_PATH: &str = "/api/sse/connect";
/// Path that sends to one user.
pub const SSE_SEND_PATH: &str = "/api/sse/send";
/// Path that sends to every open stream of the cluster.
pub const SSE_BROADCAST_PATH: &str = "/api/sse/broadcast";

/// The user that the path of a call names, as in `/api/sse/connect/{userId}`. One that is written with `%` is a user to
/// whoever decodes it, and none here.
pub fn user_in_path(path: &str) -> Option<&str> {
    let (_call, user) = path.strip_prefix(SSE_PATH)?.strip_prefix('/')?.split_once('/')?;
    (!user.is_empty() && user.bytes().all(is_id_byte)).then_some(user)
}

/// Where an event for a user went.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// To the stream, which the pod holds that took the event.
    Local,
    /// To the stream, which another pod holds.
    Remote,
    /// Into the log alone: the user has no stream now, and gets it with the next.
    Offline,
}

impl Delivery {
    /// The value of the metric label, and in JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Offline => "offline",
        }
    }
}

/// Answer of `POST /api/sse/send`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// Of a body of lines: how many events it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<u64>,
    /// Where the event went; of lines, where the last one went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
}

/// Answer of `POST /api/sse/broadcast`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Broadcast {
    /// How many open streams have it.
    pub streams: u64,
}

/// Answer of `POST /api/sse/close/{userId}`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClosedStream {
    /// Whose stream it was.
    pub user_id: UserId,
    /// Whether it was open.
    pub closed: bool,
}

/// Answer of `GET /api/sse/status/{userId}`. What is not known is null, never made up.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserStatus {
    /// Whether a pod holds the user's stream.
    pub connected: bool,
    /// Which pod.
    pub pod_id: Option<PodId>,
    /// Of which cluster.
    pub cluster_id: Option<ClusterId>,
    /// Since when it is open there; null where the pod does not answer in time.
    pub connected_at: Option<Timestamp>,
    /// Id of the newest event in the user's log, whether the client has it or not.
    pub last_event_id: Option<String>,
    /// Bytes that wait for the client to take them; null where the pod does not answer in time.
    pub queued_bytes: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_end_in_a_user_name_it() {
        for (path, user) in [
            ("/api/sse/connect/u-1", Some("u-1")),
            ("/api/sse/status/0042", Some("0042")),
            ("/api/sse/close/a.b_c~d", Some("a.b_c~d")),
            ("/api/sse/send", None),
            ("/api/sse/connect/", None),
            ("/api/sse/connect/u/1", None),
            ("/api/sse/connect/%75", None),
            ("/api/ssessions/connect/u-1", None),
            ("/v1/api/sse/connect/u-1", None),
            ("", None),
        ] {
            assert_eq!(user_in_path(path), user, "{path}");
        }
    }
}
