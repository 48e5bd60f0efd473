//! Metrics, from their registration.

use std::fmt::Write as _;

use fundbond_service_runtime::{health, metrics::Described};

use super::{code, table, title};

const SAYS: &str = "\
Each process serves its metrics at `/metrics` on its admin port (service port + 10000), in the OpenMetrics text format. \
Units are seconds and bytes. A counter is scraped as `<name>_total`, a histogram as `<name>_bucket`, `<name>_sum` and \
`<name>_count`. No label is an id of a request, stream, task or person, and a route that is taken out of the route file \
takes its series with it. A metric with labels appears with its first value.";

/// What the programs say of themselves, in the order of the page.
pub(super) fn programs() -> [(&'static str, Vec<Described>); 3] {
    [
        ("every program", vec![health::METRIC]),
        ("gateway and cluster-proxy", fundbond_gateway::described_metrics()),
        ("pod-service", fundbond_pod_service::described_metrics()),
    ]
}

pub(super) fn page() -> String {
    let mut page = title("Metrics", SAYS);
    // No part of `fundbond`, so that its own tests hold it to its list.
    let operator = [("operator", fundbond_operator::described_metrics())];
    for (program, mut metrics) in programs().into_iter().chain(operator) {
        metrics.sort_by_key(|metric| metric.about.name);
        let rows = metrics.iter().map(|metric| {
            let about = metric.about;
            let labels: Vec<_> =
                about.labels.iter().map(|(name, values)| format!("{}: {values}", code(name))).collect();
            vec![code(about.name), metric.kind.to_owned(), labels.join("<br>"), format!("{}.", about.help)]
        });
        let _ = writeln!(page, "## {program}\n\n{}", table(&["name", "type", "labels", "meaning"], rows));
    }
    page
}
