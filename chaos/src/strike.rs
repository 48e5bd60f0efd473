//! Does what the plan says to the system, and undoes it.

mod ghost;
mod leader;

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use fundbond_fault_proxy::{Blow, Door, FaultProxy, Weather, Which};
use tokio::time::sleep_until;

use crate::{
    error::ChaosError,
    fact::What,
    history::History,
    plan::{FaultKind, Planned, Target},
    site::{Process, Signal, Site},
};

/// Each way, between a pod and Redis: a step takes a round trip, so a pod is well twenty times slower, and still far
/// from the 3 s after which an answer is given up.
const LATENCY: Duration = Duration::from_millis(250);

/// Bytes a second between a pod and Redis: a few events of its streams, and too little for all of them.
const NARROW: NonZeroU64 = NonZeroU64::new(20_000).unwrap();

/// Plays one fault to its end.
///
/// # Errors
/// Where it cannot be done or undone.
pub async fn play(
    site: Arc<Site>,
    history: Arc<History>,
    number: usize,
    fault: Planned,
) -> Result<(), ChaosError> {
    sleep_until(history.begun() + fault.at).await;
    let kind = fault.kind;
    match kind {
        FaultKind::Ghost => return ghost::haunt(&site, &history, number).await,
        FaultKind::LeaderPause => return leader::put_to_sleep(&site, &history, number, fault.lasts).await,
        _ => {}
    }
    let pod = match fault.target {
        Target::Pod(pod) => Some(usize::from(pod)),
        Target::Leader => Some(site.leader().await?),
        Target::Follower => Some((site.leader().await? + 1) % site.pods.len()),
        _ => None,
    };
    let target = pod.and_then(|pod| u8::try_from(pod).ok()).map_or(fault.target, Target::Pod);
    // Said once the target is ours: the fault before may have taken longer than planned.
    let breaks = || history.say(What::Breaks { fault: number, kind, target: target.to_string() });
    let until = fault.lasts.map(|lasts| history.begun() + fault.at + lasts);
    let over = async {
        match until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    };
    match (target, pod) {
        (_, Some(pod)) => {
            let pod = &site.pods[pod];
            match kind {
                FaultKind::PodKill | FaultKind::PodTerm | FaultKind::PodPause | FaultKind::PodFreeze => {
                    // The lock is what says that nobody expects it to run.
                    let mut process = pod.process.lock().await;
                    breaks();
                    of_process(&mut process, kind, fault.lasts.is_some(), over).await?;
                }
                _ => {
                    breaks();
                    of_way(&pod.way, kind, over).await?;
                }
            }
        }
        (Target::Proxy(proxy), _) => {
            let mut process = site.proxies[usize::from(proxy)].lock().await;
            breaks();
            of_process(&mut process, kind, true, over).await?;
        }
        (Target::Gateway, _) => {
            let mut process = site.gateway.lock().await;
            breaks();
            of_process(&mut process, kind, true, over).await?;
        }
        (_, None) => {
            let mut redis = site.redis.lock().await;
            breaks();
            match kind {
                FaultKind::RedisFlush => redis.flush().await?,
                FaultKind::RedisPause => {
                    redis.signal(Signal::STOP)?;
                    over.await;
                    redis.signal(Signal::CONT)?;
                }
                _ => {
                    redis.kill().await?;
                    over.await;
                    redis.again().await?;
                }
            }
        }
    }
    if fault.lasts.is_some() {
        history.say(What::Mended { fault: number, kind });
    }
    Ok(())
}

async fn of_process(
    process: &mut Process,
    kind: FaultKind,
    comes_back: bool,
    over: impl Future<Output = ()>,
) -> Result<(), ChaosError> {
    match kind {
        FaultKind::PodPause | FaultKind::PodFreeze => {
            process.signal(Signal::STOP)?;
            over.await;
            return process.signal(Signal::CONT);
        }
        FaultKind::PodTerm => {
            process.signal(Signal::TERM)?;
            process.ended().await?;
        }
        _ => process.kill().await?,
    }
    if comes_back {
        over.await;
        process.start()?;
    }
    Ok(())
}

async fn of_way(way: &FaultProxy, kind: FaultKind, over: impl Future<Output = ()>) -> Result<(), ChaosError> {
    match kind {
        FaultKind::PodCut => {
            way.door(Door::Resetting).await.map_err(ChaosError::Way)?;
            way.strike(Which::All, Blow::Reset);
        }
        FaultKind::PodHold => way.weather(Which::All, Weather::holding()),
        FaultKind::PodSlow => way.weather(Which::All, Weather::slow(LATENCY)),
        FaultKind::PodNarrow => way.weather(Which::All, Weather::narrow(NARROW)),
        // What connections have lost they do not get back: whoever holds them has to find out.
        _ => way.weather(Which::All, Weather::swallowing()),
    }
    over.await;
    way.weather(Which::All, Weather::default());
    way.door(Door::Open).await.map_err(ChaosError::Way)?;
    Ok(())
}
