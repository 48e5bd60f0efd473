//! The operator dies at every single call, before it is done and after.

use super::{
    outcome::Outcome,
    scripts::scripts,
    wire::{Fate, Wire},
};
use crate::size;

/// `FUNDBOND_CRASH_STRIDE=1` goes over every call; usually it is every eleventh, each time with another first one.
#[tokio::test(start_paused = true)]
async fn a_death_at_any_call_changes_nothing_in_the_end() {
    let stride = usize::try_from(size("FUNDBOND_CRASH_STRIDE", 11)).unwrap();
    let mut plans = 0;
    for (number, script) in scripts().into_iter().enumerate() {
        let calm = Outcome::of(&script, Wire::default(), 1).await;
        // The first is short, and all others begin with it.
        let stride = if number == 0 { 1 } else { stride };
        let mut most = 0;
        for request in (number % stride..calm.requests).step_by(stride) {
            for fate in [Fate::DiesBefore, Fate::DiesAfter] {
                let wire = Wire::with([(request, fate)]);
                let end = Outcome::of(&script, wire.clone(), 1).await;
                assert_eq!(end.differences(&calm), [""; 0], "{}: {fate:?} at request {request}", script.0);
                assert_eq!(wire.unmet(), 0, "{}: {fate:?} at request {request} never came", script.0);
                most = most.max(end.writes);
                plans += 1;
            }
        }
        println!(
            "{}: {} requests and {} writes in calm, at most {most} writes with a death",
            script.0, calm.requests, calm.writes
        );
    }
    println!("{plans} plans");
}
