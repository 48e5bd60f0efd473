//! Which pod leads the housekeeping, as the system says to anybody who asks.

use std::{net::SocketAddr, time::Duration};

use fundbond_protocol::api::{CLUSTER_STATUS_PATH, ClusterStatus};
use http::StatusCode;
use tokio::time::{Instant, sleep};

use super::{Pod, Site};
use crate::{error::ChaosError, http::Http};

/// Somebody leads within 20 s, whatever happened before.
const LEADS_WITHIN: Duration = Duration::from_secs(30);

/// Between two questions.
const ASK_AGAIN: Duration = Duration::from_millis(100);

impl Site {
    /// The place of the pod that leads. Waits until one does.
    ///
    /// # Errors
    /// Where nobody leads.
    pub async fn leader(&self) -> Result<usize, ChaosError> {
        let deadline = Instant::now() + LEADS_WITHIN;
        loop {
            if let Some(leader) = status(self.address).await?.and_then(|status| status.leader) {
                for (place, pod) in self.pods.iter().enumerate() {
                    let mut process = pod.process.lock().await;
                    if process.look() && process.read_log()?.ids.last() == Some(&leader) {
                        return Ok(place);
                    }
                }
            }
            if Instant::now() > deadline {
                return Err(ChaosError::Leader("no pod leads the housekeeping"));
            }
            sleep(ASK_AGAIN).await;
        }
    }
}

/// Waits until this pod leads, which is alone.
pub(super) async fn wait_for(pod: &Pod) -> Result<(), ChaosError> {
    let deadline = Instant::now() + LEADS_WITHIN;
    loop {
        let ours = pod.process.lock().await.read_log()?.ids.pop();
        let leader = status(pod.address).await?.and_then(|status| status.leader);
        if leader.is_some() && leader == ours {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(ChaosError::Leader("the pod that was started first does not lead"));
        }
        sleep(ASK_AGAIN).await;
    }
}

/// How the cluster is; none where nobody says so now.
async fn status(server: SocketAddr) -> Result<Option<ClusterStatus>, ChaosError> {
    let http = Http::new(server);
    Ok(match http.whole(http.get(CLUSTER_STATUS_PATH)?).await {
        Ok((StatusCode::OK, body)) => serde_json::from_slice(&body).ok(),
        _ => None,
    })
}
