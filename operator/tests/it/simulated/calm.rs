//! Where nothing goes wrong.

use std::time::Duration;

use tokio::time::sleep;

use super::{scripts::scripts, wire::Wire, world::World};

#[tokio::test(start_paused = true)]
async fn every_script_comes_to_an_end_and_then_nothing_is_written() {
    for (name, deeds) in scripts() {
        let world = World::new(1, Wire::default(), 1);
        let mut took = Vec::new();
        for deed in &deeds {
            deed.be_done(&world.user);
            took.push(world.settle().await);
        }
        let writes = world.writes();
        let requests = world.wire.requests();
        sleep(Duration::from_mins(1)).await;
        assert_eq!((world.writes(), world.wire.requests()), (writes, requests), "{name}: a quiet minute");
        println!("{name}: {writes} writes, {requests} requests, {took:?}");
    }
}
