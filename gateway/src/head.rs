//! What of a head may pass a hop, and what a hop adds. Pure.

use std::net::IpAddr;

use fundbond_protocol::headers;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
    uri::PathAndQuery,
};
use ipnet::IpNet;

use crate::guard::{DISGUISE, Refusal};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static(headers::X_FORWARDED_FOR);
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static(headers::X_FORWARDED_PROTO);
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static(headers::X_FORWARDED_HOST);
const X_REAL_IP: HeaderName = HeaderName::from_static(headers::X_REAL_IP);
const FORWARDED: HeaderName = HeaderName::from_static(headers::FORWARDED);
/// `x-routed-to`.
pub(crate) const X_ROUTED_TO: HeaderName = HeaderName::from_static(headers::X_ROUTED_TO);
/// `x-pod-id`.
pub(crate) const X_POD_ID: HeaderName = HeaderName::from_static(headers::X_POD_ID);

/// Meant for the next hop alone (RFC 9110, 7.6.1, and what older software sends).
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Who asks, for what, and how it is framed: a client cannot have these dropped on the way by naming them
/// in `Connection`. See [`is_identity`] for the rest.
const NEVER_DROPPED: [HeaderName; 12] = [
    AUTHORIZATION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    COOKIE,
    HOST,
    TRAILER,
    FORWARDED,
    X_REAL_IP,
    X_ROUTED_TO,
    HeaderName::from_static(headers::X_CLUSTER_ROUTE),
    HeaderName::from_static(headers::USER_ID),
    HeaderName::from_static(headers::TRACEPARENT),
];

/// Whether a header says who asks or how the request came here.
fn is_identity(name: &HeaderName) -> bool {
    // Whatever ends in `-id` names somebody or something: a user, a request, an event, a pod.
    let text = name.as_str();
    NEVER_DROPPED.contains(name) || text.starts_with("x-forwarded-") || text.ends_with("-id")
}

/// A request that is not passed on, whatever the routes say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHead {
    /// A tunnel is asked for.
    #[error("CONNECT is not offered here; send the request itself")]
    Connect,
    /// Not exactly one `Host`.
    #[error("exactly one Host header is needed")]
    Host,
    /// The request line names another host than `Host`.
    #[error("the host in the request line differs from the Host header")]
    Authority,
    /// A framing that the next hop may read differently.
    #[error("the only Transfer-Encoding accepted is chunked")]
    TransferEncoding,
    /// A name that some servers take for another: to them `x_real_ip` is `x-real-ip`, which a hop would have
    /// replaced.
    #[error("the header name {0} has an underscore; write dashes")]
    Underscore(HeaderName),
    /// The guard refused it.
    #[error(transparent)]
    Refused(Refusal),
}

impl BadHead {
    /// What the client is answered.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Refused(refusal) => refusal.status(),
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// Whether a request may be passed on at all.
///
/// # Errors
/// [`BadHead`], whose text says what to send instead.
pub(crate) fn check(
    method: &Method,
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
) -> Result<(), BadHead> {
    if method == Method::CONNECT {
        return Err(BadHead::Connect);
    }
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() || (host.is_none() && version >= Version::HTTP_11) {
        return Err(BadHead::Host);
    }
    if let (Some(authority), Some(host)) = (uri.authority(), host)
        && !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes())
    {
        return Err(BadHead::Authority);
    }
    if !is_coded_plainly(headers) {
        return Err(BadHead::TransferEncoding);
    }
    match headers.keys().find(|name| name.as_str().contains('_')) {
        Some(name) if name == DISGUISE => Err(BadHead::Refused(disguised(&headers[name]))),
        Some(name) => Err(BadHead::Underscore(name.clone())),
        None => Ok(()),
    }
}

/// What the guard wrote.
fn disguised(value: &HeaderValue) -> Refusal {
    value.to_str().ok().and_then(Refusal::named).unwrap_or(Refusal::RequestLine)
}

/// Whether the body is in chunks, or not coded at all: another coding would have to be undone here, as the
/// header that names it goes no further than this hop.
pub(crate) fn is_coded_plainly(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match codings.next() {
        Some(coding) => codings.next().is_none() && coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        None => true,
    }
}

/// Drops what is meant for this hop alone, and what `Connection` names, except identity and framing.
pub(crate) fn drop_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        // The chunks count (RFC 9112, 6.3); a length beside them would cut the body where it says.
        headers.remove(CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| {
            let name = name.trim();
            // The two values nearly every client sends name no header of their own.
            let common = name.eq_ignore_ascii_case("close") || name.eq_ignore_ascii_case("keep-alive");
            if common { None } else { name.parse::<HeaderName>().ok() }
        })
        .collect();
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    for name in named {
        if !is_identity(&name) {
            headers.remove(name);
        }
    }
}

/// Drops from trailers what only a head may say: some servers read both as one.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    let misplaced: Vec<HeaderName> =
        trailers.keys().filter(|name| is_identity(name) || HOP_BY_HOP.contains(name)).cloned().collect();
    for name in misplaced {
        trailers.remove(name);
    }
}

