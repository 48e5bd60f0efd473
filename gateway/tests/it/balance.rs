//! Endpoints are chosen by what is under way there.

use std::sync::atomic::Ordering::SeqCst;

use http::{Method, Response};
use hyper::body::Incoming;

use crate::support::{Endpoint, Running, by_strategy, empty, get, piecewise, request, send, until};

/// An endpoint whose streams last until their clients leave.
pub(crate) async fn streaming() -> Endpoint {
    Endpoint::start(|_| async {
        let (feed, body) = piecewise();
        tokio::spawn(async move { feed.closed().await });
        Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
    })
    .await
}

fn open(endpoint: &Endpoint) -> usize {
    endpoint.connections.load(SeqCst)
}

#[tokio::test]
async fn least_streams_sends_new_streams_to_the_emptier_of_two() {
    let (a, b) = (streaming().await, streaming().await);
    let table = by_strategy(1, "{kind: LeastStreams}", &[a.spec(), b.spec()]);
    let gateway = Running::on(&table).await;
    let open_one = async || -> (bool, Response<Incoming>) {
        let before = a.hits();
        let stream = send(gateway.service, request(Method::GET, "/api/fund-events/c", &[], empty())).await;
        assert_eq!(stream.status(), 200);
        (a.hits() > before, stream)
    };
    let (mut on_a, mut on_b) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let (is_a, stream) = open_one().await;
        if is_a {
            on_a.push(stream);
        } else {
            on_b.push(stream);
        }
        assert!(on_a.len().abs_diff(on_b.len()) <= 1, "{} and {}", on_a.len(), on_b.len());
    }
    let shown = get(gateway.admin, "/routes", &[]).await.json();
    assert_eq!(shown["routes"][0]["strategy"], "LeastStreams");
    assert_eq!(shown["routes"][0]["endpoints"][0]["underWay"], 4);

    // Its streams end: until it has as many again, it gets every new one.
    on_a.clear();
    until("the end of the streams", || open(&a) == 0).await;
    for _ in 0..4 {
        let (is_a, stream) = open_one().await;
        assert!(is_a);
        on_a.push(stream);
    }
    assert_eq!((open(&a), open(&b)), (4, 4));
}
