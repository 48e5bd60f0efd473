//! Requests, good and bad: the right status, the named field, and nothing lost.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::client::{TestPod, post, send};

fn field_of(answer: &crate::client::Answer) -> String {
    answer.json()["errors"][0]["field"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_same_task_twice_runs_once_and_another_request_is_refused() {
    let pod = TestPod::start().await;
    let body = json!({"correlationId": "desk-fund-1", "kind": "steps", "count": 2});
    let first = pod.post("/api/fund-api", &body).await;
    assert_eq!((first.status, first.json()["stream"].as_str()), (202, Some("closed")));
    assert_eq!(first.json()["connectionId"], "desk");
    pod.until_final("desk-fund-1").await;
    // Other order of fields, and a default written out: the same request.
    let same = json!({"delayMs": 0, "count": 2, "kind": "steps", "correlationId": "desk-fund-1"});
    assert_eq!(pod.post("/api/fund-api", &same).await.status, 202);
    assert_eq!(pod.open("desk", &[], None).await.rest().await.len(), 5, "nothing ran twice");
    let other = json!({"correlationId": "desk-fund-1", "kind": "steps", "count": 3});
    let refused = pod.post("/api/fund-api", &other).await;
    assert_eq!(
        (refused.status, refused.json()["type"].as_str()),
        (409, Some("urn:fundbond:problem:task-conflict"))
    );
}

#[tokio::test]
async fn bad_requests_name_the_field_and_leave_no_task() {
    let pod = TestPod::start().await;
    let steps = |extra: Value| {
        let mut body = json!({"correlationId": "t", "kind": "steps", "count": 1});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    for (body, field) in [
        (json!({"kind": "steps", "count": 1}), "correlationId"),
        (steps(json!({"correlationId": 7})), "correlationId"),
        (steps(json!({"correlationId": "a\r\nb"})), "correlationId"),
        (steps(json!({"connectionId": "x:y"})), "connectionId"),
        (steps(json!({"kind": "horoscope"})), "kind"),
        (steps(json!({"count": 0})), "count"),
        (steps(json!({"count": -1})), "count"),
        (steps(json!({"delayMs": 60_001})), "delayMs"),
        (steps(json!({"cuont": 1})), "cuont"),
        (json!({"correlationId": "t", "holdings": 3}), "holdings"),
        (json!({"correlationId": "t"}), "valuationDate"),
    ] {
        let answer = pod.post("/api/fund-api", &body).await;
        assert_eq!(answer.status, 422, "{body} {}", answer.text);
        assert!(field_of(&answer).starts_with(field), "{body}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["instance"], answer.header("x-request-id"));
    }
    assert_eq!(pod.get("/api/tasks/t").await.status, 404);
    let ids: Vec<String> = (0..257).map(|n| format!("t{n}")).collect();
    let answer = pod.post("/api/fund-events", &json!({"connectionId": "c", "taskIds": ids})).await;
    assert_eq!((answer.status, field_of(&answer)), (422, "taskIds".into()));
    let answer =
        pod.post("/api/fund-events", &json!({"connectionId": "c", "taskIds": ["ok", "not ok"]})).await;
    assert_eq!((answer.status, field_of(&answer)), (422, "taskIds[1]".into()));
}

#[tokio::test]
async fn bodies_that_are_not_json_are_told_apart_from_wrong_fields() {
    let pod = TestPod::start().await;
    let raw = |content_type: Option<&str>, body: Vec<u8>| {
        let mut request = Request::post("/api/fund-api");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        send(pod.address, request.body(Full::from(Bytes::from(body))).unwrap())
    };
    let json_type = Some("application/json; charset=utf-8");
    for (content_type, body, status) in [
        (json_type, b"{".to_vec(), 400),
        (json_type, b"{} {}".to_vec(), 400),
        (json_type, b"\xff\xfe".to_vec(), 400),
        (json_type, br#"{"a":"#.repeat(100_000), 400),
        (json_type, b"[]".to_vec(), 422),
        (json_type, vec![b' '; 12 << 20], 413),
        (None, b"{}".to_vec(), 415),
        (Some("text/plain"), b"{}".to_vec(), 415),
    ] {
        let answer = raw(content_type, body).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.json()["status"], status);
    }
}

#[tokio::test]
async fn a_compressed_body_is_refused_by_the_name_of_its_header() {
    let pod = TestPod::start().await;
    let submit = json!({"correlationId": "t", "kind": "steps", "count": 1});
    let event = json!({"userId": "maria", "data": 1});
    let open = json!({"connectionId": "c"});
    let broadcast = json!({"data": 1});
    for (path, media_type, body) in [
        ("/api/fund-api", "application/json", &submit),
        ("/api/fund-events", "application/json", &open),
        ("/api/sse/send", "application/json", &event),
        ("/api/sse/send", "application/x-ndjson", &event),
        ("/api/sse/broadcast", "application/json", &broadcast),
    ] {
        let coded = |coding: &str| {
            let mut request = post(path, body);
            request.headers_mut().insert("content-type", media_type.parse().unwrap());
            request.headers_mut().insert("content-encoding", coding.parse().unwrap());
            send(pod.address, request)
        };
        for coding in ["gzip", "br", "identity, GZIP"] {
            let answer = coded(coding).await;
            assert_eq!((answer.status, answer.header("accept-encoding")), (415, "identity"), "{path}");
            assert_eq!(answer.json()["type"], "urn:fundbond:problem:unsupported-media-type");
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(&format!("Content-Encoding {coding}")), "{detail}");
            assert!(detail.contains("send it as it is"), "{detail}");
        }
        if path != "/api/fund-events" {
            assert_eq!(coded("identity").await.status, 202, "{path} {media_type}");
        }
    }
    pod.stop().await;
}

#[tokio::test]
async fn wrong_paths_methods_and_accepts_say_what_would_be_right() {
    let pod = TestPod::start().await;
    let plain = |method: &str, path: &str| {
        send(pod.address, Request::builder().method(method).uri(path).body(Full::default()).unwrap())
    };
    assert_eq!(plain("GET", "/api/nothing").await.status, 404);
    let wrong = plain("DELETE", "/api/tasks").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, "GET,HEAD"));
    let head = plain("HEAD", "/api/fund-events/c").await;
    assert_eq!((head.status, head.header("content-type")), (200, "text/event-stream"));
    assert!(plain("GET", "/api/fund-events/c?tasks=a").await.text.contains("query.tasks"));
    let mut request = post("/api/fund-events", &json!({"connectionId": "c"}));
    request.headers_mut().insert("accept", "application/json".parse().unwrap());
    assert_eq!(send(pod.address, request).await.status, 406);
    let mut request = post("/api/fund-api", &json!({}));
    request.headers_mut().insert("x-request-id", "mine-1".parse().unwrap());
    let answer = send(pod.address, request).await;
    assert_eq!(
        (answer.header("x-request-id"), answer.header("x-pod-id").starts_with("pod-test1-")),
        ("mine-1", true)
    );
}

#[tokio::test]
async fn a_path_that_is_no_text_is_a_problem_like_any_other() {
    let pod = TestPod::start().await;
    for path in ["/api/tasks/%FF", "/api/tasks/%FF/rows", "/api/fund-events/%ff"] {
        let answer = pod.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (422, "application/problem+json"),
            "{path}: {}",
            answer.text
        );
        assert_eq!(field_of(&answer), "path");
    }
}

