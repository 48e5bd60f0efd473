//! Logs of the whole system, as a machine reads them.

use serde_json::Value;

use crate::program::Started;

/// The lines for machines; what is said to the person who started it stands between them.
fn lines(text: &str) -> Vec<Value> {
    let json = text.lines().filter(|line| line.starts_with('{'));
    json.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[tokio::test]
async fn a_request_and_the_run_of_its_task_have_one_trace_on_every_hop() {
    let mut system = Started::new(&["--ephemeral", "--log", "info"]);
    system.lines_until("COMPLETED").await;
    system.signal("INT").await;
    let (status, said) = system.ended().await;
    assert!(status.success(), "{status}: {said}");
    let lines = lines(&said);
    for line in &lines {
        for name in ["ts", "level", "msg", "target"] {
            assert!(line[name].is_string(), "{name} of {line}");
        }
    }
    let run = lines.iter().find(|line| line["msg"] == "task ended").expect("the run of the sample");
    let (trace, task) = (run["traceId"].as_str().unwrap(), run["correlationId"].as_str().unwrap());
    assert!(trace.len() == 32 && !task.is_empty(), "{run}");
    let hops: Vec<&Value> = lines
        .iter()
        .filter(|line| line["target"] == "fundbond_gateway::access" && line["traceId"] == trace)
        .collect();
    assert_eq!(hops.len(), 2, "the gateway and the cluster proxy: {hops:#?}");
    for hop in hops {
        assert_eq!((&hop["status"], &hop["method"]), (&202.into(), &"POST".into()), "{hop}");
    }
}
