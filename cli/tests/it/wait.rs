//! `wait`: on a real API server, and on one whose watches break.

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use fundbond_api_simulator::{Delivery, Event, Fault, Plan, Simulator, Verb};
use fundbond_crds::FundCluster;
use fundbond_test_api_server::shared;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr},
    time::timeout,
};

use crate::{
    fundctl::{command, fundctl},
    kubernetes::{Live, fund_cluster, kubeconfig, status, text},
};

/// Longer than anything takes on a busy machine.
const DEADLINE: Duration = Duration::from_mins(1);

/// A command that waits.
struct Waiter {
    child: Child,
    said: Lines<BufReader<ChildStderr>>,
}

impl Waiter {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).stdin(Stdio::null()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, said }
    }

    /// Reads what it says until `word` is in it.
    async fn says(&mut self, word: &str) -> String {
        let line = async {
            loop {
                let line = self.said.next_line().await.unwrap().expect("it says more");
                if line.contains(word) {
                    return line;
                }
            }
        };
        timeout(DEADLINE, line).await.unwrap_or_else(|_| panic!("it says {word}"))
    }

    /// Its exit code, what it wrote, and what else it said.
    async fn ends(mut self) -> (Option<i32>, String, String) {
        let end = async {
            let mut out = String::new();
            self.child.stdout.take().unwrap().read_to_string(&mut out).await.unwrap();
            let mut err = String::new();
            while let Some(line) = self.said.next_line().await.unwrap() {
                err = format!("{err}{line}\n");
            }
            (self.child.wait().await.unwrap().code(), out, err)
        };
        timeout(DEADLINE, end).await.expect("it ends in time")
    }
}

#[tokio::test]
async fn a_fund_cluster_is_followed_until_the_newest_spec_is_ready() {
    let server = shared();
    server.install_definitions().await;
    let namespace = server.namespace().await;
    let file = text(&server.admin().kubeconfig());
    let live = Live::create(server.client(), &namespace, "desk").await;
    let mut waiter =
        Waiter::start(&["wait", "desk", "-n", &namespace, "--kubeconfig", &file, "--timeout", "55s"]);
    waiter.says("NotObserved: no operator has looked at it yet").await;
    live.says(status(1, "False", "PodsStarting", &[("Progressing", "True")])).await;
    assert_eq!(
        waiter.says("PodsStarting").await,
        format!("{namespace}/desk: PodsStarting: because of PodsStarting")
    );
    let spec = Patch::Merge(json!({"spec": {"pods": {"replicas": 3}}}));
    live.api.patch("desk", &PatchParams::default(), &spec).await.unwrap();
    waiter.says("NotObserved: the operator has not looked at generation 2 yet").await;
    // It was ready, by the spec before.
    live.says(status(1, "True", "AllReady", &[])).await;
    live.says(status(2, "False", "PodsMissing", &[])).await;
    waiter.says("PodsMissing").await;
    live.says(status(2, "True", "AllReady", &[])).await;
    let (code, out, err) = waiter.ends().await;
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (Some(0), &*format!("FundCluster {namespace}/desk is Ready\n"), "")
    );
}

