//! The rules together, under random interleavings: a few pods, clients that lose their streams, tasks that
//! start before or after somebody listens, lost messages, pods that pause, crash and are buried, and a store
//! that restarts with and without its data. Whatever happens, a client must see each event once, in order,
//! or be told that history is gone; and in the end it must know how each of its tasks ended.
//!
//! Flow: a seed makes a [`World`](world::World); random actions happen; then the faults stop, everything
//! settles, and what the clients saw is checked.
//!
//! A failure names its seed. `FUNDBOND_SEED=<seed> FUNDBOND_INTERLEAVINGS=1` plays it alone, as it was:
//! nothing else is random.

mod actions;
mod check;
mod pod;
mod world;

use std::env;

use self::world::World;

/// Two seconds in a debug build. The broken rules that this test can tell fall within the first 550 seeds.
const INTERLEAVINGS: u64 = 2_000;

fn setting(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")),
        Err(_) => default,
    }
}

#[tokio::test(start_paused = true)]
async fn clients_see_every_event_once_and_in_order_or_a_reset_whatever_happens() {
    let first = setting("FUNDBOND_SEED", 0);
    let count = setting("FUNDBOND_INTERLEAVINGS", INTERLEAVINGS);
    let mut seen = world::Seen::default();
    for seed in first..first + count {
        let mut world = World::new(seed);
        world.play().await;
        world.settle();
        world.check();
        seen.add(&world.seen);
        assert!(world.violations.is_empty(), "seed {seed}: {:#?}", world.violations);
    }
    println!("{count} interleavings from seed {first}: {seen:?}");
    if count >= INTERLEAVINGS {
        seen.assert_everything_happened();
    }
}
