//! Promise: one command starts everything, shows a portfolio from CONNECTED to COMPLETED, and leaves nothing.

use std::{io::Write, net::TcpListener};

use fundbond::system::{CLUSTERS, MAX_PORT_OFFSET};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::{net::TcpStream, process::Command};

use crate::program::{Run, Started, fundbond};

fn file(suffix: &str, text: &str) -> NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(suffix).tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

async fn value(suffix: &str, text: &str) -> Run {
    let file = file(suffix, text);
    fundbond(&["--ephemeral", "--once", "--portfolio", file.path().to_str().unwrap()]).await
}

fn sample() -> Value {
    serde_json::from_str(include_str!("../../../examples/fund.json")).unwrap()
}

/// First words of the lines that are events.
fn events(run: &Run) -> Vec<&str> {
    let is_event = |word: &str| word.len() > 3 && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    run.out
        .lines()
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split(' ').next())
        .filter(|word| is_event(word))
        .collect()
}

#[tokio::test]
async fn the_sample_is_shown_from_connected_to_its_result() {
    let run = fundbond(&["--ephemeral", "--once"]).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    let chunks = sample()["holdings"].as_array().unwrap().len().div_ceil(8);
    let mut want = vec!["CONNECTED", "PROCESSING"];
    want.extend(vec!["SUBTASK_COMPLETED"; chunks]);
    want.push("COMPLETED");
    assert_eq!(events(&run), want, "{}", run.out);
    assert!(run.out.contains(&format!(" {chunks}/{chunks} ")), "{}", run.out);
    for part in ["NAV per unit", "Modified duration", "DV01", "SHOCK", "+100 bp", "CASH IN THE NEXT MONTHS"] {
        assert!(run.out.contains(part), "{part} is missing: {}", run.out);
    }
    assert!(run.err.starts_with("Fundbond serves on http://127.0.0.1:"), "{}", run.err);
    assert!(!run.out.contains("What to try next"), "--once says nothing about later: {}", run.out);
}

#[tokio::test]
async fn a_csv_of_treasuries_is_a_portfolio() {
    let csv = "cusip,type,coupon,maturity,dated_date,issue_date,day_count,frequency,auction_price,\
               auction_yield_pct,price_date,fedinvest_buy,fedinvest_sell\n\
               TESTBILL1,bill,0.0,2025-03-20,,2024-03-21,ACT/360 discount,0,95.1,,2024-06-25,96.3,96.3\n\
               TESTNOTE1,note,0.0425,2029-05-31,2024-05-31,2024-05-31,ACT/ACT ICMA,2,99.8,4.3,2024-06-25,99.5,99.4\n";
    let run = value(".csv", csv).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.out.contains("Holdings priced") && run.out.contains("2025-03"), "{}", run.out);
    let bad = value(".csv", &csv.replace("2029-05-31,2024-05-31,2024", "soon,2024-05-31,2024")).await;
    assert_eq!((bad.code, bad.out.as_str()), (Some(1), ""), "{bad:?}");
    assert!(bad.err.contains("is not a portfolio") && bad.err.contains("maturity"), "{}", bad.err);
}

#[tokio::test]
async fn a_portfolio_that_is_wrong_is_told_by_field_and_ends_with_an_error() {
    let broken = value(".json", "{\n  \"valuationDate\": ,\n}").await;
    assert_eq!((broken.code, broken.out.as_str()), (Some(1), ""), "{broken:?}");
    assert!(broken.err.contains("not JSON: expected value at line 2 column 20"), "{}", broken.err);

    let mut body = sample();
    body["holdings"][3]["face"] = json!(-5);
    let refused = value(".json", &body.to_string()).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("  holdings[3].face: "), "{}", refused.err);
    assert!(refused.err.contains("  request: ") && refused.err.contains("next: "), "{}", refused.err);

    let missing = fundbond(&["--ephemeral", "--once", "--portfolio", "no-such.json"]).await;
    assert_eq!(missing.code, Some(1));
    assert!(missing.err.starts_with("error: cannot read no-such.json"), "{}", missing.err);
}

