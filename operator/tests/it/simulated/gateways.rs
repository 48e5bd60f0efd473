//! Two gateways that have at once whatever routes there are, unless a test says otherwise.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use fundbond_api_simulator::Simulator;
use fundbond_crds::{FundCluster, GatewayRoute};
use fundbond_operator::{Gateways, Heard, Hearing};
use fundbond_protocol::api::AppliedRoutes;
use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::Condition};
use kube::ResourceExt as _;
use serde_json::json;
use tokio::time::sleep;

use super::{
    scripts::{Deed, spec},
    wire::Wire,
    world::{FUNDS, World},
};

/// They have no sockets, for a clock that nobody waits for.
#[derive(Clone)]
pub(crate) struct TwoGateways {
    simulator: Simulator,
    held: Arc<Mutex<Held>>,
    late: Arc<Mutex<Duration>>,
    stuck: Arc<Mutex<Option<Generations>>>,
}

/// What the second of them does.
#[derive(Default)]
enum Held {
    /// As the first.
    #[default]
    Follows,
    /// It is there, and says nothing.
    Silent,
    /// It is not there.
    Gone,
    /// It has none, and refuses all.
    Refuses,
}

/// The generation of each route, by its name.
type Generations = BTreeMap<String, i64>;

impl TwoGateways {
    pub(crate) fn new(simulator: Simulator) -> Self {
        Self { simulator, held: Arc::default(), late: Arc::default(), stuck: Arc::default() }
    }

    /// From now on their answers take so long.
    fn take(&self, late: Duration) {
        *self.late.lock().unwrap() = late;
    }

    /// Whether both go on with the routes that there are now, whatever becomes of them.
    fn stick(&self, stuck: bool) {
        *self.stuck.lock().unwrap() = stuck.then(|| self.routes());
    }

    fn routes(&self) -> Generations {
        let routes = self.simulator.hand("gateway").list::<GatewayRoute>("", "").unwrap();
        let named = |route: &GatewayRoute| format!("{}/{}", route.namespace().unwrap(), route.name_any());
        routes.iter().map(|route| (named(route), route.spec.generation)).collect()
    }

    fn second(&self, held: Held) {
        *self.held.lock().unwrap() = held;
    }
}

impl Gateways for TwoGateways {
    fn ask(&self) -> Hearing<'_> {
        Box::pin(async {
            let late = *self.late.lock().unwrap();
            // sleep-ok: the clock is paused.
            sleep(late).await;
            let all = self.stuck.lock().unwrap().clone().unwrap_or_else(|| self.routes());
            let first = AppliedRoutes { routes: all, refused: BTreeMap::new() };
            let refuses = || AppliedRoutes {
                routes: BTreeMap::new(),
                refused: first.routes.keys().map(|name| (name.clone(), "no header".to_owned())).collect(),
            };
            let heard = |gateway: &str, said: Option<AppliedRoutes>| Heard {
                gateway: gateway.to_owned(),
                said: said.map(Arc::new),
            };
            let second = match *self.held.lock().unwrap() {
                Held::Follows => vec![heard("gw-b", Some(first.clone()))],
                Held::Silent => vec![heard("gw-b", None)],
                Held::Gone => vec![],
                Held::Refuses => vec![heard("gw-b", Some(refuses()))],
            };
            Ok(second.into_iter().chain([heard("gw-a", Some(first))]).collect())
        })
    }
}

fn programmed(world: &World) -> (Condition, (i64, i32, i32)) {
    let status = world.user.get::<FundCluster>(FUNDS, "desk").unwrap().status.unwrap();
    let condition = status.conditions.into_iter().find(|condition| condition.type_ == "RoutesProgrammed");
    let gateways = status.gateways.unwrap();
    (condition.unwrap(), (gateways.generation, gateways.acknowledged, gateways.gateways))
}

