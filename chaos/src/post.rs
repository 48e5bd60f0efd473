//! What is sent to people: notes to one user, one after the other, and notices to everybody.
//!
//! Each has an id and is sent again until it is answered, so it must come once. The next is sent when the one before was
//! accepted, so they must come in order.

use std::time::Duration;

use bytes::Bytes;
use fundbond_protocol::{
    ConnectionId,
    users::{SSE_BROADCAST_PATH, SSE_SEND_PATH},
};
use serde_json::json;
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{desk::Office, error::ChaosError, fact::What, plan::Notes};

/// The name of what is sent to one user.
pub const NOTE: &str = "note";

/// The name of what is sent to everybody.
pub const NOTICE: &str = "notice";

/// Before something is sent again that was not accepted.
const SEND_AGAIN: Duration = Duration::from_millis(500);

/// Between the notes that follow the last one of a script.
const GAP_OF_LATER: Duration = Duration::from_secs(5);

/// Sends so many notes to the user whose stream this is, each so long after the one before, and later more of them until
/// everybody has `left`: whoever lost the last one to a `RESET` goes with a later one.
///
/// # Errors
/// Where a request cannot be made.
pub async fn notes(
    office: Office,
    to: ConnectionId,
    Notes { count, gap }: Notes,
    left: CancellationToken,
) -> Result<(), ChaosError> {
    let Some(user) = to.user() else { return Ok(()) };
    let told = async {
        for number in 0.. {
            if number < count {
                sleep(gap).await;
            } else if left.run_until_cancelled(sleep(GAP_OF_LATER)).await.is_none() {
                break;
            }
            let id = format!("{user}:{number}");
            let body = json!({"userId": user.as_str(), "event": NOTE, "data": number, "id": id});
            send(&office, SSE_SEND_PATH, body.to_string().into(), Some(&to), number).await?;
        }
        Ok(())
    };
    office.over.run_until_cancelled(told).await.unwrap_or(Ok(()))
}

/// Sends a notice to everybody at each of these times.
///
/// # Errors
/// Where a request cannot be made.
pub async fn notices(office: Office, times: Vec<Duration>) -> Result<(), ChaosError> {
    let told = async {
        for (at, number) in times.into_iter().zip(0_u32..) {
            sleep_until(office.history.begun() + at).await;
            let body = json!({"event": NOTICE, "data": number, "id": format!("{NOTICE}:{number}")});
            send(&office, SSE_BROADCAST_PATH, body.to_string().into(), None, number).await?;
        }
        Ok(())
    };
    office.over.run_until_cancelled(told).await.unwrap_or(Ok(()))
}

async fn send(
    office: &Office,
    path: &str,
    body: Bytes,
    to: Option<&ConnectionId>,
    number: u32,
) -> Result<(), ChaosError> {
    loop {
        office.history.say(What::Sends { to: to.cloned(), number });
        let answer = office.http.whole(office.http.post(path, body.clone())?).await;
        let status = answer.ok().map(|(status, _)| status.as_u16());
        office.history.say(What::Sent { to: to.cloned(), number, status });
        // Whatever is no "not now" stays as it is; the rules say whether it is right.
        if status.is_some_and(|status| status < 500 && status != 429) {
            return Ok(());
        }
        sleep(SEND_AGAIN).await;
    }
}
