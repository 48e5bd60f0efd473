//! What one sweep does, what it counts and what it says.

use fundbond_protocol::{TaskId, TraceId};
use fundbond_service_runtime::metrics::Catalogue;
use fundbond_store::{
    Claims, Housekeeping as _, MemoryStore, Queue as _, Registry as _, Stray, Submission, Submitted,
};

use super::{
    sweeper::Done,
    tests::{cluster, connection, open, pod_id, settled},
    *,
};
use fundbond_service_runtime::telemetry::captured::Log;

const TOKEN: Token = Token(5);

fn order() -> Order {
    Order { cluster: cluster(), token: TOKEN }
}

/// Leads for longer than any test takes.
fn leadership() -> watch::Receiver<Option<Leadership>> {
    let renewed = Instant::now();
    watch::channel(Some(Leadership { token: TOKEN, renewed, until: renewed + Duration::from_mins(1) })).1
}

/// A pod that holds `streams` streams and runs `tasks` tasks, and says nothing any more.
async fn dead(store: &MemoryStore, name: &str, streams: usize, tasks: usize) -> PodId {
    let pod = pod_id(name);
    store.heartbeat(&pod, &cluster()).await.unwrap();
    for number in 0..streams {
        open(store, name, &format!("{name}-{number}")).await;
    }
    for number in 0..tasks {
        let submission = Submission {
            task: TaskId::parse(format!("{name}-task-{number}")).unwrap(),
            connection: connection("desk"),
            cluster: cluster(),
            pod: pod.clone(),
            kind: "steps".into(),
            fingerprint: [7; 32],
            accepted_at: Timestamp::UNIX_EPOCH,
            trace: TraceId::of_random(1),
            body: "{}".into(),
        };
        assert!(matches!(store.submit(&submission, 100).await.unwrap(), Submitted::New { .. }));
    }
    let claims = store.claim(&pod, &cluster(), 100).await.unwrap();
    let Claims::Tasks(claimed) = claims else { panic!("{claims:?}") };
    assert_eq!(claimed.len(), tasks, "it runs them");
    store.silence(&pod);
    pod
}

#[tokio::test(start_paused = true)]
async fn a_sweep_counts_and_says_what_became_of_each_pod() {
    let store = settled().await;
    let (busy, quiet, idle) = (
        dead(&store, "busy~1", 250, 3).await,
        dead(&store, "quiet~1", 1, 0).await,
        dead(&store, "idle~1", 0, 0).await,
    );
    assert!(store.bury(&busy).await.unwrap());
    let lives = pod_id("lives~1");
    store.heartbeat(&lives, &cluster()).await.unwrap();
    let (order, leadership) = (order(), leadership());
    let metrics = SweepMetrics::new(&mut Catalogue::default());
    let sweeper = Sweeper { store: &*store, order: &order, leadership: &leadership, metrics: &metrics };
    let (log, _listening) = Log::listen();
    // One came back between the look and the order.
    let plan = plan::Plan { bury: vec![quiet, lives.clone(), idle], sweep: vec![busy], hold: None };
    let done = sweeper.carry_out(&plan).await.unwrap();
    assert_eq!(done, Done { buried: 2, forgotten: 3, handed_over: 3, deleted: 251, end: End::Done });
    assert_eq!((metrics.buried.get(), metrics.forgotten.get()), (2, 3));
    assert_eq!((metrics.handed_over.get(), metrics.deleted.get()), (3, 251));
    let left: Vec<_> =
        store.nodes(&cluster()).await.unwrap().nodes.into_iter().map(|node| node.pod).collect();
    assert_eq!(left, [lives]);
    let said = log.said();
    let about = |message: &str, field: &str| -> Vec<(String, String)> {
        let lines = said.iter().filter(|line| line["msg"] == message);
        lines.map(|line| (line["pod"].as_str().unwrap().to_owned(), line[field].to_string())).collect()
    };
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(pod, value)| ((*pod).to_owned(), (*value).to_owned())).collect()
    };
    let declared = about("declared a pod dead that says nothing", "level");
    assert_eq!(declared, pairs(&[("quiet~1", "\"warn\""), ("idle~1", "\"warn\"")]));
    assert_eq!(about("others run the tasks of a dead pod", "tasks"), pairs(&[("busy~1", "3")]));
    let nothing = about("nothing is left of a dead pod", "streams");
    assert_eq!(nothing, pairs(&[("busy~1", "250"), ("quiet~1", "1"), ("idle~1", "0")]));
    assert_eq!(said.len(), 6, "{said:#?}");
}

#[tokio::test(start_paused = true)]
async fn streams_of_nobody_are_counted_by_owner_and_those_of_somebody_stay() {
    let store = settled().await;
    store.heartbeat(&pod_id("lives~1"), &cluster()).await.unwrap();
    let strays = |owner: &str, count: usize| -> Vec<Stray> {
        let name = |number| format!("{}-{number}", owner.trim_end_matches("~1"));
        (0..count)
            .map(|number| Stray {
                connection: name(number),
                owner: owner.into(),
                cluster: cluster().to_string(),
            })
            .collect()
    };
    // More than one order takes; of somebody who came back; and what has gone by itself.
    let groups = vec![strays("ghost~1", 250), strays("lives~1", 2), strays("gone~1", 1)];
    for stray in groups[..2].iter().flatten() {
        store.plant(&connection(&stray.connection), &pod_id(&stray.owner), &cluster());
    }
    let (order, leadership) = (order(), leadership());
    let metrics = SweepMetrics::new(&mut Catalogue::default());
    let sweeper = Sweeper { store: &*store, order: &order, leadership: &leadership, metrics: &metrics };
    let (log, _listening) = Log::listen();
    sweeper.sweep_strays(groups).await.unwrap();
    assert_eq!(metrics.strays.get(), 250);
    assert_eq!(store.holder(&connection("ghost-249")).await.unwrap(), None);
    assert!(store.holder(&connection("lives-1")).await.unwrap().is_some());
    let said = log.said();
    let [line] = &said[..] else { panic!("{said:#?}") };
    assert_eq!((&line["pod"], &line["streams"]), (&"ghost~1".into(), &250.into()));
}

#[tokio::test(start_paused = true)]
async fn who_leads_no_more_sweeps_no_strays() {
    let store = settled().await;
    store.plant(&connection("c"), &pod_id("ghost~1"), &cluster());
    let (order, metrics) = (order(), SweepMetrics::new(&mut Catalogue::default()));
    let (_tell, leadership) = watch::channel(None);
    let sweeper = Sweeper { store: &*store, order: &order, leadership: &leadership, metrics: &metrics };
    let stray = Stray { connection: "c".into(), owner: "ghost~1".into(), cluster: cluster().to_string() };
    sweeper.sweep_strays(vec![vec![stray]]).await.unwrap();
    assert!(store.holder(&connection("c")).await.unwrap().is_some());
}
