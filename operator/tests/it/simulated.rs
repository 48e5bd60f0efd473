//! Against a simulated API server, under a clock that nobody waits for: crashes at every call, faults of every kind.

mod calm;
mod crashes;
mod faults;
mod foreign;
mod gateways;
mod many;
mod orphans;
mod outcome;
mod reports;
mod scripts;
mod theirs;
mod watches;
mod wire;
mod world;
