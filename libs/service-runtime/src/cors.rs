//! Which web pages may call a service from a browser: CORS, decided once for every hop. Pure.
//!
//! A page of another origin may call where its origin is allowed: the origin is echoed, with credentials, so that a
//! list of origins and `any` behave the same. Pages of origins that are not allowed get answers without a word of
//! CORS, which a browser keeps from them. Where nothing is configured a hop says and hides nothing, so that the hop
//! behind it may decide: exactly one hop has the last word.

use std::{fmt, str::FromStr, sync::Arc};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

/// How long a browser may remember what a preflight said: an hour, as a change of origins is a rollout.
const MAX_AGE: &str = "3600";

/// What pages may do where they may call at all; the paths know their own methods.
const METHODS: &str = "GET, POST, PUT, DELETE, OPTIONS";

/// What one hop says, no other hop says.
const SAID: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

/// Whose pages may call, beside the service's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Nobody's; CORS is none of this hop's business.
    #[default]
    Same,
    /// Everybody's: for a machine of one's own.
    Any,
    /// Those of these origins.
    These(Arc<[String]>),
}

/// What one request asked, and is told: say it with [`speak`](Self::speak), whatever the answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word(Option<Said>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    /// The origin whose page may read the answer, where there is one and it may.
    allowed: Option<HeaderValue>,
    /// The headers a page wants to send, where it asks first.
    preflight: Option<Vec<HeaderValue>>,
}

impl Origins {
    /// What the request with this head is told.
    pub fn hear(&self, method: &Method, request: &HeaderMap) -> Word {
        if *self == Self::Same {
            return Word(None);
        }
        let mut given = request.get_all(header::ORIGIN).iter();
        let origin = match (given.next(), given.next()) {
            (Some(one), None) => Some(one),
            _ => None,
        };
        let asks_first = *method == Method::OPTIONS
            && request.contains_key(header::ORIGIN)
            && request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let wanted = request.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS);
        Word(Some(Said {
            allowed: origin.filter(|origin| self.allow(origin)).and_then(copy),
            preflight: asks_first.then(|| wanted.iter().filter_map(copy).collect()),
        }))
    }

    fn allow(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Same => false,
            Self::Any => true,
            Self::These(origins) => origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()),
        }
    }
}

/// The value itself shares the memory of the whole request head, and the answer may live long.
fn copy(value: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_bytes(value.as_bytes()).ok()
}

impl Word {
    /// Whether the request only asks what a page may do: answer 204 and look no further.
    pub fn is_preflight(&self) -> bool {
        self.0.as_ref().is_some_and(|said| said.preflight.is_some())
    }

    /// Tells the browser what the page may do, and that it may read the answer and its headers `exposed`. Takes away
    /// what hops behind said about that.
    pub fn speak(self, answer: &mut HeaderMap, exposed: &'static str) {
        let Some(Said { allowed, preflight }) = self.0 else { return };
        for name in SAID {
            answer.remove(name);
        }
        // Also where nothing is allowed: a cache must not give this answer to a page of another origin.
        if !varies_by_origin(answer) {
            answer.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = allowed else { return };
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        let Some(wanted) = preflight else {
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
            return;
        };
        answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        for names in wanted {
            answer.append(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
        }
    }
}

fn varies_by_origin(answer: &HeaderMap) -> bool {
    let lines = answer.get_all(header::VARY).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|name| matches!(name.trim(), "*" | "Origin" | "origin"))
}

impl FromStr for Origins {
    type Err = String;

    /// `same`, `any`, or origins parted by commas.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "same" => Ok(Self::Same),
            "any" | "*" => Ok(Self::Any),
            list => Ok(Self::These(list.split(',').map(origin).collect::<Result<_, _>>()?)),
        }
    }
}

