use http::header::{CONTENT_ENCODING, USER_AGENT};
use proptest::prelude::*;

use super::*;

fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let one = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(one).collect()
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn headers_for_one_hop_and_those_that_connection_names_are_dropped() {
    let mut headers = map(&[
        ("connection", "close, X-Private"),
        ("connection", "user-agent"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic x"),
        ("proxy-authenticate", "Basic"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("x-private", "1"),
        ("user-agent", "curl"),
        ("content-encoding", "gzip"),
    ]);
    drop_hop_by_hop(&mut headers);
    assert!(!headers.contains_key(USER_AGENT));
    assert_eq!(headers.keys().collect::<Vec<_>>(), [CONTENT_ENCODING]);
}

#[test]
fn connection_cannot_name_identity_or_framing_away() {
    let kept = [
        "authorization",
        "content-length",
        "cookie",
        "forwarded",
        "host",
        "last-event-id",
        "traceparent",
        "user-id",
        "x-cluster-route",
        "x-forwarded-for",
        "x-real-ip",
        "x-request-id",
    ];
    let mut headers: HeaderMap = kept.iter().map(|n| (HeaderName::from_static(n), value("1"))).collect();
    headers.insert(CONNECTION, value(&kept.join(" , ")));
    drop_hop_by_hop(&mut headers);
    assert_eq!(names(&headers), kept);
}

#[test]
fn trailers_cannot_say_who_asks_or_how_the_body_is_framed() {
    let mut trailers = map(&[
        ("content-length", "1"),
        ("transfer-encoding", "chunked"),
        ("host", "evil"),
        ("user-id", "root"),
        ("x-cluster-route", "b"),
        ("x-forwarded-for", "6.6.6.6"),
        ("authorization", "Bearer x"),
        ("connection", "close"),
        ("checksum", "1"),
    ]);
    clean_trailers(&mut trailers);
    assert_eq!(names(&trailers), ["checksum"]);
}

#[test]
fn a_refusal_of_the_guard_keeps_its_status() {
    for rule in Refusal::ALL {
        let head = map(&[("host", ""), (DISGUISE, rule.name())]);
        let refused = check(&Method::GET, &Uri::from_static("/"), Version::HTTP_11, &head).unwrap_err();
        assert_eq!(refused, BadHead::Refused(rule));
        assert_eq!(refused.status(), rule.status());
    }
}

#[test]
fn what_an_untrusted_peer_says_about_the_client_is_replaced() {
    let mut headers = map(&[
        ("host", "funds.test"),
        ("forwarded", "for=6.6.6.6"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-for", "7.7.7.7"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/evil"),
        ("x-real-ip", "6.6.6.6"),
    ]);
    let trusted = ["10.9.0.0/16".parse().unwrap()];
    let peer = Peer::new("10.1.2.3".parse().unwrap(), &trusted);
    set_forwarded(&mut headers, &peer, &trusted);
    let expected = map(&[
        ("host", "funds.test"),
        ("x-forwarded-for", "10.1.2.3"),
        ("x-real-ip", "10.1.2.3"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "funds.test"),
    ]);
    assert_eq!(headers, expected);
}

#[test]
fn what_a_trusted_peer_says_about_the_client_is_continued() {
    let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
    // As a socket that takes both families shows an IPv4 peer.
    let peer = Peer::new("::ffff:10.1.2.3".parse().unwrap(), &trusted);
    assert!(peer.trusted);
    let mut headers = map(&[
        ("host", "proxy"),
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "2.2.2.2"),
        ("x-forwarded-for", "10.9.9.9"),
        ("x-forwarded-host", "funds.test"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "2.2.2.2"),
    ]);
    set_forwarded(&mut headers, &peer, &trusted);
    let expected = map(&[
        ("host", "proxy"),
        // What the client said before its own address is not passed on.
        ("x-forwarded-for", "2.2.2.2, 10.9.9.9, 10.1.2.3"),
        ("x-forwarded-host", "funds.test"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "2.2.2.2"),
    ]);
    assert_eq!(headers, expected);
}

#[test]
fn whom_the_first_hop_takes_for_the_client_the_second_does_too_though_it_trusts_more() {
    // A load balancer in the network that the second hop trusts as a whole, as do many of its clients.
    let (first, second) = (["10.0.0.5/32".parse().unwrap()], ["10.0.0.0/8".parse().unwrap()]);
    for (said, client) in [
        ("6.6.6.6, 10.1.1.1", "10.1.1.1"),
        ("6.6.6.6, , 10.1.1.1", "10.1.1.1"),
        ("6.6.6.6, 9.9.9.9", "9.9.9.9"),
        ("10.1.1.1:4711", "10.0.0.5"),
    ] {
        let mut headers = map(&[("host", "funds.test"), ("x-forwarded-for", said)]);
        let balancer = Peer::new("10.0.0.5".parse().unwrap(), &first);
        let client: IpAddr = client.parse().unwrap();
        assert_eq!(client_ip(&headers, &balancer, &first), client, "{said}");
        set_forwarded(&mut headers, &balancer, &first);
        let gateway = Peer::new("10.2.0.1".parse().unwrap(), &second);
        assert_eq!(client_ip(&headers, &gateway, &second), client, "{said}");
    }
}

#[test]
fn a_line_that_cannot_be_read_ends_the_search_for_the_client() {
    let trusted = ["10.0.0.0/8".parse().unwrap()];
    let peer = Peer::new("10.0.0.1".parse().unwrap(), &trusted);
    let lines = [&b"6.6.6.6"[..], b"10.0.0.9, caf\xe9", b"10.0.0.3"];
    let mut headers: HeaderMap =
        lines.map(|line| (X_FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap())).into_iter().collect();
    assert_eq!(client_ip(&headers, &peer, &trusted), IpAddr::from([10, 0, 0, 3]));
    set_forwarded(&mut headers, &peer, &trusted);
    assert_eq!(
        (&headers[X_FORWARDED_FOR], &headers[X_REAL_IP]),
        (&value("10.0.0.3, 10.0.0.1"), &value("10.0.0.3"))
    );
}

#[test]
fn a_head_that_two_readers_could_read_differently_is_refused() {
    let check_with = |uri: &str, version, headers: &[(&'static str, &str)]| {
        check(&Method::GET, &uri.parse().unwrap(), version, &map(headers))
    };
    let eleven = Version::HTTP_11;
    assert_eq!(check_with("/", eleven, &[("host", "a")]), Ok(()));
    assert_eq!(check_with("/", eleven, &[]), Err(BadHead::Host));
    assert_eq!(check_with("/", Version::HTTP_10, &[]), Ok(()));
    assert_eq!(check_with("/", eleven, &[("host", "a"), ("host", "a")]), Err(BadHead::Host));
    assert_eq!(check_with("http://A/", eleven, &[("host", "a")]), Ok(()));
    assert_eq!(check_with("http://b/", eleven, &[("host", "a")]), Err(BadHead::Authority));
    let coded = |coding| check_with("/", eleven, &[("host", "a"), ("transfer-encoding", coding)]);
    assert_eq!(coded("Chunked"), Ok(()));
    assert_eq!(coded("gzip, chunked"), Err(BadHead::TransferEncoding));
    assert_eq!(coded("identity"), Err(BadHead::TransferEncoding));
    let connect = check(&Method::CONNECT, &"a:443".parse().unwrap(), eleven, &map(&[("host", "a:443")]));
    assert_eq!(connect, Err(BadHead::Connect));
}

#[test]
fn the_target_keeps_its_query_and_its_encoding() {
    for (uri, strip, expected) in [
        ("/a/b?x=1", 0, "/a/b?x=1"),
        ("/a/b?x=1", 1, "/b?x=1"),
        ("/a%2Fb/c", 1, "/c"),
        ("/a?x", 3, "/?x"),
        ("http://h/a/b?x", 1, "/b?x"),
        ("http://h", 0, "/"),
    ] {
        assert_eq!(target(&uri.parse().unwrap(), strip), *expected, "{uri} {strip}");
    }
}

#[test]
fn the_routed_to_header_names_the_pod_only_where_one_answered() {
    let routed = |pairs: &[(&'static str, &str)]| {
        let mut headers = map(pairs);
        set_routed_to(&mut headers, "cluster1");
        assert!(!headers.contains_key(X_POD_ID));
        headers[X_ROUTED_TO].to_str().unwrap().to_owned()
    };
    assert_eq!(routed(&[]), "cluster1");
    assert_eq!(routed(&[("x-pod-id", "pod-a-9090")]), "cluster1/pod-a-9090");
    assert_eq!(routed(&[("x-routed-to", "cluster1/pod-a-9090")]), "cluster1/pod-a-9090");
}

proptest! {
    #[test]
    fn dropping_never_panics_and_leaves_nothing_for_one_hop(list in "[ -~]{0,60}") {
        let mut headers = map(&[("host", "a"), ("te", "x")]);
        headers.insert(CONNECTION, value(&list));
        drop_hop_by_hop(&mut headers);
        prop_assert_eq!(names(&headers), ["host"]);
    }
}

#[test]
fn the_client_is_the_last_address_that_no_trusted_proxy_wrote() {
    let trusted = ["10.0.0.0/8".parse().unwrap(), "127.0.0.1/32".parse().unwrap()];
    let check = |peer: &str, chain: &[&str], expected: &str| {
        let headers =
            chain.iter().map(|line| (X_FORWARDED_FOR, HeaderValue::from_str(line).unwrap())).collect();
        let peer = Peer::new(peer.parse().unwrap(), &trusted);
        let expected: IpAddr = expected.parse().unwrap();
        assert_eq!(client_ip(&headers, &peer, &trusted), expected, "{chain:?}");
    };
    check("9.9.9.9", &["1.1.1.1"], "9.9.9.9");
    check("10.0.0.1", &[], "10.0.0.1");
    check("10.0.0.1", &["1.1.1.1"], "1.1.1.1");
    check("127.0.0.1", &["6.6.6.6, 1.1.1.1, 10.0.0.2"], "1.1.1.1");
    check("127.0.0.1", &["6.6.6.6", "1.1.1.1", "10.0.0.2, 10.0.0.3"], "1.1.1.1");
    check("127.0.0.1", &["::ffff:1.1.1.1"], "1.1.1.1");
    check("127.0.0.1", &["2001:db8::7"], "2001:db8::7");
    check("::ffff:127.0.0.1", &["1.1.1.1"], "1.1.1.1");
    check("127.0.0.1", &["1.1.1.1, unknown, 10.0.0.2"], "10.0.0.2");
    check("127.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
}