#[tokio::test]
async fn a_holding_without_a_price_degrades_the_result_and_fails_a_strict_one() {
    let mut body = sample();
    body["holdings"][3]["quote"] = json!({"settlementDate": "2099-01-01", "yield": 0.04});
    body["strict"] = json!(false);
    let degraded = value(".json", &body.to_string()).await;
    assert_eq!(degraded.code, Some(4), "{degraded:?}");
    assert!(degraded.out.contains("1 of 44 holdings have no price"), "{}", degraded.out);
    body["strict"] = json!(true);
    let failed = value(".json", &body.to_string()).await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert_eq!(events(&failed).last(), Some(&"FAILED"), "{}", failed.out);
}

#[tokio::test]
async fn a_port_in_use_is_one_line_that_names_it() {
    // The first pod's port is the first that is bound, so whatever else is in use cannot be named instead.
    let first_pod = CLUSTERS[0].2[0];
    let listeners: Vec<TcpListener> = (0..200).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port());
    let reached = |port: &u16| (first_pod..=first_pod + MAX_PORT_OFFSET).contains(port);
    let port = ports.into_iter().find(reached).expect("one of 200 free ports is within reach of an offset");
    let run = fundbond(&["--port-offset", &(port - first_pod).to_string(), "--once"]).await;
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{run:?}");
    assert_eq!(run.err.lines().count(), 1, "{}", run.err);
    assert!(run.err.contains("is in use; stop what listens there"), "{}", run.err);
    assert!(run.err.contains(&format!("port {port} of 127.0.0.1")), "{}", run.err);
}

#[tokio::test]
async fn what_it_suggests_to_try_next_works() {
    let mut started = Started::new(&["--ephemeral", "--no-demo"]);
    let lines = started.lines_until("Ctrl-C drains").await;
    let commands: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("    curl ")).collect();
    assert!(commands.len() >= 6, "{lines:#?}");
    let mut outputs = Vec::new();
    for command in commands {
        let run = Command::new("sh").args(["-c", &format!("curl --fail --max-time 20 {command}")]).output();
        let output = run.await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "curl {command}: {}", String::from_utf8_lossy(&output.stderr));
        outputs.push(text);
    }
    assert!(outputs[0].contains("\"ACCEPTED\""), "{}", outputs[0]);
    assert_eq!(outputs[1].matches("event: SUBTASK_COMPLETED").count(), 5, "{}", outputs[1]);
    assert!(outputs[1].contains("event: COMPLETED"), "{}", outputs[1]);
    assert!(outputs[2].contains("\"COMPLETED\"") && outputs[3].contains("desk1-fund-1"), "{outputs:#?}");
    started.signal("INT").await;
    let (status, err) = started.ended().await;
    assert_eq!(status.code(), Some(0), "{err}");
    assert!(err.contains("Draining; a second Ctrl-C exits at once."), "{err}");
}

#[tokio::test]
async fn a_signal_during_the_demonstration_drains_and_is_no_success() {
    let steps = file(".json", r#"{"kind": "steps", "count": 1000, "delayMs": 1000}"#);
    let path = steps.path().to_str().unwrap();
    let mut started = Started::new(&["--ephemeral", "--once", "--drain-grace", "3s", "--portfolio", path]);
    started.lines_until("PROCESSING").await;
    started.signal("TERM").await;
    let (status, err) = started.ended().await;
    assert_eq!(status.code(), Some(130), "{err}");
}

#[tokio::test]
async fn a_second_signal_exits_at_once_and_the_ports_are_free() {
    let steps = file(".json", r#"{"kind": "steps", "count": 1000, "delayMs": 1000}"#);
    let path = steps.path().to_str().unwrap();
    let mut started = Started::new(&["--ephemeral", "--drain-grace", "10m", "--portfolio", path]);
    let banner = started.error_until("cluster1").await;
    started.lines_until("PROCESSING").await;
    started.signal("INT").await;
    started.error_until("Draining").await;
    started.signal("INT").await;
    let (status, err) = started.ended().await;
    assert_eq!(status.code(), Some(130), "{err}");
    let gateway = banner.lines().next().unwrap().rsplit("http://").next().unwrap().to_owned();
    assert!(TcpStream::connect(&gateway).await.is_err(), "{gateway} is still open");
}

#[tokio::test]
async fn a_wrong_command_line_is_one_clear_answer() {
    let run = fundbond(&["--once", "--no-demo"]).await;
    assert_eq!(run.code, Some(64), "{run:?}");
    assert!(run.err.contains("--once") && run.err.contains("--no-demo"), "{}", run.err);
}
