//! `task start|watch|list|cancel`.

use std::{io::Write, process::Stdio};

use fundbond_protocol::{FieldProblem, Problem, Status, TaskEvent, TaskId};
use serde_json::{Value, json};

use crate::{
    fundctl::{command, fundctl, fundctl_with},
    server::{Reply, Server},
};

fn event(step: &str, status: Status) -> TaskEvent {
    let task = TaskId::parse("t1").unwrap();
    TaskEvent::of_task(&task, step, status, "2026-11-21T10:00:00Z".parse().unwrap())
        .with_message(format!("step {step}"))
}

fn frame(id: &str, event: &TaskEvent) -> String {
    format!("id: {id}\nevent: {}\ndata: {}\n\n", event.status, event.to_json())
}

fn connected(id: &str) -> String {
    frame(id, &event("open", Status::CONNECTED))
}

fn accepted() -> Value {
    json!({
        "correlationId": "t1", "connectionId": "t1", "status": "ACCEPTED", "stream": "closed",
        "links": {"self": "/api/tasks/t1", "events": "/api/fund-events/t1",
                  "rows": "/api/tasks/t1/rows", "cancel": "/api/tasks/t1/cancel"}
    })
}

fn state(id: &str, status: &str, is_final: bool) -> Value {
    json!({
        "correlationId": id, "connectionId": "desk7", "kind": "steps", "status": status,
        "message": format!("{id} is {status}"), "finalEvent": is_final, "progress": {"done": 1, "total": 4},
        "acceptedAt": "2026-11-21T10:00:00Z", "updatedAt": "2026-11-21T10:00:01Z",
        "links": {"self": "", "events": "", "rows": "", "cancel": ""}
    })
}

fn stream(text: String, hold: bool) -> Reply {
    Reply::Stream { text, hold }
}

#[tokio::test]
async fn a_started_task_is_followed_over_a_lost_stream_to_its_end() {
    let step = event("2", Status::SUBTASK_COMPLETED).with_progress(1, 1);
    let done = event("end", Status::COMPLETED).with_result(json!({"count": 3})).into_final();
    let first = connected("k.0") + &frame("k.1", &event("1", Status::PROCESSING));
    let second = connected("k.1")
        + &frame("k.1", &event("1", Status::PROCESSING))
        + &frame("k.2", &step)
        + &frame("k.3", &done);
    let server = Server::start(vec![
        ("POST /api/fund-api", Reply::Json(202, accepted())),
        ("POST /api/fund-events", stream(first, false)),
        ("POST /api/fund-events", stream(second, true)),
    ])
    .await;
    let arguments = ["task", "start", "-", "--watch", "--server", &server.url, "--cluster", "cluster1"];
    let run = fundctl_with(&arguments, r#"{"correlationId": "t1", "kind": "steps"}"#).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    let names: Vec<&str> = run.out.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(
        names[..5],
        ["CONNECTED", "PROCESSING", "CONNECTED", "SUBTASK_COMPLETED", "COMPLETED"],
        "{run:?}"
    );
    assert!(run.out.contains("SUBTASK_COMPLETED task=t1 1/1 step 2"), "{run:?}");
    assert!(run.err.contains("LOST the server ended the stream; trying again in"), "{run:?}");
    let asked = server.asked();
    assert_eq!(asked[0].json(), json!({"correlationId": "t1", "kind": "steps"}));
    assert!(asked.iter().all(|asked| asked.header("x-cluster-route") == "cluster1"));
    assert_eq!(asked[1].json(), json!({"connectionId": "t1", "taskIds": ["t1"]}));
    assert_eq!((asked[1].header("last-event-id"), asked[2].header("last-event-id")), ("", "k.1"));
}

