//! One run from the first process to the last: start, play, wait for the calm, look at what is left, stop.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use fundbond_protocol::{ConnectionId, TaskId, api::TASKS_PATH, keys};
use serde::Deserialize;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    census,
    desk::{self, Office},
    error::ChaosError,
    fact::{Fact, State, What},
    history::History,
    http::Http,
    plan::Plan,
    post,
    site::{Pod, Programs, Signal, Site},
    strike,
};

/// Between two looks at what has to come true.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// From the calm until every open stream is registered: a gateway gives up a silent stream after 30 s, and a pod says
/// each 10 s what it holds.
const REGISTERED_WITHIN: Duration = Duration::from_secs(45);

/// A check begins this long before it must be so: what was written a moment ago may not be read yet.
const CHECK_BEFORE: Duration = Duration::from_secs(5);

/// Until nothing is left of clients and pods that are gone: 30 s until a pod counts as dead, 20 s until somebody leads,
/// a sweep, and a margin.
const SWEPT_WITHIN: Duration = Duration::from_secs(75);

/// Plays `plan` with processes whose files are in `folder`. Everything that happened is in the facts.
///
/// # Errors
/// Where the run itself could not be made.
pub async fn run(plan: &Plan, programs: &Programs, folder: &Path) -> Result<Vec<Fact>, ChaosError> {
    let facts_file = folder.join("facts.jsonl");
    let file = |source| ChaosError::File { path: facts_file.clone(), source };
    let history = Arc::new(History::new(&facts_file).map_err(file)?);
    let site = Arc::new(Site::start(plan, programs, folder, &history).await?);
    let begun = history.begun();
    let office = Office {
        http: Http::new(site.address),
        history: history.clone(),
        calm: begun + plan.calm_from,
        over: CancellationToken::new(),
    };
    let mut faults: JoinSet<Result<(), ChaosError>> = JoinSet::new();
    for (number, fault) in plan.faults.iter().enumerate() {
        faults.spawn(strike::play(site.clone(), history.clone(), number, *fault));
    }
    for at in plan.checks.clone() {
        let (site, history) = (site.clone(), history.clone());
        faults.spawn(async move {
            sleep_until(begun + at.saturating_sub(CHECK_BEFORE)).await;
            registered(&site, &history, begun + at).await
        });
    }
    let mut desks: JoinSet<Result<(), ChaosError>> = JoinSet::new();
    // Who never has a task and is sent nothing is there until the end.
    let mut idle: JoinSet<Result<(), ChaosError>> = JoinSet::new();
    for desk in plan.desks.clone() {
        let set = if desk.jobs.is_empty() && desk.notes.is_none() { &mut idle } else { &mut desks };
        set.spawn(desk::play(office.clone(), desk));
    }
    desks.spawn(post::notices(office.clone(), plan.notices.clone()));
    let played = async {
        while let Some(fault) = faults.join_next().await {
            fault??;
        }
        sleep_until(begun + plan.calm_from).await;
        // Until all is said, or the time for it is over; who still waits then is in the facts.
        let said = async {
            while let Some(desk) = desks.join_next().await {
                desk??;
            }
            Ok::<_, ChaosError>(())
        };
        timeout_at(begun + plan.ends, said).await.unwrap_or(Ok(()))
    };
    tokio::select! {
        played = played => played?,
        watched = watch(&site) => watched,
        asked = census::take(&site, &history), if !plan.promises.is_empty() => asked?,
    }
    registered(&site, &history, begun + plan.calm_from + REGISTERED_WITHIN).await?;
    office.over.cancel();
    for mut left in [desks, idle] {
        while let Some(desk) = left.join_next().await {
            desk??;
        }
    }
    states(&office).await?;
    swept(&site, &history).await?;
    stop(&site).await?;
    judge_logs(&site, &history).await?;
    history.end().map_err(file)
}

/// Notices who dies by itself. Whoever is struck is locked, and expected to be gone.
async fn watch(site: &Site) {
    loop {
        sleep(LOOK_AGAIN).await;
        let pods = site.pods.iter().map(|pod| &pod.process);
        for process in pods.chain(&site.proxies).chain([&site.gateway]) {
            if let Ok(mut process) = process.try_lock() {
                process.look();
            }
        }
        if let Ok(mut redis) = site.redis.try_lock() {
            redis.look();
        }
    }
}