/// The peer of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its address, IPv4 also where it came as an IPv4-mapped IPv6 one.
    pub(crate) ip: IpAddr,
    /// Whether what it says about the original client is believed.
    pub(crate) trusted: bool,
}

impl Peer {
    /// The peer at `ip`, trusted if one of `trusted` holds it.
    pub(crate) fn new(ip: IpAddr, trusted: &[IpNet]) -> Self {
        let ip = ip.to_canonical();
        Self { ip, trusted: trusted.iter().any(|net| net.contains(&ip)) }
    }
}

/// What is believed of `X-Forwarded-For`, from its end: the addresses of trusted proxies, and the one before them, which is
/// that of the client. Everything before it can be made up, and so can everything before what cannot be read.
fn believed<'a>(
    headers: &'a HeaderMap,
    peer: &Peer,
    trusted: &'a [IpNet],
) -> impl Iterator<Item = IpAddr> + use<'a> {
    // The last line first, and of each line the last entry.
    let lines = headers.get_all(X_FORWARDED_FOR).into_iter().rev();
    let entries = lines.map_while(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
    let mut by_trusted = peer.trusted;
    entries.map_while(move |entry| {
        if !by_trusted {
            return None;
        }
        let ip = entry.trim().parse::<IpAddr>().ok()?.to_canonical();
        by_trusted = trusted.iter().any(|net| net.contains(&ip));
        Some(ip)
    })
}

/// Who sent a request that came from `peer`: behind trusted proxies the last address of `X-Forwarded-For` that is not one
/// of them; else the peer.
pub(crate) fn client_ip(headers: &HeaderMap, peer: &Peer, trusted: &[IpNet]) -> IpAddr {
    believed(headers, peer, trusted).last().unwrap_or(peer.ip)
}

/// Says who the client is: what is believed of a trusted peer, continued; what anybody else said, replaced. The next hop may
/// trust more networks than this one, that of the client among them, so it is not shown what the client may have made up.
pub(crate) fn set_forwarded(headers: &mut HeaderMap, peer: &Peer, trusted: &[IpNet]) {
    let host = headers.get(HOST).cloned();
    if peer.trusted {
        let mut chain: Vec<_> = believed(headers, peer, trusted).map(|ip| ip.to_string()).collect();
        chain.reverse();
        chain.push(peer.ip.to_string());
        // The first that is believed: the client.
        let client = value(&chain[0]);
        headers.insert(X_FORWARDED_FOR, value(&chain.join(", ")));
        headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
        headers.entry(X_REAL_IP).or_insert(client);
        if let Some(host) = host {
            headers.entry(X_FORWARDED_HOST).or_insert(host);
        }
        return;
    }
    // Every spelling that some software believes goes: -port, -prefix, -server, -ssl and what comes next.
    let spoofed: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("x-forwarded-")).cloned().collect();
    for name in spoofed {
        headers.remove(name);
    }
    headers.remove(FORWARDED);
    let ip = value(&peer.ip.to_string());
    headers.insert(X_FORWARDED_FOR, ip.clone());
    headers.insert(X_REAL_IP, ip);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    if let Some(host) = host {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// Prepares the headers of a request for its endpoint.
pub(crate) fn to_upstream(
    headers: &mut HeaderMap,
    peer: &Peer,
    trusted: &[IpNet],
    endpoint_host: impl Fn() -> String,
) {
    drop_hop_by_hop(headers);
    // This hop answers `100 Continue` itself, as soon as the endpoint reads the body.
    headers.remove(EXPECT);
    if !headers.contains_key(HOST) {
        // HTTP/1.0 needs none, HTTP/1.1 does.
        headers.insert(HOST, value(&endpoint_host()));
    }
    set_forwarded(headers, peer, trusted);
}

/// The target as the endpoint sees it: path without `strip` segments, query untouched.
pub(crate) fn target(uri: &Uri, strip: usize) -> Uri {
    let stripped = crate::decide::strip_segments(uri.path(), strip);
    let path_and_query = match (strip, uri.path_and_query(), uri.query()) {
        (0, Some(whole), _) => Some(whole.clone()),
        (_, _, Some(query)) => PathAndQuery::try_from(format!("{stripped}?{query}")).ok(),
        (_, _, None) => PathAndQuery::try_from(stripped).ok(),
    };
    // A piece of a legal target is legal; `/` is never reached.
    Uri::from(path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/")))
}

/// Names cluster and pod: `cluster1/pod-a-9090` where a pod says its name, what the next hop says where it
/// did so, the cluster alone where nobody was reached.
pub(crate) fn set_routed_to(headers: &mut HeaderMap, cluster: &str) {
    match headers.remove(X_POD_ID).and_then(|pod| pod.to_str().ok().map(str::to_owned)) {
        Some(pod) => {
            headers.insert(X_ROUTED_TO, value(&format!("{cluster}/{pod}")));
        }
        None => {
            headers.entry(X_ROUTED_TO).or_insert_with(|| value(cluster));
        }
    }
}

/// A header value from text that holds only visible ASCII; empty otherwise.
pub(crate) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
