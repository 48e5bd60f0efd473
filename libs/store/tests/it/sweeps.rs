//! Housekeeping under random interleavings: pods that start, die, restart under the same readable name, pause and speak
//! again; clients that come and go; two leaders that sleep between any two orders and go by what they saw long ago; a
//! store that loses tombstones, fences, health, or everything. No living pod may lose a registration that it could hold
//! on to, and in the end everything of the dead is gone.
//!
//! There is no breaker and no plan here: these leaders are as rash as can be, and what protects the living is the store
//! alone.
//!
//! A failure names its seed. `FUNDBOND_SEED=<seed> FUNDBOND_SWEEPS=1` plays it alone, as it was.

mod ground;
mod leader;
mod process;
mod world;

use std::{sync::Arc, time::Instant};

use self::{
    ground::Ground,
    world::{Seen, World},
};
use crate::{interleavings::setting, redis::Server};

/// Six seconds in a debug build.
const SWEEPS: u64 = 3_000;

/// Fewer, for each step goes round through a server.
const ON_REDIS: u64 = 40;

/// Seeds between two words on how far a run is.
const PROGRESS: u64 = 10_000;

async fn play(usually: u64, ground: impl AsyncFn() -> Ground) {
    let (first, count) = (setting("FUNDBOND_SEED", 0), setting("FUNDBOND_SWEEPS", usually));
    let began = Instant::now();
    let mut seen = Seen::default();
    for seed in first..first + count {
        let mut world = World::new(seed, ground().await);
        world.play().await;
        world.settle().await;
        assert!(world.violations.is_empty(), "seed {seed}: {:#?} after {:?}", world.violations, world.seen);
        seen.add(&world.seen);
        let played = seed - first + 1;
        if played.is_multiple_of(PROGRESS) && played < count {
            println!("{played} of {count} interleavings, {} s", began.elapsed().as_secs());
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{count} interleavings from seed {first}, no living registration deleted, in {seconds:.1} s: {seen:?}"
    );
    if count >= SWEEPS {
        seen.assert_everything_happened();
    }
}

#[tokio::test(start_paused = true)]
async fn no_living_registration_is_swept_whatever_happens() {
    play(SWEEPS, async || Ground::memory()).await;
}

#[tokio::test]
async fn no_living_registration_is_swept_from_a_redis_whatever_happens() {
    let server = Arc::new(Server::start());
    server.ready().await;
    play(ON_REDIS, async || Ground::redis(&server).await).await;
}