/// An origin as browsers write it, or what is wrong with it.
fn origin(text: &str) -> Result<String, String> {
    let text = text.trim();
    let wrong = |why: &str| {
        format!(
            "{text:?} {why}; an origin is like https://desk.example.com or http://localhost:4200, others are `same` and `any`"
        )
    };
    let uri: Uri = text.parse().map_err(|_| wrong("is no origin"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong("has no scheme or no host"));
    };
    if !matches!(scheme, "http" | "https") {
        return Err(wrong("is neither http nor https"));
    }
    // `Uri` adds a slash where there was none.
    if text.len() != scheme.len() + "://".len() + authority.as_str().len() {
        return Err(wrong("has a path"));
    }
    if authority.as_str().contains('@') || authority.host().contains('*') {
        return Err(wrong("names more than a host and a port"));
    }
    let usual = if scheme == "http" { 80 } else { 443 };
    if authority.port_u16() == Some(usual) {
        return Err(wrong("names the usual port, which browsers leave out"));
    }
    // Browsers write scheme and host in lower case.
    Ok(text.to_ascii_lowercase())
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("same"),
            Self::Any => f.write_str("any"),
            Self::These(origins) => f.write_str(&origins.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPOSED: &str = "x-seen";

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn said(answer: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<_> =
            answer.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    fn dressed(origins: &str, request: &[(HeaderName, &str)], answer: &[(HeaderName, &str)]) -> Vec<String> {
        let mut answer = headers(answer);
        let word = origins.parse::<Origins>().unwrap().hear(&Method::GET, &headers(request));
        assert!(!word.is_preflight());
        word.speak(&mut answer, EXPOSED);
        said(&answer)
    }

    const LIST: &str = "https://desk.example.com, http://localhost:4200";
    const ALLOWED: [&str; 4] = [
        "access-control-allow-credentials: true",
        "access-control-allow-origin: http://localhost:4200",
        "access-control-expose-headers: x-seen",
        "vary: Origin",
    ];

    #[test]
    fn an_allowed_origin_is_echoed_with_credentials() {
        let request = [(header::ORIGIN, "http://localhost:4200")];
        assert_eq!(dressed(LIST, &request, &[]), ALLOWED);
        assert_eq!(dressed("any", &request, &[]), ALLOWED);
    }

    #[test]
    fn other_origins_and_no_origin_get_nothing_but_vary() {
        for request in [
            &[][..],
            &[(header::ORIGIN, "https://evil.example.com")],
            &[(header::ORIGIN, "https://desk.example.com.evil.com")],
            &[(header::ORIGIN, "https://desk.example.com:8443")],
            &[(header::ORIGIN, "http://desk.example.com")],
            &[(header::ORIGIN, "null")],
            &[(header::ORIGIN, "http://localhost:4200"), (header::ORIGIN, "https://desk.example.com")],
        ] {
            assert_eq!(dressed(LIST, request, &[]), ["vary: Origin"], "{request:?}");
        }
    }

    #[test]
    fn the_hop_that_decides_has_the_last_word_and_the_others_say_nothing() {
        let request = [(header::ORIGIN, "http://localhost:4200")];
        let behind = [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (header::ACCESS_CONTROL_MAX_AGE, "5"),
            (header::VARY, "Accept"),
        ];
        let mut want = ALLOWED.to_vec();
        want.insert(3, "vary: Accept");
        assert_eq!(dressed(LIST, &request, &behind), want);
        assert_eq!(dressed("https://other.example.com", &request, &behind), ["vary: Accept", "vary: Origin"]);
        let untouched = ["access-control-allow-origin: *", "access-control-max-age: 5", "vary: Accept"];
        assert_eq!(dressed("same", &request, &behind), untouched);
        for line in ["Accept, Origin", "*"] {
            assert_eq!(dressed(LIST, &[], &[(header::VARY, line)]), [format!("vary: {line}")]);
        }
    }

    #[test]
    fn a_preflight_is_permitted_what_it_asks_for() {
        let request = [
            (header::ORIGIN, "http://localhost:4200"),
            (header::ACCESS_CONTROL_REQUEST_METHOD, "POST"),
            (header::ACCESS_CONTROL_REQUEST_HEADERS, "content-type,x-anything"),
        ];
        let request = headers(&request);
        let permitted = |origins: &str| {
            let origins: Origins = origins.parse().unwrap();
            let mut answer = HeaderMap::new();
            let word = origins.hear(&Method::OPTIONS, &request);
            let preflight = word.is_preflight();
            word.speak(&mut answer, EXPOSED);
            (preflight, said(&answer))
        };
        let want = [
            "access-control-allow-credentials: true",
            "access-control-allow-headers: content-type,x-anything",
            "access-control-allow-methods: GET, POST, PUT, DELETE, OPTIONS",
            "access-control-allow-origin: http://localhost:4200",
            "access-control-max-age: 3600",
            "vary: Origin",
        ];
        assert_eq!(permitted(LIST), (true, want.map(str::to_owned).to_vec()));
        assert_eq!(permitted("https://other.example.com"), (true, vec!["vary: Origin".to_owned()]));
        assert_eq!(permitted("same"), (false, vec![]));
    }

    #[test]
    fn only_what_a_browser_asks_before_a_call_is_a_preflight() {
        let origin = (header::ORIGIN, "http://localhost:4200");
        let method = (header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
        let is = |method: Method, pairs: &[_]| Origins::Any.hear(&method, &headers(pairs)).is_preflight();
        assert!(is(Method::OPTIONS, &[origin.clone(), method.clone()]));
        assert!(!is(Method::OPTIONS, std::slice::from_ref(&origin)));
        assert!(!is(Method::OPTIONS, std::slice::from_ref(&method)));
        assert!(!is(Method::POST, &[origin, method]));
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_refused_with_the_reason() {
        for (wrong, why) in [
            ("", "is no origin"),
            ("desk.example.com", "has no scheme"),
            ("https://desk.example.com/", "has a path"),
            ("https://desk.example.com/app", "has a path"),
            ("https://desk.example.com:443", "usual port"),
            ("http://localhost:80", "usual port"),
            ("ftp://desk.example.com", "neither http nor https"),
            ("https://*.example.com", "more than a host"),
            ("https://me@example.com", "more than a host"),
            ("null", "has no scheme"),
            ("https://a.example.com,", "is no origin"),
        ] {
            let error = wrong.parse::<Origins>().unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
        let upper: Origins = "HTTPS://Desk.Example.COM".parse().unwrap();
        assert_eq!(upper.to_string(), "https://desk.example.com");
        for text in ["same", "any", "https://a.example,http://[::1]:4200"] {
            assert_eq!(text.parse::<Origins>().unwrap().to_string(), text);
        }
    }
}
