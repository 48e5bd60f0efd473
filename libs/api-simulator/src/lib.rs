//! An API server of Kubernetes inside the process, for tests of programs that live by one.
//!
//! ```
//! use fundbond_api_simulator::Simulator;
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use kube::{Api, api::{Patch, PatchParams}};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), kube::Error> {
//! let simulator = Simulator::new(7);
//! let maps: Api<ConfigMap> = Api::namespaced(simulator.client("operator"), "funds");
//! let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "1"}});
//! maps.patch("one", &PatchParams::apply("operator"), &Patch::Apply(&map)).await?;
//!
//! let user = simulator.hand("kubectl");
//! user.merge::<ConfigMap>("funds", "one", &json!({"data": {"b": "2"}})).unwrap();
//! assert_eq!(user.get::<ConfigMap>("funds", "one").unwrap().data.unwrap().len(), 2);
//! assert_eq!(simulator.trace().iter().filter(|entry| entry.changed).count(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! Flow: a request is understood ([`call`]) -> written down ([`trace`]) -> done under one lock ([`verbs`], with [`apply`]
//! for who owns what and [`store`] for what is kept) -> what follows by itself is planned ([`background`]) -> watches are
//! woken ([`watching`]). Time is tokio's, so under a paused clock a run takes no time and always comes out the same; all
//! that looks like chance comes from a seed.
//!
//! A test makes the same requests to this and to a real server, and finds no difference; what it leaves out, and why, stands
//! there. Known to differ: events of the core and of `events.k8s.io` are apart, quantities stay as they were written, unknown
//! fields are found in objects of this product alone, and of the rules of Kubernetes only those are here that a program meets.
//!
//! Nothing here opens a socket (but `listen`, for another process) or starts a thread. Pods, nodes, namespaces, admission and authorization do not exist.

mod apply;
mod background;
mod call;
mod clock;
mod defaults;
mod failure;
mod faults;
mod fields;
mod garbage;
mod hand;
#[cfg(feature = "listen")]
mod listen;
mod object;
mod resources;
mod rollout;
mod select;
mod shape;
mod simulator;
mod state;
mod store;
mod trace;
mod verbs;
mod watching;

pub use background::Settings;
pub use call::Verb;
pub use failure::Failure;
pub use faults::{Delivery, Event, Fault, Plan};
pub use hand::{Hand, Kind};
#[cfg(feature = "listen")]
pub use listen::Listening;
pub use simulator::{ApiService, Body, Broken, Simulator};
pub use trace::{Entry, Outcome, Right, rights};
