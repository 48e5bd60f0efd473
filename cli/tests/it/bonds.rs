//! `bonds price`, and the command line itself.

use serde_json::Value;

use crate::fundctl::{fundctl, fundctl_with};

const GOOD: &str = r#"{"instrument":{"id":"A","type":"fixed","datedDate":"2020-01-15","maturityDate":"2030-01-15","couponRate":0.04,"frequency":2,"dayCount":"ACT/ACT ICMA"},"quote":{"settlementDate":"2026-01-20","yield":0.04}}"#;

#[tokio::test]
async fn lines_are_priced_in_order_and_a_bad_one_shows_in_the_exit_code() {
    let input = format!("{GOOD}\n{}\n{GOOD}\n", GOOD.replace("0.04,", "\"x\",").replace("\"A\"", "\"B\""));
    let run = fundctl_with(&["bonds", "price"], &input).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    let lines: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["id"].as_str().unwrap()).collect::<String>(), "ABA");
    assert!(lines[1]["error"]["field"].as_str().unwrap().contains("couponRate"), "{run:?}");
    assert_eq!(run.err, "1 of 3 lines were not priced; each says why\n");
    assert_eq!(fundctl_with(&["bonds", "price", "-"], GOOD).await.code, Some(0));
}

#[tokio::test]
async fn every_example_has_a_price() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/instruments.ndjson");
    let run = fundctl(&["bonds", "price", examples]).await;
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    assert_eq!(run.out.lines().count(), std::fs::read_to_string(examples).unwrap().lines().count());
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let run = fundctl(&["bonds", "price", "no-such-file.ndjson"]).await;
    assert_eq!(run.code, Some(1));
    assert!(run.err.starts_with("error: cannot read no-such-file.ndjson: "), "{run:?}");
}

#[tokio::test]
async fn a_wrong_command_line_is_code_two() {
    for arguments in [
        &["task", "watch"] as &[&str],
        &["task", "start"],
        &["task", "watch", "a:b"],
        &["task", "list", "--server", "https://fund.example"],
        &["bonds", "price", "--output", "xml"],
    ] {
        let run = fundctl(arguments).await;
        assert_eq!(run.code, Some(2), "{arguments:?}: {run:?}");
    }
    assert!(fundctl(&["task", "list", "--server", "https://x"]).await.err.contains("https is not built in"));
}
