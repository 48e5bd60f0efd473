//! What a person reads.

use fundbond_protocol::{FieldProblem, Problem};

use super::*;
use crate::client::ServerUrl;

fn task() -> TaskId {
    TaskId::parse("t1").unwrap()
}

fn refused(problem: Problem) -> Error {
    let call = "POST /api/fund-api".to_owned();
    Error::task(
        "start",
        &task(),
        ClientError::Problem { call, problem: Box::new(problem), retry_after: None },
    )
}

#[test]
fn a_refusal_names_every_field_the_request_and_the_next_step() {
    let problem = Problem::new(422, "invalid-body", "The request body is not valid", "two fields")
        .with_errors(vec![
            FieldProblem { field: "holdings[3].face".into(), message: "must be positive".into() },
            FieldProblem { field: "cash".into(), message: "is \u{1b}[31mmissing".into() },
        ])
        .with_instance("r-1");
    assert_eq!(
        text(&refused(problem), "fundctl"),
        "error: cannot start task t1: POST /api/fund-api: 422 The request body is not valid
  holdings[3].face: must be positive
  cash: is  [31mmissing
  request: r-1
next: correct the fields above and try again
"
    );
}

#[test]
fn an_unknown_route_says_how_to_name_a_cluster() {
    let detail = "no route for header X-Cluster-Route=\"c9\"; known values: cluster1, cluster2";
    let text = text(&refused(Problem::new(404, "unknown-route", "No such route", detail)), "fundctl");
    assert!(text.contains("known values: cluster1, cluster2"), "{text}");
    assert!(text.contains("next: name the cluster with --cluster or FUND_CLUSTER"), "{text}");
}

#[test]
fn a_server_that_is_not_there_is_named_with_the_way_to_start_one() {
    let server: ServerUrl = "http://127.0.0.1:8000".parse().unwrap();
    let source = ClientError::Unreachable { server, why: "connection refused".to_owned() };
    let error = Error::Call { action: "list tasks", source };
    let text = text(&error, "fundctl");
    assert!(
        text.starts_with(
            "error: cannot list tasks: cannot reach http://127.0.0.1:8000: connection refused\n"
        )
    );
    assert!(text.contains("cargo xtask up") && text.contains("--server"), "{text}");
    assert_eq!(error.exit(), Exit::Error);
}

#[test]
fn a_stream_that_was_given_up_says_how_to_take_it_up_again() {
    let error = Error::Stream {
        connection: ConnectionId::parse("desk7").unwrap(),
        source: StreamError::GaveUp { tries: 10, why: "connection refused".to_owned() },
    };
    assert_eq!(
        text(&error, "fundctl"),
        "error: connection desk7: the stream was lost and did not come back in 10 tries; the last one: connection refused
next: its tasks go on; when the server is back: fundctl task watch desk7
"
    );
}

#[test]
fn a_stream_that_somebody_took_over_leads_to_watching_without_it() {
    let error = Error::Ended {
        connection: ConnectionId::parse("desk7").unwrap(),
        ended: Ended::Replaced,
        tasks: vec![task()],
    };
    assert_eq!(
        text(&error, "fundctl"),
        "error: another reader took connection desk7 over\nnext: fundctl task watch --task t1\n"
    );
}

#[test]
fn a_reader_that_went_away_is_not_an_error_to_talk_about() {
    assert_eq!(Error::Write(io::ErrorKind::BrokenPipe.into()).exit(), Exit::BrokenPipe);
    assert_eq!(Error::Write(io::ErrorKind::StorageFull.into()).exit(), Exit::Error);
    assert_eq!(Error::Usage(String::new()).exit().code(), 2);
}
