//! What somebody does first: applies the example and looks at it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fundbond_e2e::{Namespace, eventually, fund_clusters::READY_WITHIN, program};

#[tokio::test(flavor = "multi_thread")]
async fn the_example_is_ready_within_a_minute_and_says_so() -> Result<()> {
    Namespace::beside(async |namespace| {
        let trial = namespace.trial;
        let stage = &trial.stage;
        let here = ["--namespace", &namespace.name];
        let apply = ["apply", "--filename", "examples/fundcluster.yaml"];
        let begun = tokio::time::Instant::now();
        program::output(stage.kubectl(&apply).args(here)).await?;
        let seconds = format!("--timeout={}s", READY_WITHIN.as_secs());
        let wait = ["wait", "--for=condition=Ready", "fundcluster/cluster1", &seconds];
        program::output(stage.kubectl(&wait).args(here)).await?;
        trial.figure("seconds until Ready", format!("{:.1}", begun.elapsed().as_secs_f64()));

        let look = async || {
            let table = program::output(stage.kubectl(&["get", "fc"]).args(here)).await?;
            let whole = table.lines().nth(1).is_some_and(|line| line.contains("3/3"));
            Ok(if whole { Ok(table) } else { Err(table) })
        };
        let (table, _) = eventually("all three pods are counted", Duration::from_secs(30), look).await?;
        let mut lines = table.lines();
        let heads = lines.next().context("a table has heads")?;
        let columns: Vec<_> = heads.split_whitespace().collect();
        ensure!(
            columns == ["NAME", "READY", "PODS", "STREAMS", "STRATEGY", "REASON", "AGE"],
            "columns: {heads}"
        );
        let row: Vec<_> = lines.next().context("a table has rows")?.split_whitespace().collect();
        ensure!(row[..2] == ["cluster1", "True"] && row.contains(&"LeastStreams"), "{row:?}");

        let mut events = stage.kubectl(&["events", "--for", "fundcluster/cluster1"]);
        let events = program::output(events.args(here)).await?;
        ensure!(events.contains("Normal"), "no event a person could read: {events}");

        let status = program::output(stage.kubectl(&["fund", "status", "cluster1"]).args(here)).await?;
        for word in ["cluster1", "Ready", "pod"] {
            ensure!(status.contains(word), "kubectl fund status says nothing of {word}: {status}");
        }
        Ok(())
    })
    .await
}
