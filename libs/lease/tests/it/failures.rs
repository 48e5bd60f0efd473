//! Each way in which a request fails, and what is said about it.

use std::time::Duration;

use fundbond_lease::{Expected, LeaseStore, Stored, Version, Written};
use http::Method;
use serde_json::json;

use crate::server::{NAMESPACE, Server, Trouble};

const NAME: &str = "k-housekeeper";

fn done(written: Written) -> Version {
    match written {
        Written::Done(version) => version,
        Written::Conflict => panic!("nothing stood in the way"),
    }
}

/// What is said where every request has `trouble`: to read, to make, and to renew.
async fn said(trouble: Trouble) -> [String; 3] {
    let server = Server::new();
    let lease = server.lease(NAME);
    let version = done(lease.write(Some("a"), Expected::Absent).await.unwrap());
    server.always(Some(trouble));
    let renewed = lease.write(Some("a"), Expected::Version(version)).await.unwrap_err().with_causes();
    let read = lease.read().await.unwrap_err().with_causes();
    let made = server.lease("new").write(Some("a"), Expected::Absent).await.unwrap_err().with_causes();
    assert_eq!(server.seen().len(), 4, "each once");
    [read, made, renewed]
}

#[tokio::test]
async fn a_verb_that_is_not_allowed_is_told_with_the_rule_that_is_missing() {
    let said = said(Trouble::Refused(403, "Forbidden", "leases is forbidden", "leases")).await;
    for (verb, said) in ["get", "create", "update"].into_iter().zip(said) {
        assert!(said.contains(&format!("may not {verb} the lease")), "{said}");
        assert!(said.contains("in namespace desk: let a Role there allow get, create and update"), "{said}");
        assert!(said.contains("leases is forbidden"), "{said}");
    }
}

