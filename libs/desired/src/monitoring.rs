//! What a Prometheus operator makes of a FundCluster: what is scraped, and what is worth a word.

use fundbond_crds::{FundCluster, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::{
    Site,
    foreign::{PrometheusRule, ServiceMonitor},
    meta::{Component, meta, selecting},
    names::Names,
    probes::ADMIN,
};

/// The label of the Services by which pods and proxies are scraped, each once.
const SCRAPED: (&str, &str) = ("fundbond.dev/scraped", "true");

/// Of the streams that a pod takes, so many in a hundred are worth a word: there is time to add pods.
const NEARLY: i64 = 90;

/// Marks a Service as one to be scraped by.
pub(crate) fn mark(metadata: &mut ObjectMeta) {
    metadata.labels.get_or_insert_default().insert(SCRAPED.0.to_owned(), SCRAPED.1.to_owned());
}

/// What is scraped, where that is asked for. Targets have the labels that those of the chart's PodMonitor have, so that the same
/// dashboards and alerts serve both.
pub(crate) fn monitor(cluster: &FundCluster, names: &Names) -> Option<ServiceMonitor> {
    if !cluster.spec.monitoring.service_monitor {
        return None;
    }
    let mut selected = selecting(names, Component::Cluster, None);
    // Services of pods and of the proxy.
    selected.remove(labels::COMPONENT);
    selected.insert(SCRAPED.0.to_owned(), SCRAPED.1.to_owned());
    let pod = |label: &str| format!("__meta_kubernetes_pod_label_{label}");
    let relabelings = json!([
        {"sourceLabels": [pod("app_kubernetes_io_name")], "targetLabel": "program"},
        {"sourceLabels": [pod("app_kubernetes_io_instance")], "targetLabel": "fundcluster"},
    ]);
    Some(ServiceMonitor {
        metadata: meta(cluster, names, names.cluster().to_owned(), Component::Cluster, None),
        spec: json!({
            "selector": {"matchLabels": selected},
            "endpoints": [{"port": ADMIN, "path": "/metrics", "interval": "30s", "relabelings": relabelings}],
        }),
    })
}

/// What is worth a word about this FundCluster, where that is asked for: what only its spec can tell. The chart's own alerts are
/// about all of them.
pub(crate) fn rules(cluster: &FundCluster, site: &Site, names: &Names) -> Option<PrometheusRule> {
    if !cluster.spec.monitoring.rules {
        return None;
    }
    let of = |program: &str| {
        format!(r#"namespace="{}",fundcluster="{}",program="{program}""#, names.namespace(), names.cluster())
    };
    let whole = format!("{}/{}", names.namespace(), names.cluster());
    let (pods, streams) = (of("pod-service"), cluster.spec.pods.max_streams);
    let groups = json!([{
        "name": format!("fundbond-{whole}"),
        "rules": [
            alert(
                site,
                "FundbondClusterUnobserved",
                &format!("absent(fund_streams_open{{{pods}}})"),
                ("5m", "warning"),
                &format!("Nothing is known of the pods of {whole}."),
                "No pod has been scraped for five minutes: either none is there, or Prometheus does not reach their admin port.",
            ),
            alert(
                site,
                "FundbondStreamsNearLimit",
                &format!("max(fund_streams_open{{{pods}}}) >= {}", i64::from(streams) * NEARLY / 100),
                ("5m", "warning"),
                &format!("A pod of {whole} has nearly all the streams that it takes."),
                &format!(
                    "{{{{ $value }}}} streams are open on one pod for five minutes, and it takes {streams} (spec.pods.maxStreams): those beyond are told to come back later."
                ),
            ),
        ],
    }]);
    Some(PrometheusRule {
        metadata: meta(cluster, names, names.cluster().to_owned(), Component::Cluster, None),
        spec: json!({"groups": groups}),
    })
}

fn alert(
    site: &Site,
    name: &str,
    expr: &str,
    (lasts, severity): (&str, &str),
    summary: &str,
    description: &str,
) -> Value {
    json!({
        "alert": name, "expr": expr, "for": lasts, "labels": {"severity": severity},
        "annotations": {
            "summary": summary, "description": description, "runbook_url": format!("{}/{name}.md", site.runbooks.trim_end_matches('/')),
        },
    })
}
