//! Addresses: where the server is, and how a query is written.

use std::{fmt, str::FromStr};

use http::{Uri, uri::Scheme};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters is escaped in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `http://host[:port][/prefix]`, without a slash at the end.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

/// A text that is no address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// TLS is not part of this program.
    #[error(
        "https is not built into this program; give an http:// address, for instance of a port forward \
         (kubectl port-forward service/<gateway> 8000)"
    )]
    Tls,
    /// Not an address at all.
    #[error("expected http://host:port")]
    Malformed,
}

impl ServerUrl {
    /// The address of a server on this machine.
    pub fn of_address(address: std::net::SocketAddr) -> Self {
        Self(format!("http://{address}"))
    }

    /// The address of `path` (which begins with a slash) on this server.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The address of the admin port of a process of ours that listens there: 10,000 above; none where that is no port.
    #[cfg(feature = "kubernetes")]
    pub fn admin(&self) -> Option<Self> {
        let uri: Uri = self.0.parse().ok()?;
        let port = uri.port_u16().unwrap_or(80).checked_add(10_000)?;
        Some(Self(format!("http://{}:{port}", uri.host()?)))
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServerUrl {
    type Err = UrlError;
    fn from_str(text: &str) -> Result<Self, UrlError> {
        // `127.0.0.1:8000` is what people type.
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = text.parse().map_err(|_| UrlError::Malformed)?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(scheme) if *scheme == Scheme::HTTPS => return Err(UrlError::Tls),
            _ => return Err(UrlError::Malformed),
        }
        if uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
            return Err(UrlError::Malformed);
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `?name=value&...` of `pairs`, or nothing where there are none.
pub fn query(pairs: &[(&str, &str)]) -> String {
    pairs.iter().enumerate().fold(String::new(), |text, (index, (name, value))| {
        let mark = if index == 0 { '?' } else { '&' };
        format!("{text}{mark}{}={}", utf8_percent_encode(name, QUERY), utf8_percent_encode(value, QUERY))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_and_a_host() {
        for (text, want) in [
            ("http://127.0.0.1:8000", Ok("http://127.0.0.1:8000")),
            ("127.0.0.1:8000", Ok("http://127.0.0.1:8000")),
            ("http://[::1]:8000/", Ok("http://[::1]:8000")),
            ("http://fund.example/prefix/", Ok("http://fund.example/prefix")),
            ("https://fund.example", Err(UrlError::Tls)),
            ("ftp://fund.example", Err(UrlError::Malformed)),
            ("http://", Err(UrlError::Malformed)),
            ("http://a/?x=1", Err(UrlError::Malformed)),
            ("", Err(UrlError::Malformed)),
        ] {
            assert_eq!(
                text.parse::<ServerUrl>().as_ref().map(ServerUrl::as_str),
                want.as_ref().copied(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_query_escapes_what_is_reserved() {
        assert_eq!(query(&[]), "");
        assert_eq!(query(&[("cursor", "a+b/c=="), ("limit", "5")]), "?cursor=a%2Bb%2Fc%3D%3D&limit=5");
    }
}