#[tokio::test]
async fn a_stream_request_is_small() {
    let pod = TestPod::start().await;
    let ids: Vec<String> = (0..256).map(|n| format!("{n:0>64}")).collect();
    let mut stream = pod.open("c", &ids.iter().map(String::as_str).collect::<Vec<_>>(), None).await;
    assert_eq!(stream.next_said().await.unwrap().name, "CONNECTED", "the largest legal one passes");
    let events: Vec<String> = (0..100_000).map(|n| format!("S{n}")).collect();
    let body = json!({"connectionId": "c", "events": events});
    assert_eq!(pod.post("/api/fund-events", &body).await.status, 413);
}

#[tokio::test]
async fn a_running_task_is_cancelled_at_once_and_for_good() {
    let pod = TestPod::start().await;
    let mut stream = pod.open("c", &["t"], None).await;
    pod.start_steps("t", "c", 1000, 1000).await;
    let cancelled = pod.post("/api/tasks/t/cancel", &json!({})).await;
    assert_eq!((cancelled.status, cancelled.json()["status"].as_str()), (200, Some("CANCELLED")));
    assert_eq!(stream.rest().await.last().unwrap().name, "CANCELLED");
    assert_eq!(pod.post("/api/tasks/t/cancel", &json!({})).await.json(), cancelled.json(), "idempotent");
    assert_eq!(pod.post("/api/tasks/none/cancel", &json!({})).await.status, 404);
    // The runner has let go: the drain has nothing to wait for.
    let stopping = tokio::time::Instant::now();
    pod.stop().await;
    assert!(stopping.elapsed().as_secs() < 5);
}

