//! The page of metrics beside what running processes say.

use std::collections::{BTreeMap, BTreeSet};

use fundbond_cli::client::{Client, ServerUrl};
use fundbond_service_runtime::metrics::Described;
use http::Method;

use super::metrics::programs;
use crate::{
    harness::{DEADLINE, Fundbond, read_to_end},
    promises::next,
    redis::{Keeps, Redis},
};

/// Metrics that only appear once something went wrong, or somebody else published, or on the one pod that leads, or with a
/// strategy or a file of live settings that this system has not: every other one must be there.
const RARE: [&str; 12] = [
    "fund_foreign_events",
    "fund_foreign_unusable",
    "fund_gateway_breaker_changes",
    "fund_gateway_connect_retries",
    "fund_gateway_limited",
    "fund_gateway_requests_refused",
    "fund_gateway_retry_budget_exhausted",
    "fund_gateway_spilled",
    "fund_gateway_streams_shed",
    "fund_live_settings_changes",
    "fund_stream_ends",
    "fund_sweeps",
];

/// A scrape: types by name, and names of labels by sample.
#[derive(Default)]
struct Scraped {
    types: BTreeMap<String, String>,
    labels: BTreeMap<String, BTreeSet<String>>,
}

impl Scraped {
    async fn of(admin: std::net::SocketAddr) -> Self {
        let client = Client::new(ServerUrl::of_address(admin), None);
        let request = client.request(Method::GET, "/metrics").unwrap();
        let answer = tokio::time::timeout(DEADLINE, client.send(request)).await.unwrap().unwrap();
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        let mut scraped = Self::default();
        for line in text.lines() {
            if let Some(of) = line.strip_prefix("# TYPE ") {
                let (name, kind) = of.split_once(' ').unwrap();
                scraped.types.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                scraped.sample(line);
            }
        }
        scraped
    }

    /// `name{label="value",...} number`; no value of ours holds a comma or an equals sign with a quote.
    fn sample(&mut self, line: &str) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        let labels = rest.strip_prefix('{').map_or("", |rest| rest.rsplit_once('}').unwrap().0);
        let names = labels.split("\",").filter_map(|label| label.split_once("=\""));
        let names = names.map(|(name, _)| name.to_owned()).filter(|name| name != "le");
        self.labels.entry(name.to_owned()).or_default().extend(names);
    }

    /// Everything scraped is as `described`, and everything described was scraped.
    fn check(&self, described: &[Described]) {
        let known: BTreeMap<&str, &Described> =
            described.iter().map(|metric| (metric.about.name, metric)).collect();
        for (name, kind) in &self.types {
            let metric = known.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not on the page"));
            assert_eq!(kind, metric.kind, "{name}");
            let expected: BTreeSet<String> =
                metric.about.labels.iter().map(|(label, _)| (*label).to_owned()).collect();
            for suffix in suffixes(kind) {
                if let Some(labels) = self.labels.get(&format!("{name}{suffix}")) {
                    assert_eq!(*labels, expected, "labels of {name}");
                }
            }
        }
        for name in known.keys().filter(|name| !RARE.contains(name)) {
            assert!(self.types.contains_key(*name), "{name} is on the page, and no process has it");
        }
    }
}

fn suffixes(kind: &str) -> &'static [&'static str] {
    match kind {
        "counter" => &["_total"],
        "histogram" => &["_bucket", "_sum", "_count"],
        _ => &[""],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_processes_have_the_metrics_of_the_page_and_no_others() {
    let redis = Redis::start(Keeps::Nothing).await;
    let system = Fundbond::start_with(redis.system()).await;
    // Enough for each of the two pods of the cluster to hold a stream and to run a task.
    for n in 0..8 {
        let (connection, task) = (format!("desk{n}"), format!("desk{n}-fund-1"));
        let mut stream = system.stream("cluster1", &connection, &[&task]);
        // Before the task, or its events come from the log and none is written live.
        assert_eq!(next(&mut stream).await.unwrap().name, "CONNECTED");
        system.start_steps("cluster1", &task, 3).await;
        read_to_end(stream).await;
        // Both pods take their turn, and whose it is for the next task changes as it did.
        for _ in 0..2 {
            let said = r#"{"userId": "maria", "data": 1}"#;
            system.call(Method::POST, "/api/sse/send?cluster=cluster1", &[], said).await;
        }
    }
    let [(_, every), (_, gateway), (_, pod)] = programs();
    for admin in system.proxies("cluster1") {
        Scraped::of(admin).await.check(&[&every[..], &gateway].concat());
    }
    for admin in system.pod_admins("cluster1") {
        Scraped::of(admin).await.check(&[&every[..], &pod].concat());
    }
    system.stop().await;
}

#[test]
fn names_and_labels_keep_the_rules() {
    for (_, metrics) in programs() {
        let names: BTreeSet<&str> = metrics.iter().map(|metric| metric.about.name).collect();
        assert_eq!(names.len(), metrics.len(), "a name twice");
        for metric in metrics {
            let name = metric.about.name;
            let legal = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(name.starts_with("fund_") && name.bytes().all(legal), "{name}");
            let base = !["_ms", "_millis", "_kb", "_total", "_count"].iter().any(|end| name.ends_with(end));
            assert!(base, "{name}: seconds, bytes, and no ending that scrapes add");
            assert!(metric.kind != "histogram" || name.ends_with("_seconds"), "{name} says its unit");
            assert!(!metric.about.help.is_empty() && !metric.about.help.ends_with('.'), "{name}");
            for (label, values) in metric.about.labels {
                assert!(!label.to_ascii_lowercase().ends_with("id") && !values.is_empty(), "{name} {label}");
            }
        }
    }
}
