//! Stops the leader in the middle of a sweep, with an order on its way, and listens to what the store says to that order
//! when everything goes on.
//!
//! The middle is found, not hoped for. The leader's way to the store is made slow, so that each order takes a while; when
//! some of what is to be swept is gone and some is left, nothing more of the leader's arrives, and its next order waits in
//! the proxy. Then the leader is stopped.

use std::{pin::pin, time::Duration};

use fundbond_fault_proxy::{Carry, Flow, Weather, Which};
use fundbond_protocol::{ClusterId, PodId, keys};
use futures::StreamExt as _;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    error::ChaosError,
    fact::What,
    history::History,
    http::CLUSTER,
    plan::{FaultKind, Target},
    site::{Signal, Site},
};

/// Each way between the leader and the store: twenty looks at it fit between two orders.
const LATENCY: Duration = Duration::from_millis(100);

/// Between two looks at what is left.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// From the last order that arrives until the leader is stopped: its answer and the next order have travelled by then.
const UNTIL_SENT: Duration = Duration::from_millis(600);

/// Who was killed a moment ago is swept within this, or never.
const SWEPT_WITHIN: Duration = Duration::from_mins(2);

/// How long the store is listened to when the leader goes on.
const LISTENS: Duration = Duration::from_secs(5);

/// Waits for the middle of a sweep, and plays the fault.
pub(super) async fn put_to_sleep(
    site: &Site,
    history: &History,
    number: usize,
    sleeps: Option<Duration>,
) -> Result<(), ChaosError> {
    let kind = FaultKind::LeaderPause;
    let cluster = ClusterId::parse(CLUSTER)?;
    let place = site.leader().await?;
    let pod = &site.pods[place];
    pod.way.weather(Which::All, Weather::slow(LATENCY));
    let (swept, of, left) = middle(site).await?;
    let slow = Flow { latency: LATENCY, ..Flow::default() };
    pod.way.weather(Which::All, Weather { to_server: Flow { carry: Carry::Hold, ..slow }, to_client: slow });
    let token = site.redis.lock().await.fence(&cluster).await?;
    let token = token.ok_or(ChaosError::Missed("a sweep is under way, and nobody gave an order"))?;
    history.say(What::Midway { pod: swept.to_string(), of, left, token });
    sleep(UNTIL_SENT).await;

    let mut process = pod.process.lock().await;
    let target = u8::try_from(place).map_or(Target::Leader, Target::Pod).to_string();
    history.say(What::Breaks { fault: number, kind, target });
    process.signal(Signal::STOP)?;
    sleep(sleeps.unwrap_or_default()).await;
    let mut lines = pin!(site.redis.lock().await.monitor().await?);
    process.signal(Signal::CONT)?;
    pod.way.weather(Which::All, Weather::default());
    drop(process);
    history.say(What::Mended { fault: number, kind });

    let until = Instant::now() + LISTENS;
    let mut heard = Vec::new();
    while let Ok(Some(line)) = timeout_at(until, lines.next()).await {
        heard.push(line);
    }
    for refused in orders(&heard, &cluster, token) {
        history.say(What::LateOrder { token, refused });
    }
    Ok(())
}

/// Waits until a part of what a pod left is swept: whose, of how many, and how many are left.
async fn middle(site: &Site) -> Result<(PodId, usize, usize), ChaosError> {
    let deadline = Instant::now() + SWEPT_WITHIN;
    let mut before: Option<(PodId, usize)> = None;
    while Instant::now() < deadline {
        let gone = match &before {
            Some((pod, _)) => vec![pod.clone()],
            None => site.gone()?.into_iter().map(|(_, pod)| pod).collect(),
        };
        for pod in gone {
            let (left, dead) = site.redis.lock().await.remains(&pod).await?;
            match before {
                // Nobody comes back for any of it after this: what becomes less is swept.
                None if dead && left > 0 => before = Some((pod, left)),
                Some((_, of)) if left == of => {}
                Some((_, of)) if left > 0 => return Ok((pod, of, left)),
                Some(_) => return Err(ChaosError::Missed("a sweep was over before it could be struck")),
                None => {}
            }
        }
        sleep(LOOK_AGAIN).await;
    }
    Err(ChaosError::Missed("nobody was swept"))
}

/// The orders that the store was given under this number, each with whether it did nothing: it looked who led last, and at
/// nothing else.
fn orders(lines: &[String], cluster: &ClusterId, token: u64) -> Vec<bool> {
    let (token, fence) = (format!("\"{token}\""), format!("\"{}\"", keys::sweep_fence(cluster)));
    let mut orders = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        if is_of_script(line) || !line.contains(&token) {
            continue;
        }
        let mut steps = lines[place + 1..].iter().take_while(|line| is_of_script(line));
        if steps.next().is_some_and(|step| step.contains(&fence)) {
            orders.push(steps.next().is_none());
        }
    }
    orders
}

fn is_of_script(line: &str) -> bool {
    line.split_once(']').is_some_and(|(head, _)| head.ends_with(" lua"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_refused_where_its_script_asked_who_leads_and_nothing_more() {
        let order = r#"17.5 [0 127.0.0.1:5000] "EVALSHA" "ab" "0" "run" "now" "c" "41" "pod-a~x" "100""#;
        let fence = r#"17.5 [0 lua] "GET" "sweep-fence:c""#;
        let others = r#"17.5 [0 127.0.0.1:5001] "GET" "sweep-fence:c""#;
        let deletes = r#"17.5 [0 lua] "SPOP" "pod-conns:pod-a~x" "100""#;
        let cluster = ClusterId::parse("c").unwrap();
        let found =
            |lines: &[&str]| orders(&lines.iter().map(ToString::to_string).collect::<Vec<_>>(), &cluster, 41);
        assert_eq!(found(&[others, order, fence, others]), [true]);
        assert_eq!(found(&[order, fence]), [true]);
        assert_eq!(found(&[order, fence, deletes, others, order, fence]), [false, true]);
        // Something else that names this number is no order.
        assert_eq!(found(&[order, deletes, order]), [] as [bool; 0]);
        assert_eq!(found(&[&order.replace("41", "42"), fence]), [] as [bool; 0]);
    }
}
