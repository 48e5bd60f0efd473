//! The system on a real Kubernetes. `cargo xtask e2e` brings up what these tests need and runs them.

mod autoscaler;
mod deletion;
mod first_cluster;
mod outages;
mod pods;
mod release;
mod rights;
mod rollout;
mod routing;
mod scale;
mod strategies;
