//! The simulator for another process: over a socket, in real time.

use fundbond_api_simulator::{Entry, Fault, Simulator};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Client, Config,
    api::{PostParams, WatchEvent, WatchParams},
};
use serde_json::json;

use crate::support::{NAMESPACE, map, maps};

/// A client over the socket, which asks once.
fn over(url: &str) -> Client {
    let mut config = Config::new(url.parse().unwrap());
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

#[tokio::test]
async fn a_client_over_a_socket_writes_reads_and_watches() {
    let simulator = Simulator::new(7);
    let listening = simulator.listen("elsewhere").await.unwrap();
    let client = over(&listening.url());
    let from = simulator.revision().to_string();
    let made = maps(&client).create(&PostParams::default(), &map("one", &json!({"a": "1"}))).await.unwrap();
    assert_eq!(simulator.hand("user").get::<ConfigMap>(NAMESPACE, "one").unwrap(), made);
    let mut events = maps(&client).watch(&WatchParams::default(), &from).await.unwrap().boxed();
    assert!(matches!(events.next().await.unwrap().unwrap(), WatchEvent::Added(_)));
    simulator.hand("user").delete::<ConfigMap>(NAMESPACE, "one").unwrap();
    assert!(matches!(events.next().await.unwrap().unwrap(), WatchEvent::Deleted(_)));
    assert!(simulator.trace().iter().all(|entry| &*entry.identity == "elsewhere"));
}

#[tokio::test]
async fn a_broken_connection_is_broken_over_a_socket_too() {
    let simulator = Simulator::new(7);
    let listening = simulator.listen("elsewhere").await.unwrap();
    let client = over(&listening.url());
    simulator.plan(|_: &Entry| Some(Fault::DropAfter));
    let broken = maps(&client).create(&PostParams::default(), &map("one", &json!({}))).await.unwrap_err();
    assert!(!matches!(broken, kube::Error::Api(_)), "{broken}");
    assert_eq!(simulator.objects().len(), 1);
    simulator.plan_nothing();
    drop(listening);
    tokio::task::yield_now().await;
    assert!(maps(&client).get("one").await.is_err(), "nobody listens any more");
}
