//! What a gateway does with what it is told and not told. Time is paused.

use arc_swap::ArcSwap;
use fundbond_api_simulator::{Delivery, Entry, Event, Fault, Hand, Plan, Simulator, Verb};
use fundbond_crds::GatewayRoute;
use fundbond_service_runtime::metrics::Catalogue;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::json;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::{
    config::{Config, RouteSource},
    live::Live,
    metrics::Metrics,
    record::Ledger,
};

const ROUTES_OF: &str = "gatewayroutes";

/// A gateway without sockets.
struct Rig {
    gateway: Arc<Gateway>,
    health: Health,
    begun: Instant,
    _watching: AbortOnDropHandle<()>,
}

impl Rig {
    /// One that follows these namespaces (all, where there is none), and knew before what `saved` says.
    fn new(simulator: &Simulator, namespaces: &[&str], saved: Option<book::Saved>) -> Self {
        let routes = KubernetesRoutes {
            client: Some(simulator.client("gateway")),
            namespaces: namespaces.iter().map(|&name| name.to_owned()).collect(),
            name: None,
            snapshot: None,
        };
        let restored = saved.is_some();
        let mut book = Book::new(Role::Gateway);
        if let Some(saved) = saved {
            book.load(saved);
        }
        let table = book.table().map_or_else(RouteTable::default, |(table, _)| table);
        let client = simulator.client("gateway");
        let config = Config::new(Role::Gateway, RouteSource::Kubernetes(routes.clone()));
        let source = KubernetesSource { routes, client, role: Role::Gateway, book, restored };
        let live = Arc::new(ArcSwap::from_pointee(Live::new(table, None, &config)));
        let ledger = Arc::new(Ledger::new(Metrics::new(&mut Catalogue::default()), false));
        let gateway = Arc::new(Gateway::new(config, live, ledger));
        let health = Health::waiting_for(&[ROUTES]);
        health.started();
        let watching = tokio::spawn(source.watch(gateway.clone(), health.clone()));
        Self { gateway, health, begun: Instant::now(), _watching: AbortOnDropHandle::new(watching) }
    }

    /// Each route with how many endpoints it has.
    fn routes(&self) -> Vec<(String, usize)> {
        let live = self.gateway.live.load();
        let routes = live.table.routes().iter();
        let mut routes: Vec<_> =
            routes.map(|route| (route.name.to_string(), route.endpoints.len())).collect();
        routes.sort_unstable();
        routes
    }

    async fn serves(&self, routes: &[&str]) {
        let routes: Vec<_> = routes.iter().map(|&name| (name.to_owned(), 1)).collect();
        self.until(&format!("{routes:?}"), || self.routes() == routes).await;
    }

    async fn is_ready(&self, detail: &str) {
        let is_said = || self.health.is_ready() && self.health.describe().contains(detail);
        self.until(detail, is_said).await;
    }

    async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            let said = self.health.describe();
            assert!(begun.elapsed() < Duration::from_hours(1), "{what}: {:?} {said}", self.routes());
            // sleep-ok: time is paused.
            sleep(Duration::from_millis(100)).await;
        }
    }
}

fn route(namespace: &str, name: &str) -> GatewayRoute {
    let object = json!({
        "apiVersion": "fundbond.dev/v1alpha1", "kind": "GatewayRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "generation": 1, "match": {"value": name},
            "proxy": {"name": format!("{name}-proxy"), "port": 8080},
            "pods": [{"service": {"name": format!("{name}-pods"), "port": 9090}}],
        },
    });
    serde_json::from_value(object).unwrap()
}

fn slice(namespace: &str, name: &str) -> EndpointSlice {
    let object = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{name}-proxy-1"), "namespace": namespace, "labels": {
            "kubernetes.io/service-name": format!("{name}-proxy"),
            "app.kubernetes.io/part-of": "fundbond", "app.kubernetes.io/component": "proxy",
        }},
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}],
    });
    serde_json::from_value(object).unwrap()
}

fn serve(user: &Hand, namespace: &str, name: &str) {
    user.create(&route(namespace, name)).unwrap();
    user.create(&slice(namespace, name)).unwrap();
}

/// What a gateway kept that had heard of these.
fn saved(all: &[(&str, &str)]) -> book::Saved {
    let mut book = Book::new(Role::Gateway);
    for (namespace, name) in all {
        let slice = slice(namespace, name);
        book.route(book::Source::default(), book::Asked::of(route(namespace, name)));
        book.slice(book::Source::default(), book::Key::of(&slice), slices::Slice::of(&slice).unwrap());
    }
    book.table().unwrap();
    book.save()
}

