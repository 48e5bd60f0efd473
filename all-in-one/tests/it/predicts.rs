//! What `fundctl diff` says beforehand is what the hops then decide, user by user.

use std::{net::IpAddr, time::Duration};

use fundbond_cli::manifest::{
    File, User,
    diff::{
        Question, diff,
        moves::{Move, Place},
        pods::PodsChange,
    },
    lint,
};
use fundbond_gateway::{
    decide::{Aim, Decision, Endpoints, Picker, RequestHead, RouteTable, Signals},
    route_file,
};
use fundbond_protocol::headers;
use fundbond_routing::spec::{EndpointSpec, LimitsSpec, MatchSpec, RouteFile, RouteSpec, TimeoutsSpec};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// Routings that differ from each other in every way there is.
const ROUTINGS: [&str; 14] = [
    "pods: {replicas: 4}",
    "routing: {strategy: LeastStreams}",
    "routing: {strategy: ClientIP}\n  pods: {replicas: 3}",
    "routing: {strategy: ClientIP}\n  pods: {replicas: 3, taskConcurrency: 2}",
    "routing: {strategy: ConsistentHash}\n  pods: {replicas: 4}",
    "routing: {strategy: ConsistentHash}\n  pods: {replicas: 5}",
    "routing: {strategy: ConsistentHash, consistentHash: {appliesTo: All}}\n  pods: {replicas: 4}",
    "routing: {strategy: ConsistentHash, consistentHash: {header: x-account}}\n  pods: {replicas: 4}",
    "routing: {strategy: ShardGroups, shardGroups: {groups: [{name: a, users: {from: 0, to: 333}}, \
     {name: b, users: {from: 334, to: 999}, replicas: 3}]}}",
    "routing: {strategy: ShardGroups, shardGroups: {groups: [{name: a, users: {from: 0, to: 499}}, \
     {name: b, users: {from: 500, to: 999}, replicas: 3}]}}",
    "routing: {strategy: ShardGroups, shardGroups: {fallback: Reject, allowGaps: true, groups: [{name: a, \
     users: {from: 10, to: 99}}, {name: c, users: {from: 200, to: 1200}}]}}",
    "routing: {strategy: ShardGroups, shardGroups: {groups: [{name: a, users: {from: 0, to: 333}, replicas: 0}, \
     {name: b, users: {from: 334, to: 999}}]}}",
    "routing: {strategy: ShardGroups, shardGroups: {by: Modulo, groups: [{name: a}, {name: b}, {name: c}]}}",
    "pods: {replicas: 0}",
];

/// Breakers that are closed admit at any time.
const NOW: Duration = Duration::ZERO;

/// Enough requests of one user for everybody to have had a turn, twice.
const REQUESTS: usize = 12;

fn file(routing: &str) -> File {
    let text = format!(
        "apiVersion: fundbond.dev/v1alpha1\nkind: FundCluster\nmetadata: {{name: cluster1, namespace: funds}}\nspec:\n  \
         route: {{value: cluster1}}\n  redis: {{url: 'redis://redis:6379'}}\n  {routing}\n"
    );
    File { name: "cluster1.yaml".to_owned(), text }
}

/// Numbers in and around every range, and ids that are none.
fn users() -> Vec<User> {
    let numbers =
        (0..=1300).step_by(7).chain([9, 10, 99, 100, 199, 200, 333, 334, 499, 500, 999, 1000, 1200, 1201]);
    let ids = numbers.map(|number: u32| number.to_string());
    let others = ["007", "alice", "u-17", "desk7"].map(str::to_owned);
    let address = |index: usize| {
        IpAddr::from([10, 0, u8::try_from(index / 200).unwrap(), u8::try_from(index % 200).unwrap()])
    };
    let all = ids.chain(others).enumerate();
    all.map(|(index, id)| User { id, address: Some(address(index)) }).collect()
}

/// The table of a hop, with whose turn it is.
struct Hop {
    table: RouteTable,
    picker: Picker,
    signals: Endpoints,
}

impl Hop {
    /// Reads the routing as a cluster proxy does, with these pods behind it, all of them ready.
    fn new(file: &File, pods: &[(String, Option<String>)]) -> Self {
        let cluster = lint::lint(std::slice::from_ref(file), "funds").clusters.remove(0).cluster;
        let endpoints = pods.iter().enumerate().map(|(index, (name, group))| EndpointSpec {
            name: Some(name.clone()),
            address: format!("10.1.{}.{}:9090", index / 200, index % 200),
            admin_address: None,
            group: group.clone(),
        });
        let route = RouteSpec {
            name: None,
            matching: MatchSpec {
                header: headers::X_CLUSTER_ROUTE_DISPLAY.to_owned(),
                value: "cluster1".to_owned(),
                path_prefix: "/".to_owned(),
                strip_prefix: 0,
                default: true,
            },
            strategy: cluster.spec.routing.to_spec().unwrap(),
            timeouts: TimeoutsSpec::default(),
            rate_limit: None,
            limits: LimitsSpec::default(),
            endpoints: endpoints.collect(),
        };
        let table = route_file::validate(RouteFile { generation: 1, routes: vec![route] }).unwrap();
        let signals: Vec<Signals> = pods.iter().map(|_| Signals::default()).collect();
        for signals in &signals {
            signals.set_ready(true);
        }
        Self { picker: Picker::new(&table, None, 1), table, signals: Endpoints(vec![signals.into()]) }
    }

