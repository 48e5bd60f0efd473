//! A real Kubernetes API server for tests: etcd and kube-apiserver on loopback, as one test binary's own.
//!
//! Flow: [`shared`] (or [`ApiServer::start`], for a test that stops or freezes it) makes a directory that is thrown away,
//! keys ([`certificates`]) and free ports ([`port`]), starts both [`program`]s under a [`keeper`] and waits until the server
//! is ready. A test then asks for a [`User`] with the rights it wants, takes a namespace of its own, and installs the
//! definitions of `crds/` if it needs them. What the server was asked to do, by whom, is told by [`Audit`].
//!
//! The programs are found in the directory that `KUBEBUILDER_ASSETS` names; `cargo xtask test` gets them and sets it.
//! Without it there is no test: this panics, as it does wherever the server cannot be had. It never skips.
//!
//! No controller runs: owners that are deleted leave their children, Deployments get no pods, and a deleted namespace stays
//! in `Terminating`. Tests do not clean up; nothing outlives the test binary, however that ends.

mod answer;
mod audit;
mod certificates;
mod definitions;
mod keeper;
mod port;
mod program;
mod server;
mod user;

pub use answer::{Answer, ask};
pub use audit::{Audit, Entry, Rule, Stage};
pub use kube::Client;
pub use server::{ApiServer, Options, shared};
pub use user::User;

/// Names the directory with `etcd` and `kube-apiserver`.
pub const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// A test cannot go on without what could not be had, and says why with every cause.
#[track_caller]
fn must<T>(result: anyhow::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error:#}"),
    }
}
