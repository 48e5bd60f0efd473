//! `wait NAME`: follows a FundCluster by a watch until it is as asked for.

use std::{
    io::{self, Write as _},
    pin::pin,
    time::Duration,
};

use futures::StreamExt as _;
use kube::{
    Api,
    api::DynamicObject,
    runtime::watcher::{self, watch_object},
};

use super::{Stop, say, stop};
use crate::{
    args::{Format, Global, cluster::WaitArgs},
    cluster::{Cluster, ClusterError, fund_cluster_resource},
    error::{Error, Exit},
    output,
    render::printable,
    status::Standing,
    wait::{Goal, Verdict, Waiting},
};

/// Between a failure and the next attempt, for each failure in a row; the last one goes on.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(3)];

/// Waits.
pub(super) async fn run(global: Global, args: WaitArgs) -> Result<Exit, Error> {
    let cluster = Cluster::connect(&args.cluster).await?;
    let mut waiting = Waiting::new(args.goal, args.even_if_stalled);
    let place = format!("{}/{}", cluster.namespace(), args.name);
    let next = format!("{} status {} -n {}", cluster.program(), args.name, cluster.namespace());
    let stopped = tokio::select! {
        end = follow(&cluster, &args.name, &place, &mut waiting) => {
            return ended(&global, &cluster, &args.name, &place, next, &waiting, end?);
        }
        stopped = stop(Some(args.timeout)) => stopped.map_err(|source| Error::Setup("signal handler", source))?,
    };
    let why = waiting.why().unwrap_or_else(|| "the API server has not answered".to_owned());
    let (exit, after) = match stopped {
        Stop::Timeout => (Exit::Timeout, format!("is not {} after {:?}", waiting.goal(), args.timeout)),
        Stop::Interrupted => (Exit::Interrupted, format!("was not {} when interrupted", waiting.goal())),
    };
    Err(Error::NotSo { what: format!("FundCluster {place} {after}: {}", printable(&why)), next, exit })
}

/// What the watch came to, with what was seen last.
type End = (Verdict, Option<Standing>);

/// Watches until there is something else to do than to wait. A watch that breaks or expires is begun again; only a server that
/// says no for good ends this.
async fn follow(
    cluster: &Cluster,
    name: &str,
    place: &str,
    waiting: &mut Waiting,
) -> Result<End, ClusterError> {
    let resource = fund_cluster_resource();
    let api: Api<DynamicObject> =
        Api::namespaced_with(cluster.client().clone(), cluster.namespace(), &resource);
    let mut seen = pin!(watch_object(api, name));
    let mut failures = 0;
    loop {
        match seen.next().await {
            Some(Ok(object)) => {
                if failures > 1 {
                    say("the API server answers again");
                }
                failures = 0;
                let standing = object.as_ref().map(Standing::of);
                let (verdict, news) = waiting.see(standing.as_ref());
                if let Some(news) = news.filter(|_| verdict == Verdict::Wait) {
                    say(&format!("{place}: {}", printable(&news)));
                }
                if verdict != Verdict::Wait {
                    return Ok((verdict, standing));
                }
            }
            Some(Err(error)) => {
                let question = cluster.question("watch", &resource, &cluster.here());
                let error = match error {
                    watcher::Error::InitialListFailed(error)
                    | watcher::Error::WatchStartFailed(error)
                    | watcher::Error::WatchFailed(error) => cluster.failed(question, error),
                    watcher::Error::WatchError(status) => cluster.failed(question, kube::Error::Api(status)),
                    error @ watcher::Error::NoResourceVersion => {
                        ClusterError::Unreadable { question: Box::new(question), source: error.into() }
                    }
                };
                if !error.is_temporary() {
                    return Err(error);
                }
                failures += 1;
                // One lost connection is nothing to speak of.
                if failures == 2 {
                    say(&format!("{}; trying again", printable(&error.to_string())));
                }
                let pause = PAUSES.get(failures - 1).or(PAUSES.last()).copied().unwrap_or_default();
                tokio::time::sleep(pause).await;
            }
            // A watch goes on for ever.
            None => return Ok((Verdict::Wait, None)),
        }
    }
}

fn ended(
    global: &Global,
    cluster: &Cluster,
    name: &str,
    place: &str,
    next: String,
    waiting: &Waiting,
    (verdict, standing): End,
) -> Result<Exit, Error> {
    let what = match verdict {
        Verdict::Done => return done(global, place, waiting.goal(), standing.as_ref()),
        Verdict::Absent => {
            let question = cluster.question("get", &fund_cluster_resource(), &cluster.here()).named(name);
            return Err(
                ClusterError::NotFound { question: Box::new(question), flags: cluster.flags() }.into()
            );
        }
        Verdict::InVain | Verdict::Wait if standing.is_none() => {
            format!("FundCluster {place} was deleted while it was waited for")
        }
        Verdict::InVain | Verdict::Wait => format!(
            "FundCluster {place} does not become {} by itself: {} (--even-if-stalled goes on waiting)",
            waiting.goal(),
            printable(&waiting.why().unwrap_or_default())
        ),
    };
    let next = if standing.is_none() { format!("{} status -A", cluster.program()) } else { next };
    Err(Error::NotSo { what, next, exit: Exit::Error })
}

fn done(global: &Global, place: &str, goal: &Goal, standing: Option<&Standing>) -> Result<Exit, Error> {
    let mut out = io::stdout().lock();
    match (global.output, standing) {
        (Format::Table, _) => writeln!(out, "FundCluster {place} is {goal}")?,
        (format, Some(standing)) => output::document(&mut out, format, standing)?,
        (format, None) => output::document(&mut out, format, &serde_json::Value::Null)?,
    }
    Ok(Exit::Ok)
}
