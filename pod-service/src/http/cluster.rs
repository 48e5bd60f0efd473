//! `/api/cluster/status`: which pods there are, and who tidies up after them.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use fundbond_protocol::{
    api::{BacklogStatus, BreakerStatus, CLUSTER_STATUS_PATH, ClusterStatus, NodeStatus, seconds},
    headers::QUERY_CLUSTER,
};
use fundbond_store::NodeSeen;

use super::{Shared, error::ApiError, extract::Query, openapi::ReadErrors};
use crate::housekeeping::Note;

/// The nodes of the cluster, who leads their housekeeping, and how that went last.
#[utoipa::path(
    get,
    path = CLUSTER_STATUS_PATH,
    tag = "about",
    operation_id = "readClusterStatus",
    responses((status = 200, description = "How the cluster is.", body = ClusterStatus), ReadErrors)
)]
pub async fn status(State(pod): Shared, request: Request) -> Result<Response, ApiError> {
    Query::of(request.uri(), &[QUERY_CLUSTER])?;
    let seen = pod.store.nodes(&pod.cluster).await?;
    let backlog = pod.store.backlog(&pod.cluster).await?;
    // A note of another version of this program may say other things: then there is none.
    let note = seen.note.as_deref().and_then(|note| match serde_json::from_str::<Note>(note) {
        Ok(note) => Some(note),
        Err(error) => {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "cannot read the note of the last sweep"
            );
            None
        }
    });
    let (last_sweep, breaker) = match note {
        Some(note) => (Some(note.last_sweep), note.breaker),
        None => (None, BreakerStatus::default()),
    };
    let mut nodes: Vec<NodeStatus> = seen.nodes.into_iter().map(node).collect();
    nodes.sort_by(|a, b| a.pod_id.cmp(&b.pod_id));
    let status = ClusterStatus {
        cluster_id: pod.cluster.clone(),
        nodes,
        leader: pod.lease.holder(),
        last_sweep,
        breaker,
        tasks: BacklogStatus {
            waiting: backlog.waiting as u64,
            oldest_seconds: backlog.oldest.map(seconds),
            running: backlog.claimed as u64,
        },
    };
    Ok(super::json(StatusCode::OK, &status))
}

fn node(seen: NodeSeen) -> NodeStatus {
    NodeStatus {
        alive: seen.health_age.is_some() && !seen.buried,
        health_age_seconds: seen.health_age.map(seconds),
        pod_id: seen.pod,
        streams: seen.streams,
    }
}
