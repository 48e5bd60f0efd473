//! A client: submits its tasks until they are answered, and has its pages read its stream.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fundbond_protocol::api::{FUND_API_PATH, TASKS_PATH};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    error::ChaosError,
    fact::{Page, What},
    history::History,
    http::Http,
    page::{self, Script},
    plan::{Desk, Habit, Job, Work},
    post,
};

/// Before a submission is repeated: as long as a person waits before pressing again.
const SUBMIT_AGAIN: Duration = Duration::from_millis(700);

/// What all clients share.
#[derive(Clone, Debug)]
pub struct Office {
    /// The way to the gateway.
    pub http: Http,
    /// Where facts go.
    pub history: Arc<History>,
    /// When nobody is slow any more: what was promised must be read to be seen.
    pub calm: Instant,
    /// The run is over: whoever still waits leaves.
    pub over: CancellationToken,
}

/// Plays a client's script to its end, or to the end of the run.
///
/// # Errors
/// Where a request cannot be made, or a part of it panicked.
pub async fn play(office: Office, desk: Desk) -> Result<(), ChaosError> {
    sleep_until(office.history.begun() + desk.at).await;
    let (mut pages, mut parts) = (JoinSet::new(), JoinSet::<Result<(), ChaosError>>::new());
    let mut page = |number, after| {
        let page = Page { connection: desk.connection.clone(), number };
        let url = page::url(&desk);
        let last_note = desk.notes.map(|notes| notes.count.saturating_sub(1));
        let script = Script { after, habit: desk.habit, last_note };
        pages.spawn(page::read(office.clone(), page, url, script));
    };
    page(0, Duration::ZERO);
    if let Habit::Twice { after } = desk.habit {
        page(1, after);
    }
    let left = CancellationToken::new();
    if let Some(notes) = desk.notes {
        parts.spawn(post::notes(office.clone(), desk.connection.clone(), notes, left.clone()));
    }
    for job in desk.jobs {
        let connection = matches!(desk.habit, Habit::Watches).then(|| desk.connection.to_string());
        parts.spawn(submit(office.clone(), job, connection));
    }
    for mut set in [pages, parts] {
        while let Some(part) = set.join_next().await {
            part??;
        }
        left.cancel();
    }
    Ok(())
}

async fn submit(office: Office, job: Job, connection: Option<String>) -> Result<(), ChaosError> {
    let told = async {
        sleep(job.after).await;
        let body = body(&job, connection);
        loop {
            office.history.say(What::Submits { task: job.task.clone() });
            match office.http.whole(office.http.post(FUND_API_PATH, body.clone())?).await {
                Ok((status, _)) => {
                    let status = status.as_u16();
                    office.history.say(What::Answered { task: job.task.clone(), status });
                    // Whatever is no "not now" stays as it is; the rules say whether it is right.
                    if status < 500 && status != 429 {
                        break;
                    }
                }
                Err(why) => office.history.say(What::Unheard { task: job.task.clone(), why }),
            }
            sleep(SUBMIT_AGAIN).await;
        }
        if let Some(after) = job.cancel {
            sleep(after).await;
            let path = format!("{TASKS_PATH}/{}/cancel", job.task);
            let answer = office.http.whole(office.http.post(&path, Bytes::new())?).await;
            let status = answer.ok().map(|(status, _)| status.as_u16());
            office.history.say(What::Cancelled { task: job.task.clone(), status });
        }
        Ok(())
    };
    // What was not accepted by the end of the run is in the facts.
    office.over.run_until_cancelled(told).await.unwrap_or(Ok(()))
}

fn body(job: &Job, connection: Option<String>) -> Bytes {
    let mut body = match job.work {
        Work::Steps { count, delay } => {
            json!({"kind": "steps", "count": count, "delayMs": delay.as_millis()})
        }
        Work::Portfolio { holdings } => fund(holdings),
    };
    body["correlationId"] = job.task.as_str().into();
    if let Some(connection) = connection {
        body["connectionId"] = connection.into();
    }
    body.to_string().into()
}

/// A fund of plain bonds that differ in their coupons.
fn fund(holdings: u32) -> Value {
    let holding = |number: u32| {
        json!({
            "instrument": {
                "id": format!("NOTE-{number}"), "type": "fixed", "datedDate": "2025-05-15",
                "maturityDate": "2035-05-15", "couponRate": 0.01 + f64::from(number % 50) / 1000.0,
                "frequency": 2, "dayCount": "ACT/ACT ICMA", "compounding": "simple_then_compounded",
            },
            "face": 1_000_000, "quote": {"cleanPrice": 99.5},
        })
    };
    let holdings: Vec<_> = (0..holdings).map(holding).collect();
    json!({"valuationDate": "2026-06-15", "settlementDays": 2, "unitsOutstanding": 1_000_000, "holdings": holdings})
}
