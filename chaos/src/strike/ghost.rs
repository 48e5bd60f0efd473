//! A registration that somebody wrote by hand, for a pod that never was.

use std::time::Duration;

use fundbond_protocol::ConnectionId;
use tokio::time::{Instant, sleep};

use crate::{
    error::ChaosError,
    fact::What,
    history::History,
    plan::{FaultKind, Target},
    site::Site,
};

/// The stream that nobody opened.
const STREAM: &str = "ghost";

/// Who is said to hold it: no pod, of no cluster.
const HOLDER: &str = "pod-1:cluster-1";

/// How often it is asked whether it is still there.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// What stays for longer than this is not swept at all.
const GIVE_UP: Duration = Duration::from_mins(5);

/// Writes it down, and waits until it is gone.
pub(super) async fn haunt(site: &Site, history: &History, number: usize) -> Result<(), ChaosError> {
    let stream = ConnectionId::parse(STREAM)?;
    let kind = FaultKind::Ghost;
    site.redis.lock().await.register(&stream, HOLDER).await?;
    history.say(What::Breaks { fault: number, kind, target: Target::Redis.to_string() });
    let deadline = Instant::now() + GIVE_UP;
    while Instant::now() < deadline {
        sleep(ASK_AGAIN).await;
        let holders = site.redis.lock().await.holders(&[&stream]).await?;
        if holders == [None] {
            history.say(What::Mended { fault: number, kind });
            break;
        }
    }
    Ok(())
}