#[tokio::test]
async fn a_candidate_that_is_not_known_is_told_where_its_token_comes_from() {
    for said in said(Trouble::Refused(401, "Unauthorized", "Unauthorized", "leases")).await {
        assert!(
            said.contains("does not know who asks") && said.contains("token of the service account"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn what_a_server_answers_otherwise_is_told_as_it_says_it() {
    for (code, reason) in [(429, "TooManyRequests"), (500, "InternalError"), (503, "ServiceUnavailable")] {
        for said in said(Trouble::Refused(code, reason, "later, please", "leases")).await {
            assert!(said.contains(&format!("Kubernetes answered {code}")), "{said}");
            assert!(said.contains("later, please") && said.contains("desk/"), "{said}");
        }
    }
}

#[tokio::test]
async fn an_address_that_does_not_exist_is_no_lease_that_does_not() {
    for said in said(Trouble::Foreign(404, "404 page not found")).await {
        assert!(said.contains("Kubernetes answered 404") && said.contains("page not found"), "{said}");
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_told() {
    for said in said(Trouble::Foreign(200, "<html>")).await {
        assert!(said.contains("Kubernetes gives no answer"), "{said}");
    }
}

#[tokio::test]
async fn a_namespace_that_does_not_exist_is_told() {
    let server = Server::new();
    let (namespace, name) = ("other".parse().unwrap(), NAME.parse().unwrap());
    let lease = fundbond_lease::kubernetes::KubernetesLeases::new(server.client(), &namespace, &name);
    assert_eq!(lease.read().await.unwrap(), None);
    let said = lease.write(Some("a"), Expected::Absent).await.unwrap_err().with_causes();
    assert!(said.contains("there is no namespace other") && said.contains("create it"), "{said}");
}

#[tokio::test]
async fn versions_without_an_order_are_told() {
    let server = Server::new();
    let lease = server.lease(NAME);
    done(lease.write(Some("a"), Expected::Absent).await.unwrap());
    server.number_by_letters();
    server.edit(NAME, |lease| lease["metadata"]["labels"] = json!({"a": "b"}));
    let read = lease.read().await.unwrap_err().with_causes();
    let written = lease.write(Some("a"), Expected::Version(Version(1))).await.unwrap_err().with_causes();
    server.delete(NAME);
    let made = lease.write(Some("a"), Expected::Absent).await.unwrap_err().with_causes();
    for said in [read, written, made] {
        assert!(said.contains("is no number") && said.contains("\"v10"), "{said}");
        assert!(said.contains(&format!("{NAMESPACE}/{NAME}")), "of which lease: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_says_for_how_long_its_holder_has_it() {
    let server = Server::new();
    let lease = server.lease(NAME).lasting(Duration::from_secs(40));
    let version = done(lease.write(Some("a"), Expected::Absent).await.unwrap());
    let said = || server.stored(NAME).unwrap()["spec"]["leaseDurationSeconds"].clone();
    assert_eq!(said(), 40);
    done(lease.write(Some("a"), Expected::Version(version)).await.unwrap());
    assert_eq!(said(), 40);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_nobody_waits_for_leaves_the_lease_usable() {
    let server = Server::new();
    let lease = server.lease(NAME);
    let version = done(lease.write(Some("a"), Expected::Absent).await.unwrap());
    server.next(None, Trouble::Hang);
    let attempt = lease.write(Some("a"), Expected::Version(version));
    assert!(tokio::time::timeout(Duration::from_secs(3), attempt).await.is_err());
    // It was never done; whoever knows the version may go on.
    assert!(done(lease.write(Some("a"), Expected::Version(version)).await.unwrap()) > version);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_found_as_it_was_done() {
    let server = Server::new();
    let lease = server.lease(NAME);
    server.next(None, Trouble::Lost);
    lease.write(Some("a"), Expected::Absent).await.unwrap_err();
    let Some(Stored { holder, version }) = lease.read().await.unwrap() else { panic!("it was done") };
    assert_eq!(holder.as_deref(), Some("a"));
    server.next(Some(Method::PUT), Trouble::Lost);
    lease.write(Some("a"), Expected::Version(version)).await.unwrap_err();
    assert_eq!(lease.write(Some("a"), Expected::Version(version)).await.unwrap(), Written::Conflict);
    assert!(lease.read().await.unwrap().unwrap().version > version);
}

#[tokio::test]
async fn a_renewal_is_one_request_that_says_over_what_it_is_written() {
    let server = Server::new();
    let lease = server.lease(NAME);
    assert_eq!(lease.read().await.unwrap(), None);
    let mut version = done(lease.write(Some("a"), Expected::Absent).await.unwrap());
    for _ in 0..3 {
        version = done(lease.write(Some("a"), Expected::Version(version)).await.unwrap());
    }
    lease.read().await.unwrap();
    done(lease.write(None, Expected::Version(version)).await.unwrap());
    let seen = server.seen();
    let methods: Vec<&str> = seen.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["GET", "POST", "PUT", "PUT", "PUT", "GET", "PUT"]);
    for request in seen {
        assert!(!request.target.contains("resourceVersion"), "read what is agreed on: {}", request.target);
        if request.method == Method::PUT {
            assert!(request.body["metadata"]["resourceVersion"].is_string(), "{}", request.body);
            assert!(request.body["metadata"]["uid"].is_string(), "{}", request.body);
        }
    }
}

#[tokio::test]
async fn what_others_wrote_into_the_lease_stays_there() {
    let server = Server::new();
    let lease = server.lease(NAME);
    done(lease.write(Some("a"), Expected::Absent).await.unwrap());
    let owner = json!([{"apiVersion": "fundbond.io/v1", "kind": "FundCluster", "name": "k", "uid": "u"}]);
    server.edit(NAME, |stored| {
        stored["metadata"]["labels"] = json!({"app": "desk"});
        stored["metadata"]["annotations"] = json!({"note": "by hand"});
        stored["metadata"]["ownerReferences"] = owner.clone();
        stored["spec"]["ofTomorrow"] = json!({"deep": [1, 2]});
    });
    let mut version = lease.read().await.unwrap().unwrap().version;
    for holder in [Some("a"), None, Some("b")] {
        version = done(lease.write(holder, Expected::Version(version)).await.unwrap());
        let stored = server.stored(NAME).unwrap();
        assert_eq!(stored["metadata"]["labels"], json!({"app": "desk"}));
        assert_eq!(stored["metadata"]["annotations"], json!({"note": "by hand"}));
        assert_eq!(stored["metadata"]["ownerReferences"], owner);
        assert_eq!(stored["metadata"]["namespace"], NAMESPACE);
        assert_eq!(stored["spec"]["ofTomorrow"], json!({"deep": [1, 2]}));
    }
}