#[tokio::test]
async fn tasks_are_listed_newest_first_in_pages() {
    let pod = TestPod::start().await;
    for n in 0..5 {
        pod.start_steps(&format!("t{n}"), if n == 2 { "other" } else { "c" }, 1, 0).await;
        pod.until_final(&format!("t{n}")).await;
    }
    let ids = |page: &Value| -> Vec<String> {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["correlationId"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = pod.get("/api/tasks?limit=3").await.json();
    assert_eq!(ids(&first), ["t4", "t3", "t2"]);
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = pod.get(&format!("/api/tasks?limit=3&cursor={cursor}")).await.json();
    assert_eq!((ids(&second), second.get("nextCursor")), (vec!["t1".to_owned(), "t0".to_owned()], None));
    assert_eq!(ids(&pod.get("/api/tasks?connectionId=other&status=COMPLETED").await.json()), ["t2"]);
    assert_eq!(pod.get("/api/tasks?limit=0").await.status, 422);
    assert_eq!(pod.get("/api/tasks/t0/rows").await.status, 404);
}

#[tokio::test]
async fn a_fund_is_valued_chunk_by_chunk_and_its_rows_can_be_fetched() {
    let pod = TestPod::start().await;
    let mut body: Value = serde_json::from_str(&example("fund.json")).unwrap();
    body["correlationId"] = "fund-fund-1".into();
    let holdings = body["holdings"].as_array().unwrap().len();
    let chunk = body["chunkSize"].as_u64().unwrap();
    let answer = pod.post("/api/fund-api", &body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let events = pod.open("fund", &[], None).await.rest().await;
    let subtasks = events.iter().filter(|e| e.name == "SUBTASK_COMPLETED").count() as u64;
    assert_eq!(subtasks, (holdings as u64).div_ceil(chunk));
    let state = pod.until_final("fund-fund-1").await;
    assert_eq!(state["status"], "COMPLETED", "{state}");
    let mut rows = 0;
    let mut cursor = String::new();
    loop {
        let page =
            pod.get(&format!("{}?limit=9{cursor}", state["result"]["rows"].as_str().unwrap())).await.json();
        rows += page["items"].as_array().unwrap().len();
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(rows, holdings);
}

#[tokio::test]
async fn the_admin_port_answers_probes_and_metrics() {
    let pod = TestPod::start().await;
    let get = |path: &str| send(pod.admin, Request::get(path).body(Full::default()).unwrap());
    assert_eq!(get("/livez").await.status, 200);
    crate::client::within("readiness", async { while get("/readyz").await.status != 200 {} }).await;
    assert!(get("/readyz?verbose").await.text.contains("[+] store: reachable"));
    pod.start_steps("t", "c", 1, 0).await;
    pod.until_final("t").await;
    let metrics = get("/metrics").await.text;
    assert!(metrics.contains(r#"fund_tasks_accepted_total{outcome="new"} 1"#), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"));
}

fn example(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