#[tokio::test]
async fn the_exit_code_is_the_worst_end_of_the_watched_tasks() {
    for (status, code) in [(Status::COMPLETED, 0), (Status::FAILED, 1), (Status::CANCELLED, 1)] {
        let text = connected("k.0") + &frame("k.1", &event("end", status.clone()).into_final());
        let server = Server::start(vec![("POST /api/fund-events", stream(text, true))]).await;
        let run = fundctl(&["task", "watch", "desk7", "--task", "t1", "--server", &server.url]).await;
        assert_eq!(run.code, Some(code), "{status}: {run:?}");
    }
}

#[tokio::test]
async fn a_refused_body_is_told_field_by_field() {
    let field = FieldProblem { field: "holdings[3].face".into(), message: "must be positive".into() };
    let problem = Problem::new(422, "invalid-body", "The request body is not valid", "one field")
        .with_errors(vec![field]);
    let server = Server::start(vec![("POST /api/fund-api", Reply::Problem(problem))]).await;
    let mut file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    file.write_all(b"{}").unwrap();
    let path = file.path().to_str().unwrap();
    let run = fundctl(&["task", "start", path, "--id", "t9", "--server", &server.url]).await;
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""));
    assert_eq!(
        run.err,
        "error: cannot start task t9: POST /api/fund-api: 422 The request body is not valid
  holdings[3].face: must be positive
  request: r-77
next: correct the fields above and try again
"
    );
}

#[tokio::test]
async fn a_started_task_is_named_with_the_command_that_follows_it() {
    let server = Server::start(vec![("POST /api/fund-api", Reply::Json(202, accepted()))]).await;
    let run = fundctl_with(&["task", "start", "-", "--server", &server.url], "{}").await;
    assert_eq!(
        run.out, "TASK  CONNECTION  STATUS    STREAM\nt1    t1          ACCEPTED  closed\n",
        "{run:?}"
    );
    assert_eq!(run.err, format!("follow it with: fundctl --server {} task watch t1\n", server.url));
    let sent = server.asked()[0].json();
    assert!(sent["correlationId"].as_str().unwrap().starts_with("task-"), "{sent}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    // A port that was just free: nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let run = fundctl(&["task", "list", "--server", &url]).await;
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains(&format!("cannot reach {url}: connection refused")), "{run:?}");
    assert!(run.err.contains("cargo xtask up"), "{run:?}");
}

#[tokio::test]
async fn an_answer_of_something_else_is_quoted() {
    let server = Server::start(vec![("GET /api/tasks", Reply::Text(502, "<h1>Bad Gateway</h1>"))]).await;
    let run = fundctl(&["task", "list", "--server", &server.url]).await;
    assert!(run.err.contains("status 502") && run.err.contains("<h1>Bad Gateway</h1>"), "{run:?}");
    assert!(run.err.contains("next: check --server"), "{run:?}");
}

#[tokio::test]
async fn a_time_limit_ends_the_watch_with_its_own_code() {
    let server = Server::start(vec![("POST /api/fund-events", stream(connected("k.0"), true))]).await;
    let run = fundctl(&["task", "watch", "desk7", "--timeout", "300ms", "--server", &server.url]).await;
    assert_eq!(run.code, Some(5), "{run:?}");
    let again = format!("fundctl --server {} task watch desk7", server.url);
    assert_eq!(run.err, format!("the time is up; the tasks go on. Follow them again with: {again}\n"));
}

#[tokio::test]
async fn ctrl_c_ends_the_watch_and_says_how_to_go_on() {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
    let server = Server::start(vec![("POST /api/fund-events", stream(connected("k.0"), true))]).await;
    let mut child =
        command(&["task", "watch", "desk7", "--server", &server.url]).stdin(Stdio::null()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = out.next_line().await.unwrap().unwrap();
    assert!(first.starts_with("CONNECTED connection=desk7 id=k.0"), "{first}");
    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().await.unwrap().code(), Some(130));
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).await.unwrap();
    let again = format!("fundctl --server {} task watch desk7", server.url);
    assert_eq!(err, format!("interrupted; the tasks go on. Follow them again with: {again}\n"));
}