/// Somebody took the right to `namespace` away.
fn refused(namespace: &'static str) -> impl Plan {
    move |request: &Entry| (&*request.namespace == namespace).then_some(Fault::Refuse(403))
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_refused_for_ever_stops_no_gateway() {
    let simulator = Simulator::new(1);
    let user = simulator.hand("operator");
    serve(&user, "funds", "desk");
    serve(&user, "gone", "mine");
    simulator.plan(refused("gone"));
    let rig = Rig::new(&simulator, &["funds", "gone"], None);
    rig.is_ready("without those of gone: their lists are refused").await;
    let waited = rig.begun.elapsed();
    assert!((progress::GIVE_UP..progress::GIVE_UP * 2).contains(&waited), "{waited:?}");
    rig.serves(&["desk"]).await;
    serve(&user, "funds", "late");
    rig.serves(&["desk", "late"]).await;
    // The right is back.
    simulator.plan_nothing();
    rig.is_ready("the API server has told all of them").await;
    rig.serves(&["desk", "late", "mine"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_known_of_a_refused_namespace_goes_on_and_the_others_change() {
    let simulator = Simulator::new(1);
    let user = simulator.hand("operator");
    serve(&user, "funds", "desk");
    simulator.plan(refused("gone"));
    let before = saved(&[("funds", "old"), ("gone", "mine")]);
    let rig = Rig::new(&simulator, &["funds", "gone"], Some(before));
    assert_eq!(rig.routes().len(), 2);
    rig.serves(&["desk", "mine"]).await;
    rig.is_ready("those of gone as they were known before: their lists do not come").await;
    assert!(rig.begun.elapsed() < PATIENCE * 2, "{:?}", rig.begun.elapsed());
    simulator.plan_nothing();
    rig.serves(&["desk"]).await;
    rig.is_ready("the API server has told all of them").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_everything_is_waited_for() {
    let simulator = Simulator::new(1);
    serve(&simulator.hand("operator"), "funds", "desk");
    simulator.plan(|_: &Entry| Some(Fault::Refuse(403)));
    let rig = Rig::new(&simulator, &["funds"], None);
    sleep(Duration::from_mins(10)).await;
    assert!(!rig.health.is_ready());
    simulator.plan_nothing();
    rig.serves(&["desk"]).await;
    rig.is_ready("the API server has told all of them").await;
}

/// Nobody is told of deletions.
struct Forgetful;

impl Plan for Forgetful {
    fn request(&mut self, _: &Entry) -> Option<Fault> {
        None
    }

    fn event(&mut self, event: &Event<'_>) -> Delivery {
        if event.word == "DELETED" { Delivery::Never } else { Delivery::Now }
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_got_lost_is_made_up_for_by_the_next_list() {
    let simulator = Simulator::new(1);
    let user = simulator.hand("operator");
    serve(&user, "funds", "desk");
    serve(&user, "funds", "other");
    simulator.plan(Forgetful);
    let rig = Rig::new(&simulator, &[], None);
    rig.serves(&["desk", "other"]).await;
    user.delete::<GatewayRoute>("funds", "other").unwrap();
    sleep(Duration::from_mins(1)).await;
    assert_eq!(rig.routes().len(), 2, "nobody told");
    rig.serves(&["desk"]).await;
    let listed = rig.begun.elapsed();
    assert!(listed > watch::ANEW && listed < watch::ANEW.mul_f64(1.6), "{listed:?}");
}

#[tokio::test(start_paused = true)]
async fn lists_that_say_the_same_change_nothing() {
    let simulator = Simulator::new(1);
    let user = simulator.hand("operator");
    serve(&user, "funds", "desk");
    serve(&user, "funds", "other");
    let rig = Rig::new(&simulator, &[], None);
    rig.serves(&["desk", "other"]).await;
    let before = rig.gateway.live.load_full();
    // Lists that fail in between take nothing away either.
    let mut number = 0;
    simulator.plan(move |request: &Entry| {
        number += usize::from(request.verb == Verb::List);
        (request.verb == Verb::List && number % 2 == 1).then_some(Fault::Drop)
    });
    sleep(Duration::from_hours(2)).await;
    let lists = simulator.trace().iter().filter(|entry| entry.verb == Verb::List).count();
    assert!(lists > 2 * (120 / 15), "{lists}");
    assert!(Arc::ptr_eq(&before, &rig.gateway.live.load_full()), "{:?}", rig.routes());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_forgotten_where_a_watch_was_is_asked_for_a_list() {
    let simulator = Simulator::new(1);
    let user = simulator.hand("operator");
    serve(&user, "funds", "desk");
    let mut lists = 0;
    simulator.plan(move |request: &Entry| {
        let of_routes = request.resource == ROUTES_OF;
        lists += u32::from(of_routes && request.verb == Verb::List);
        (of_routes && request.verb == Verb::Watch && lists < 2).then_some(Fault::Refuse(410))
    });
    let rig = Rig::new(&simulator, &[], None);
    rig.serves(&["desk"]).await;
    serve(&user, "funds", "late");
    rig.serves(&["desk", "late"]).await;
    assert!(rig.begun.elapsed() < Duration::from_secs(10), "{:?}", rig.begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_never_answered_is_asked_for_again() {
    let simulator = Simulator::new(1);
    serve(&simulator.hand("operator"), "funds", "desk");
    let mut first = true;
    simulator.plan(move |request: &Entry| {
        let hangs = first && request.resource == ROUTES_OF;
        first &= !hangs;
        hangs.then_some(Fault::Hang)
    });
    let rig = Rig::new(&simulator, &[], None);
    rig.is_ready("the API server has told all of them").await;
    rig.serves(&["desk"]).await;
    assert!(rig.begun.elapsed() < watch::PAGE * 2, "{:?}", rig.begun.elapsed());
}
