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
    let peer = Peer::new("10.1.2.3".parse().unwrap(), &["10.9.0.0/16".parse().unwrap()]);
    set_forwarded(&mut headers, &peer);
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
        ("x-forwarded-host", "funds.test"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "1.1.1.1"),
    ]);
    set_forwarded(&mut headers, &peer);
    let expected = map(&[
        ("host", "proxy"),
        ("x-forwarded-for", "1.1.1.1, 2.2.2.2, 10.1.2.3"),
        ("x-forwarded-host", "funds.test"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "1.1.1.1"),
    ]);
    assert_eq!(headers, expected);
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