#[tokio::test(start_paused = true)]
async fn gateways_are_asked_which_routes_they_have_and_each_change_is_told_once() {
    let world = World::new(1, Wire::default(), 1);
    Deed::Create("desk", spec(&json!({}))).be_done(&world.user);
    world.settle().await;
    let (condition, counts) = programmed(&world);
    assert_eq!((&*condition.status, &*condition.reason, counts), ("True", "Acknowledged", (1, 2, 2)));

    for (held, is, reason, acknowledged, gateways) in [
        (Held::Refuses, "False", "Refused", 1, 2),
        (Held::Silent, "Unknown", "GatewaysSilent", 1, 2),
        (Held::Gone, "True", "Acknowledged", 1, 1),
        (Held::Follows, "True", "Acknowledged", 2, 2),
    ] {
        let before = world.writes();
        world.gateways.second(held);
        sleep(Duration::from_secs(30)).await;
        let (condition, counts) = programmed(&world);
        assert_eq!((&*condition.status, &*condition.reason), (is, reason), "{}", condition.message);
        assert_eq!(counts, (1, acknowledged, gateways));
        assert_eq!(world.writes() - before, 1, "{reason}");
    }

    Deed::Edit("desk", json!({"routing": {"strategy": "LeastStreams"}})).be_done(&world.user);
    world.settle().await;
    assert_eq!(programmed(&world).1, (2, 2, 2), "another generation of the route");
}

fn leader(world: &World) -> String {
    let lease = world.user.get::<Lease>(FUNDS, "fundbond-operator").unwrap();
    lease.spec.unwrap().holder_identity.unwrap()
}

/// Who begins to lead knows all else at once, and gateways only when they have answered.
#[tokio::test(start_paused = true)]
async fn a_new_leader_writes_nothing_until_it_has_heard_something_new() {
    let world = World::new(1, Wire::default(), 1);
    Deed::Create("desk", spec(&json!({}))).be_done(&world.user);
    world.settle().await;
    let told = programmed(&world);
    assert_eq!((&*told.0.status, told.1), ("True", (1, 2, 2)));

    for (held, gateways, writes) in [(Held::Follows, 2, 0), (Held::Gone, 1, 1)] {
        world.gateways.take(Duration::from_secs(7));
        world.gateways.second(held);
        let (former, before) = (leader(&world), (world.writes(), world.wire.requests()));
        world.wire.die();
        while leader(&world) == former {
            // sleep-ok: the clock is paused; the lease of somebody who died is over after a while.
            sleep(Duration::from_millis(100)).await;
        }
        sleep(Duration::from_secs(5)).await;
        let now = (world.writes(), world.wire.requests());
        assert_eq!(now, before, "nothing was heard yet, and nobody is asked for what watches have told");
        assert_eq!(programmed(&world), told);
        // sleep-ok: the clock is paused; by then they have answered, more than once.
        sleep(Duration::from_secs(25)).await;
        assert_eq!(world.writes() - before.0, writes);
        let (condition, counts) = programmed(&world);
        assert_eq!((&*condition.status, counts), ("True", (1, gateways, gateways)));
        assert_eq!(condition.last_transition_time, told.0.last_transition_time, "it was true all the time");
    }
}

#[tokio::test(start_paused = true)]
async fn what_gateways_say_of_an_earlier_fund_cluster_of_that_name_is_not_said_of_this_one() {
    let world = World::new(1, Wire::default(), 1);
    Deed::Create("desk", spec(&json!({}))).be_done(&world.user);
    world.settle().await;
    world.gateways.stick(true);
    Deed::Delete("desk").be_done(&world.user);
    Deed::Create("desk", spec(&json!({}))).be_done(&world.user);
    world.settle().await;
    let (condition, counts) = programmed(&world);
    assert_eq!((&*condition.status, counts), ("False", (2, 0, 2)), "{}", condition.message);

    world.gateways.stick(false);
    // sleep-ok: the clock is paused; by then they were asked.
    sleep(Duration::from_secs(30)).await;
    let (condition, counts) = programmed(&world);
    assert_eq!((&*condition.status, counts), ("True", (2, 2, 2)), "{}", condition.message);
}
