//! What one pick costs, by strategy and number of endpoints: all ready, half of them busy.
//!
//! Keys are hashed anew for each pick, as they are for each request.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use fundbond_routing::{KeyHash, LeastStreams, LoadBound, Rendezvous, RoundRobin, ShardTable};

/// As many as a small cluster has, as a large one has, and beyond what one has.
const COUNTS: [usize; 3] = [3, 30, 300];

const KEYS: usize = 1024;

/// So many groups a FundCluster may have.
const GROUPS: u64 = 64;

fn picks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pick");
    let keys: Vec<String> = (0..KEYS).map(|key| format!("user-{key}")).collect();
    for count in COUNTS {
        let names: Vec<String> =
            (0..count).map(|number| format!("pod-cluster1-pods-{number:05}-9090")).collect();
        let rendezvous = Rendezvous::new(names.iter().map(String::as_str));
        let loads: Vec<usize> = (0..count).map(|number| number % 2 * 10).collect();
        // From memory that decisions read as well, so that nothing is folded away.
        let ready = vec![true; count];
        let usable = |endpoint: usize| black_box(&ready)[endpoint];
        let load = |endpoint: usize| black_box(&loads)[endpoint];
        let mut keys = keys.iter().cycle().map(|key| KeyHash::of(black_box(key.as_bytes())));
        let mut key = || keys.next().unwrap_or_else(|| KeyHash::of(b""));

        let mut turn = RoundRobin::default();
        group.bench_function(BenchmarkId::new("RoundRobin", count), |b| b.iter(|| turn.pick(count, usable)));
        let mut drawn = 0_usize;
        group.bench_function(BenchmarkId::new("LeastStreams", count), |b| {
            b.iter(|| {
                let draw = |below: usize| {
                    drawn = drawn.wrapping_add(7);
                    drawn % below
                };
                LeastStreams.pick(count, usable, load, draw)
            });
        });
        group.bench_function(BenchmarkId::new("ClientIP", count), |b| {
            b.iter(|| rendezvous.pick(key(), usable));
        });
        let bound = LoadBound::default();
        group.bench_function(BenchmarkId::new("ConsistentHash", count), |b| {
            b.iter(|| rendezvous.pick_bounded(key(), bound, usable, load));
        });
    }
    group.finish();
}

fn shards(criterion: &mut Criterion) {
    let ranges = (0..GROUPS).map(|group| (group * 1000, group * 1000 + 999));
    let Ok(table) = ShardTable::ranges(ranges) else { unreachable!("sorted and apart") };
    let mut group = criterion.benchmark_group("group_of");
    for user in ["31415", "user-31415"] {
        group.bench_function(user, |b| b.iter(|| table.group_of(black_box(user.as_bytes()))));
    }
    group.finish();
}

criterion_group!(benches, picks, shards);
criterion_main!(benches);
