//! Watching without taking over: a task has one stream, and its other watchers ask for its state.

use fundbond_protocol::TaskId;
use tokio::time::{Instant, sleep};

use super::{End, POLL_EVERY, View};
use crate::{
    client::{Client, ClientError},
    error::Error,
    render::Renderer,
    stream::{Backoff, Policy, Verdict},
    watch::Change,
};

/// Asks for the tasks of `view` until all are final or `stop` completes.
pub async fn poll(
    client: &Client,
    view: &mut View,
    renderer: &mut Renderer,
    policy: Policy,
    stop: impl Future<Output = ()>,
) -> Result<End, Error> {
    tokio::select! {
        biased;
        () = stop => Ok(End::Stopped),
        polled = poll_all(client, view, renderer, policy) => polled.map(|()| End::Done),
    }
}

async fn poll_all(
    client: &Client,
    view: &mut View,
    renderer: &mut Renderer,
    policy: Policy,
) -> Result<(), Error> {
    let mut backoff = Backoff::new(policy);
    // A task that nobody knows is a mistake of the caller; only a server that was reached may be lost.
    let mut reached = false;
    while !view.is_done() {
        let mut pause = POLL_EVERY;
        for task in view.unfinished() {
            match client.task(&task).await {
                Ok(state) => {
                    reached = true;
                    backoff = Backoff::new(policy);
                    for change in view.apply_state(state) {
                        renderer.change(view, &change)?;
                    }
                }
                Err(error) if reached && error.is_temporary() => {
                    pause = retry_pause(&mut backoff, &policy, &task, error, view, renderer)?;
                    break;
                }
                Err(error) => return Err(Error::task("look up", &task, error)),
            }
        }
        if !view.is_done() {
            sleep(pause).await;
        }
    }
    Ok(())
}

fn retry_pause(
    backoff: &mut Backoff,
    policy: &Policy,
    task: &TaskId,
    error: ClientError,
    view: &View,
    renderer: &mut Renderer,
) -> Result<std::time::Duration, Error> {
    if let Some(wish) = error.retry_after() {
        backoff.wish(wish);
    }
    match backoff.lost(Instant::now(), rand::random_range(-1.0..=1.0)) {
        Verdict::Retry { try_number, after } => {
            let why = error.to_string();
            renderer.change(view, &Change::Lost { try_number, tries: policy.tries, after, why })?;
            Ok(after)
        }
        Verdict::GiveUp => Err(Error::task("look up", task, error)),
    }
}