#[tokio::test]
async fn a_stream_that_somebody_took_over_is_an_error_that_says_what_to_do() {
    let text = connected("k.0") + &frame("x.7", &event("replaced", Status::REPLACED));
    let server = Server::start(vec![("POST /api/fund-events", stream(text, false))]).await;
    let run = fundctl(&["task", "watch", "t1", "--task", "t1", "--server", &server.url]).await;
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("another reader took connection t1 over"), "{run:?}");
    assert!(
        run.err.contains(&format!("next: fundctl --server {} task watch --task t1", server.url)),
        "{run:?}"
    );
}

#[tokio::test]
async fn a_finished_stream_without_the_final_event_is_settled_by_asking() {
    let server = Server::start(vec![
        ("POST /api/fund-events", Reply::Empty(204)),
        ("GET /api/tasks/t1", Reply::Json(200, state("t1", "COMPLETED", true))),
    ])
    .await;
    let run = fundctl(&["task", "watch", "desk7", "--task", "t1", "--server", &server.url]).await;
    assert_eq!((run.code, run.out.as_str()), (Some(0), "COMPLETED task=t1 1/4 t1 is COMPLETED\n"), "{run:?}");
}

#[tokio::test]
async fn watching_tasks_alone_takes_no_stream_over() {
    let server = Server::start(vec![
        ("GET /api/tasks/t1", Reply::Json(200, state("t1", "PROCESSING", false))),
        ("GET /api/tasks/t1", Reply::Json(200, state("t1", "FAILED", true))),
    ])
    .await;
    let run = fundctl(&["task", "watch", "--task", "t1", "--server", &server.url]).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(run.out, "PROCESSING task=t1 1/4 t1 is PROCESSING\nFAILED task=t1 1/4 t1 is FAILED\n");
    assert!(server.calls().iter().all(|call| call == "GET /api/tasks/t1"));
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let page = |id: &str, cursor: Option<&str>| {
        let mut page = json!({"items": [state(id, "PROCESSING", false)]});
        if let Some(cursor) = cursor {
            page["nextCursor"] = json!(cursor);
        }
        Reply::Json(200, page)
    };
    let server = Server::start(vec![
        ("GET /api/tasks", page("t2", Some("a/b="))),
        ("GET /api/tasks", page("t1", None)),
    ])
    .await;
    let run =
        fundctl(&["task", "list", "--connection", "desk7", "--limit", "5", "--server", &server.url]).await;
    assert_eq!(
        run.out,
        "TASK  CONNECTION  KIND   STATUS      DONE  UPDATED               MESSAGE
t2    desk7       steps  PROCESSING   1/4  2026-11-21 10:00:01Z  t2 is PROCESSING
t1    desk7       steps  PROCESSING   1/4  2026-11-21 10:00:01Z  t1 is PROCESSING
",
        "{run:?}"
    );
    assert_eq!(
        server.calls(),
        [
            "GET /api/tasks?limit=5&connectionId=desk7",
            "GET /api/tasks?limit=4&connectionId=desk7&cursor=a%2Fb%3D"
        ]
    );
}

#[tokio::test]
async fn cancelling_tells_a_change_from_none() {
    let server = Server::start(vec![
        ("GET /api/tasks/t1", Reply::Json(200, state("t1", "PROCESSING", false))),
        ("POST /api/tasks/t1/cancel", Reply::Json(200, state("t1", "CANCELLED", true))),
        ("GET /api/tasks/t1", Reply::Json(200, state("t1", "CANCELLED", true))),
    ])
    .await;
    let arguments = ["task", "cancel", "t1", "--server", &server.url, "-o", "ndjson"];
    let run = fundctl(&arguments).await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.out.contains("\"status\":\"CANCELLED\""), "{run:?}");
    let run = fundctl(&arguments).await;
    assert_eq!((run.code, run.err.as_str()), (Some(3), "task t1 had already ended: CANCELLED\n"), "{run:?}");
}
