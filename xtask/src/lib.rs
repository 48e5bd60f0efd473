//! Every chore of the repository, in Rust: `cargo xtask <chore>`.
//!
//! The flow is always the same. [`process`] is the only way to another program, [`cache`] keeps what a chore had to
//! fetch or build so that the next run finds it, [`tools`], [`readers`] and [`kubernetes`] say what must be there, and one
//! module a chore ([`up`], [`lint`], [`test`], [`bench`], [`chaos`], [`fuzz`], [`seeded_bugs`], [`images`], [`compose`],
//! [`cluster`], [`e2e`]) strings these together. [`tidy`] holds the repository's own rules: pure functions over file texts and
//! dependency facts, run by `lint` and by this crate's tests.
//!
//! What it never does: depend on a service crate (it must build in seconds, also when those do not build), write
//! into the checkout (the cache is elsewhere, golden files change only under `UPDATE=1`), or skip a check because
//! a tool is missing: that is an error that names the fix.

pub mod bench;
pub mod cache;
pub mod chaos;
pub mod cluster;
pub mod compose;
pub mod docker;
pub mod e2e;
pub mod fuzz;
pub mod images;
pub mod kubernetes;
pub mod lint;
pub mod mutants;
pub mod process;
pub mod readers;
pub mod reference;
pub mod say;
pub mod seeded_bugs;
pub mod test;
pub mod tidy;
pub mod tools;
pub mod up;