    /// Where the requests of a user go, as they are decided.
    fn place(&mut self, user: &User, method: &Method) -> Place {
        let value = HeaderValue::from_str(&user.id).unwrap();
        // Whichever of them the strategy looks at.
        let named = [HeaderName::from_static(headers::USER_ID), HeaderName::from_static("x-account")];
        let headers: HeaderMap = named.into_iter().map(|name| (name, value.clone())).collect();
        let head = RequestHead { method, path: "/api/fund-api", query: None, headers: &headers };
        let client = user.address.unwrap();
        let route = &self.table.routes()[0];
        let names: Vec<String> = route.endpoints.iter().map(|endpoint| endpoint.name.to_string()).collect();
        let (expected, members) = match self.table.aim(0, &head, || client) {
            Err(_) => (None, Vec::new()),
            Ok(Aim::Any) => (Some(Place::Any), names.clone()),
            Ok(Aim::Key(_)) => (None, names.clone()),
            Ok(Aim::Group(group)) => {
                let group = &route.strategy.groups()[group];
                let members = group.endpoints.iter().map(|endpoint| names[*endpoint].clone()).collect();
                (Some(Place::Group(group.name.to_string())), members)
            }
        };
        let mut went: Vec<String> = Vec::new();
        for _ in 0..REQUESTS {
            match self.table.pick(&head, client, &self.signals, &mut self.picker, NOW) {
                Decision::Forward { endpoint, .. } => went.push(names[endpoint].clone()),
                Decision::Rejected { .. } => return Place::Refused,
                Decision::NoEndpoint { .. } => return Place::NoPod,
                Decision::Refused(refusal) => panic!("{refusal:?}"),
            }
        }
        assert!(went.iter().all(|name| members.contains(name)), "{went:?} {members:?}");
        went.sort();
        went.dedup();
        if let Some(place) = expected {
            assert_eq!(went.len(), members.len(), "everybody has a turn: {went:?} {members:?}");
            place
        } else {
            assert_eq!(went.len(), 1, "a key has one place: {went:?}");
            Place::Pod(went.remove(0))
        }
    }
}

fn pods(
    changes: &[PodsChange],
    which: impl Fn(&PodsChange) -> &Vec<String>,
) -> Vec<(String, Option<String>)> {
    let pods = changes.iter().filter(|pods| !pods.proxy);
    pods.flat_map(|pods| which(pods).iter().map(|name| (name.clone(), pods.group.clone()))).collect()
}

#[test]
fn exactly_the_users_move_who_were_said_to() {
    let (users, mut followed, mut moved, mut unknown) = (users(), 0, 0, 0);
    for old in ROUTINGS {
        for new in ROUTINGS {
            for reads in [false, true] {
                let (old, new) = (file(old), file(new));
                let read =
                    |file: &File| lint::lint(std::slice::from_ref(file), "funds").clusters.remove(0).cluster;
                let question = Question {
                    site: fundbond_desired::Site::default(),
                    users: users.clone(),
                    reads,
                    before: Vec::new(),
                    after: Vec::new(),
                };
                let said = diff(&read(&old), &read(&new), &question).unwrap();
                let mut before = Hop::new(&old, &pods(&said.pods, |pods| &pods.before));
                let mut after = Hop::new(&new, &pods(&said.pods, |pods| &pods.after));
                let method = if reads { Method::GET } else { Method::POST };
                followed += users.len();
                unknown += said.users.unknown;
                if said.users.unknown > 0 {
                    // Two headers know users, and an id is the value of one.
                    assert!(old.text.contains("x-account") || new.text.contains("x-account"));
                    continue;
                }
                let did: Vec<Move> = users
                    .iter()
                    .map(|user| Move {
                        user: user.id.clone(),
                        from: before.place(user, &method),
                        to: after.place(user, &method),
                    })
                    .filter(|moved| moved.from != moved.to)
                    .collect();
                assert_eq!(said.users.moved, did, "reads: {reads}\n{}\n{}", old.text, new.text);
                moved += did.len();
            }
        }
    }
    assert!(
        moved > followed / 4 && unknown < followed / 10,
        "{moved} of {followed} moved, {unknown} unknown"
    );
}
