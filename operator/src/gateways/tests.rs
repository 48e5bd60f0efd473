use std::sync::Mutex as Lock;

use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::json;
use tokio::net::TcpListener;

use super::*;

#[test]
fn a_service_is_a_namespace_and_a_name() {
    let service: GatewayService = "fundbond/fundbond-gateway".parse().unwrap();
    assert_eq!(service.to_string(), "fundbond/fundbond-gateway");
    for bad in ["", "gateway", "/gateway", "fundbond/", "a/b/c", "Fund/bond", "fund/bond.svc"] {
        assert_eq!(bad.parse::<GatewayService>(), Err(BadService), "{bad}");
    }
}

fn slice(ports: &serde_json::Value) -> EndpointSlice {
    let slice = json!({
        "metadata": {"name": "s"}, "addressType": "IPv4", "ports": ports,
        "endpoints": [
            {"addresses": ["10.0.0.2"], "conditions": {"ready": true}, "targetRef": {"name": "gateway-b"}},
            {"addresses": ["10.0.0.3"], "conditions": {"ready": false}, "targetRef": {"name": "gateway-c"}},
            {"addresses": ["10.0.0.1"]},
        ],
    });
    serde_json::from_value(slice).unwrap()
}

#[test]
fn gateways_that_are_ready_are_asked_on_their_admin_port() {
    let places =
        places_of(&slice(&json!([{"name": "http", "port": 8000}, {"name": "admin", "port": 18000}])));
    let places: Vec<_> = places.iter().map(|place| format!("{} {}", place.gateway, place.address)).collect();
    assert_eq!(places, ["gateway-b 10.0.0.2:18000", "10.0.0.1:18000 10.0.0.1:18000"]);
    let places = places_of(&slice(&json!([{"name": "http", "port": 8000}])));
    assert_eq!(places[0].address.port(), 18000);
    for none in [json!([]), json!([{"name": "web", "port": 80}]), json!([{"name": "http", "port": 60000}])] {
        assert_eq!(places_of(&slice(&none)), []);
    }
}

/// What a gateway answers: its tag and its routes; and the tags it was asked with.
#[derive(Clone, Default)]
struct Fake(Arc<Lock<Said>>);

type Said = (&'static str, serde_json::Value, Vec<Option<String>>);

async fn answer(State(fake): State<Fake>, asked: HeaderMap) -> Response {
    let mut fake = fake.0.lock().unwrap();
    let with = asked.get(header::IF_NONE_MATCH).map(|tag| tag.to_str().unwrap().to_owned());
    let known = with.as_deref() == Some(fake.0);
    fake.2.push(with);
    let headers = [(header::ETAG, fake.0)];
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, Json(fake.1.clone())).into_response()
}

#[tokio::test]
async fn the_same_answer_is_the_same_object_and_what_is_no_answer_is_none() {
    let fake = Fake::default();
    *fake.0.lock().unwrap() = ("\"1\"", json!({"routes": {"funds/desk": 1}}), Vec::new());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = Router::new().route(APPLIED_ROUTES_PATH, get(answer)).with_state(fake.clone());
    let serving = tokio::spawn(async { axum::serve(listener, served).await });
    let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let gateways = HttpGateways::new(Client::try_from(config).unwrap(), &"fundbond/gateway".parse().unwrap());
    let place = Place { gateway: "gateway-a".into(), address };
    {
        let mut memory = gateways.memory.lock().await;
        (memory.places, memory.looked) = (vec![place], Some(Instant::now()));
    }
    let ask = async || gateways.hear().await.unwrap().remove(0).said;
    let first = ask().await.unwrap();
    assert_eq!(first.routes, [("funds/desk".to_owned(), 1)].into());
    assert!(Arc::ptr_eq(&first, &ask().await.unwrap()));
    // Another tag for the same routes is no news either.
    fake.0.lock().unwrap().0 = "\"2\"";
    assert!(Arc::ptr_eq(&first, &ask().await.unwrap()));
    *fake.0.lock().unwrap() = ("\"3\"", json!({"routes": {"funds/desk": 2}}), Vec::new());
    assert_eq!(ask().await.unwrap().routes["funds/desk"], 2);
    assert_eq!(fake.0.lock().unwrap().2, [Some("\"2\"".to_owned())]);
    *fake.0.lock().unwrap() = ("\"4\"", json!("no"), Vec::new());
    assert!(ask().await.is_none(), "it is no answer");
    serving.abort();
    assert!(gateways.memory.lock().await.looked.is_none(), "it is looked up again");
    assert!(gateways.hear().await.is_err(), "and there is nobody who would say");
}
