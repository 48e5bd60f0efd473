//! The rules together, under random interleavings: a few pods, clients that lose their streams, tasks that
//! start before or after somebody listens, events of others, lost messages, pods that pause, crash and are buried, and a store
//! that restarts with and without its data. Whatever happens, a client must see each event once, in order,
//! or be told that history is gone; and in the end it must know how each of its tasks ended.
//!
//! Flow: a seed makes a [`World`](world::World); random actions happen; then the faults stop, everything
//! settles, and what the clients saw is checked.
//!
//! A failure names its seed. `FUNDBOND_SEED=<seed> FUNDBOND_INTERLEAVINGS=1` plays it alone, as it was:
//! nothing else is random. With `--nocapture` a long run says how far it is, and in the end what happened.

mod actions;
mod check;
mod foreign;
mod pod;
mod queue;
mod stage;
mod world;

use std::{collections::BTreeMap, env, sync::Arc, time::Instant};

use self::{
    stage::{Bounds, Stage},
    world::World,
};
use crate::redis::Server;

/// Two seconds in a debug build. The naive rules of the store that chance can tell fall within the first 1,600 seeds.
const INTERLEAVINGS: u64 = 2_000;

pub(crate) fn setting(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")),
        Err(_) => default,
    }
}

/// Fewer, for each step goes round through a server: a tenth of a second each.
const ON_REDIS: u64 = 60;

/// Seeds between two words on how far a run is: a minute or two on a Redis.
const PROGRESS: u64 = 500;

/// Plays the seeds, and says what happened in them.
fn play(usually: u64, mut on: impl FnMut(Bounds) -> Stage) {
    let first = setting("FUNDBOND_SEED", 0);
    let count = setting("FUNDBOND_INTERLEAVINGS", usually);
    let began = Instant::now();
    let mut seen = world::Seen::default();
    for seed in first..first + count {
        let mut world = World::new(seed, &mut on);
        world.play();
        world.settle();
        world.check();
        seen.add(&world.seen);
        assert!(world.violations.is_empty(), "seed {seed}: {:#?}", world.violations);
        let played = seed - first + 1;
        if played.is_multiple_of(PROGRESS) && played < count {
            println!("{played} of {count} interleavings, {} s", began.elapsed().as_secs());
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{count} interleavings from seed {first}, all well, in {seconds:.1} s: {seen:?}");
    if count >= INTERLEAVINGS {
        seen.assert_everything_happened();
    }
}

#[tokio::test(start_paused = true)]
async fn clients_see_every_event_once_and_in_order_or_a_reset_whatever_happens() {
    play(INTERLEAVINGS, Stage::memory);
}

#[test]
fn clients_of_a_redis_see_every_event_once_and_in_order_or_a_reset_whatever_happens() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = Arc::new(Server::start());
    runtime.block_on(server.ready());
    play(ON_REDIS, |bounds| Stage::redis(&server, runtime.handle(), bounds));
}

/// Plays the seeds of the queue's world.
fn play_queue(usually: u64, mut on: impl FnMut(Bounds) -> Stage) -> BTreeMap<&'static str, u64> {
    let first = setting("FUNDBOND_SEED", 0);
    let count = setting("FUNDBOND_INTERLEAVINGS", usually);
    let mut seen = BTreeMap::new();
    for seed in first..first + count {
        let mut world = queue::World::new(seed, &mut on);
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.play()));
        assert!(played.is_ok(), "seed {seed}, as said above");
        for (what, times) in &world.seen {
            *seen.entry(*what).or_default() += times;
        }
    }
    println!("{count} interleavings of the queue from seed {first}, all well: {seen:?}");
    seen
}

#[tokio::test(start_paused = true)]
async fn accepted_tasks_say_each_step_once_and_end_once_whatever_happens() {
    let seen = play_queue(INTERLEAVINGS, Stage::memory);
    if seen["claimed"] > INTERLEAVINGS {
        assert_eq!(seen.len(), 12, "everything happened: {seen:?}");
    }
}

#[test]
fn accepted_tasks_of_a_redis_say_each_step_once_and_end_once_whatever_happens() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = Arc::new(Server::start());
    runtime.block_on(server.ready());
    play_queue(ON_REDIS, |bounds| Stage::redis(&server, runtime.handle(), bounds));
}
