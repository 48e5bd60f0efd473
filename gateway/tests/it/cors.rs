//! Who tells a browser which pages may read an answer: exactly one hop.

use http::Response;

use crate::support::{Endpoint, Running, config, get, routes, text};

/// An endpoint that lets everybody read.
async fn generous() -> Endpoint {
    Endpoint::start(|_| async {
        Response::builder()
            .header("access-control-allow-origin", "*")
            .header("access-control-max-age", "5")
            .header("vary", "Accept")
            .body(text("{}"))
            .unwrap()
    })
    .await
}

#[tokio::test]
async fn a_gateway_with_origins_takes_away_what_endpoints_say_and_one_without_passes_it_on() {
    let endpoint = generous().await;
    let table = routes(1, &[("a", ", default: true", &[endpoint.spec()])]);
    let origin = [("origin", "https://desk.example.com")];

    let silent = Running::on(&table).await;
    let passed = get(silent.service, "/", &origin).await;
    assert_eq!((passed.header("access-control-allow-origin"), passed.header("vary")), ("*", "Accept"));
    assert_eq!(passed.header("access-control-max-age"), "5");

    for (origins, allowed) in [("https://desk.example.com", origin[0].1), ("https://other.example.com", "")] {
        let mut config = config(&table);
        config.cors_origins = origins.parse().unwrap();
        let gateway = Running::with(config).await;
        let got = get(gateway.service, "/", &origin).await;
        assert_eq!((got.status, got.header("access-control-allow-origin")), (200, allowed), "{origins}");
        assert_eq!(got.header("access-control-max-age"), "");
        let varies: Vec<_> = got.headers.get_all("vary").iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(varies, ["Accept", "Origin"]);
    }
}