/// Waits until every stream that is open is registered to a pod that lives, and says who holds it.
async fn registered(site: &Site, history: &History, deadline: Instant) -> Result<(), ChaosError> {
    let redis = site.redis.lock().await;
    loop {
        let place = history.len();
        let open = census::open_streams(&history.since(0));
        let connections = Vec::from_iter(&open);
        let alive = alive(site).await?;
        let holders = redis.holders(&connections).await?;
        let pods = holders
            .into_iter()
            .map(|holder| holder?.split(':').next().filter(|pod| alive.contains(*pod)).map(str::to_owned));
        // A stream that ended while this was asked was nobody's to hold.
        let news = history.since(place);
        let ended = |connection: &ConnectionId| {
            let mut pages = news.iter().filter_map(|fact| fact.what.page());
            pages.any(|page| page.connection == *connection)
        };
        let held: Vec<_> =
            connections.into_iter().zip(pods).filter(|(connection, _)| !ended(connection)).collect();
        if held.iter().all(|(_, pod)| pod.is_some()) || Instant::now() > deadline {
            for (connection, pod) in held {
                history.say(What::Holder { connection: connection.clone(), pod });
            }
            return Ok(());
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Ids of the pods that run.
async fn alive(site: &Site) -> Result<BTreeSet<String>, ChaosError> {
    let mut alive = BTreeSet::new();
    for Pod { process, .. } in &site.pods {
        let mut process = process.lock().await;
        if process.look() {
            alive.extend(process.read_log()?.ids.pop());
        }
    }
    Ok(alive)
}

/// Asks what became of every task that was accepted.
///
/// # Errors
/// Where a request cannot be made.
pub async fn states(office: &Office) -> Result<(), ChaosError> {
    /// A gateway answers within a minute whatever happens; this is for one that was struck just now.
    const TRIES: usize = 5;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct View {
        status: String,
        final_event: bool,
    }
    let facts = office.history.since(0);
    let accepted: BTreeSet<&TaskId> = facts
        .iter()
        .filter_map(|fact| match &fact.what {
            What::Answered { task, status: 202 } => Some(task),
            _ => None,
        })
        .collect();
    for task in accepted {
        for _ in 0..TRIES {
            let answer = office.http.whole(office.http.get(&format!("{TASKS_PATH}/{task}"))?).await;
            let state = match answer {
                Ok((status, body)) if status.as_u16() == 200 => serde_json::from_slice::<View>(&body)
                    .ok()
                    .map(|view| State { status: view.status, last: view.final_event }),
                Ok((status, _)) if status.as_u16() == 404 => None,
                _ => {
                    sleep(LOOK_AGAIN).await;
                    continue;
                }
            };
            office.history.say(What::State { task: task.clone(), state });
            break;
        }
    }
    Ok(())
}

/// Waits until nothing is left of those who are gone, and says what stays.
async fn swept(site: &Site, history: &History) -> Result<(), ChaosError> {
    let deadline = Instant::now() + SWEPT_WITHIN;
    loop {
        let left = leftovers(site).await?;
        if left.is_empty() || Instant::now() > deadline {
            for (key, why) in left {
                history.say(What::Key { key, why });
            }
            return Ok(());
        }
        sleep(LOOK_AGAIN).await;
    }
}

async fn leftovers(site: &Site) -> Result<Vec<(String, String)>, ChaosError> {
    let alive = alive(site).await?;
    let redis = site.redis.lock().await;
    let mut left = Vec::new();
    for key in redis.keys(keys::CONNECTIONS_PREFIX).await? {
        left.push((key, "though every client has left".to_owned()));
    }
    for prefix in [keys::HELD_PREFIX, keys::HEALTH_PREFIX] {
        for key in redis.keys(prefix).await? {
            if key.strip_prefix(prefix).is_some_and(|pod| !alive.contains(pod)) {
                left.push((key, "though its pod is gone".to_owned()));
            }
        }
    }
    Ok(left)
}

/// Asks everybody to end, who must do so in order; first those whom others call.
async fn stop(site: &Site) -> Result<(), ChaosError> {
    let pods = site.pods.iter().map(|pod| &pod.process);
    for process in [&site.gateway].into_iter().chain(&site.proxies).chain(pods) {
        let mut process = process.lock().await;
        process.signal(Signal::TERM)?;
        process.ended().await?;
    }
    site.redis.lock().await.kill().await
}

async fn judge_logs(site: &Site, history: &History) -> Result<(), ChaosError> {
    let pods = site.pods.iter().map(|pod| &pod.process);
    for process in [&site.gateway].into_iter().chain(&site.proxies).chain(pods) {
        let process = process.lock().await;
        let log = process.read_log()?;
        let name = || process.name().to_owned();
        for text in log.bad {
            history.say(What::Line { process: name(), text });
        }
        for pod in log.buried {
            history.say(What::BuriedAlive { process: name(), pod });
        }
        for token in log.led {
            history.say(What::Led { process: name(), token });
        }
    }
    Ok(())
}