#[tokio::test]
async fn a_time_that_is_up_is_told_with_what_was_waited_for() {
    let server = shared();
    server.install_definitions().await;
    let namespace = server.namespace().await;
    let file = text(&server.admin().kubeconfig());
    let live = Live::create(server.client(), &namespace, "desk").await;
    live.says(status(1, "False", "PodsStarting", &[])).await;
    let run =
        fundctl(&["wait", "desk", "-n", &namespace, "--kubeconfig", &file, "--timeout", "1s", "-o", "json"])
            .await;
    assert_eq!((run.code, run.out.as_str()), (Some(5), ""), "{run:?}");
    assert_eq!(
        run.err,
        format!(
            "{namespace}/desk: PodsStarting: because of PodsStarting\n\
             error: FundCluster {namespace}/desk is not Ready after 1s: PodsStarting: because of PodsStarting\n\
             next: fundctl --kubeconfig {file} status desk -n {namespace}\n"
        )
    );
    live.says(status(1, "False", "InvalidSpec", &[("Stalled", "True")])).await;
    let arguments = ["wait", "desk", "-n", &namespace, "--kubeconfig", &file, "--timeout", "50s"];
    let run = fundctl(&arguments).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        run.err.contains("does not become Ready by itself: InvalidSpec: because of InvalidSpec"),
        "{run:?}"
    );
    let patient = [&arguments[..6], &["--timeout", "1s", "--even-if-stalled"]].concat();
    assert_eq!(fundctl(&patient).await.code, Some(5));
    let stalled = [&arguments[..6], &["--for", "condition=Stalled", "-o", "ndjson"]].concat();
    let run = fundctl(&stalled).await;
    assert!(run.code == Some(0) && run.out.contains(r#""reason":"InvalidSpec""#), "{run:?}");
}

#[tokio::test]
async fn the_end_of_a_fund_cluster_is_waited_for_and_never_that_of_another() {
    let server = shared();
    server.install_definitions().await;
    let namespace = server.namespace().await;
    let file = text(&server.admin().kubeconfig());
    let live = Live::create(server.client(), &namespace, "desk").await;
    let gone =
        ["wait", "desk", "-n", &namespace, "--kubeconfig", &file, "--timeout", "55s", "--for", "deleted"];
    let mut waiter = Waiter::start(&gone);
    waiter.says("NotDeleted").await;
    let mut other = Waiter::start(&gone[..8]);
    other.says("NotObserved").await;
    live.api.delete("desk", &DeleteParams::default()).await.unwrap();
    let (code, out, _) = waiter.ends().await;
    assert_eq!((code, out), (Some(0), format!("FundCluster {namespace}/desk is deleted\n")));
    let (code, _, err) = other.ends().await;
    assert!(code == Some(1) && err.contains("was deleted while it was waited for"), "{code:?} {err}");
    // One that is not there is gone, and never becomes ready.
    assert_eq!(fundctl(&gone).await.code, Some(0));
    let run = fundctl(&gone[..8]).await;
    assert!(run.code == Some(1) && run.err.contains("there is no FundCluster desk"), "{run:?}");
}

/// Watches break at their first event and expire at their second; lists are refused at first.
struct Trouble {
    refusals: Arc<AtomicU32>,
}

impl Plan for Trouble {
    fn request(&mut self, request: &fundbond_api_simulator::Entry) -> Option<Fault> {
        let refuses = request.verb == Verb::List && self.refusals.load(Ordering::SeqCst) > 0;
        refuses.then(|| {
            self.refusals.fetch_sub(1, Ordering::SeqCst);
            Fault::Refuse(503)
        })
    }

    fn event(&mut self, event: &Event<'_>) -> Delivery {
        match event.number {
            0 => Delivery::Break,
            1 => Delivery::Expire,
            _ => Delivery::Now,
        }
    }
}

#[tokio::test]
async fn watches_that_break_and_expire_lose_nothing() {
    let simulator = Simulator::new(1);
    let listening = simulator.listen("fundctl").await.unwrap();
    let file = kubeconfig(&listening.url());
    let hand = simulator.hand("operator");
    hand.create(&fund_cluster("desk", "funds")).unwrap();
    let refusals = Arc::new(AtomicU32::new(3));
    simulator.plan(Trouble { refusals: Arc::clone(&refusals) });
    let file = text(file.path());
    let mut waiter =
        Waiter::start(&["wait", "desk", "-n", "funds", "--kubeconfig", &file, "--timeout", "55s"]);
    let line = waiter.says("trying again").await;
    assert!(line.contains("503"), "{line}");
    waiter.says("the API server answers again").await;
    waiter.says("NotObserved").await;
    for reason in ["PodsStarting", "PodsMissing", "PodsFew"] {
        hand.merge_status::<FundCluster>("funds", "desk", &status(1, "False", reason, &[])).unwrap();
        waiter.says(reason).await;
    }
    hand.merge_status::<FundCluster>("funds", "desk", &status(1, "True", "AllReady", &[])).unwrap();
    let (code, out, err) = waiter.ends().await;
    assert_eq!((code, out.as_str()), (Some(0), "FundCluster funds/desk is Ready\n"), "{err}");
    assert_eq!(refusals.load(Ordering::SeqCst), 0);
}
