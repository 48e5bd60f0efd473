//! Which headers may name a route.
//!
//! The header of one route decides about every request that has it, whoever it is for: of a header that requests have
//! anyway, those of all other routes would be of an unknown one. So it is a private one, whose name says that, and none that
//! means something else already.

use std::{borrow::Cow, iter};

use fundbond_protocol::headers;
use http::HeaderName;

/// As long as a name may be.
pub const LONGEST: usize = 64;

/// What a name looks like, as a regular expression. No underscore, for the next hop would refuse it.
pub const SHAPE: &str = "^[Xx]-[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$";

/// All that begin so say how a request came here.
pub const TAKEN_FAMILY: &str = "x-forwarded-";

/// Private headers that mean something else already, in small letters; beside those of [`TAKEN_FAMILY`].
pub fn taken() -> impl Iterator<Item = Cow<'static, str>> {
    let known = [
        headers::X_REAL_IP,
        headers::X_REQUEST_ID,
        headers::X_ROUTED_TO,
        headers::X_POD_ID,
        headers::X_ACCEL_BUFFERING,
    ];
    // As many call the header that says whom a request is for.
    let user = format!("x-{}", headers::USER_ID);
    known.into_iter().map(Cow::Borrowed).chain(iter::once(Cow::Owned(user)))
}

/// The header of that name, if it may name a route.
///
/// # Errors
/// A sentence that says what to write instead.
pub fn parse(text: &str) -> Result<HeaderName, String> {
    let instead = "write X-Cluster-Route, or a name of your own such as X-Desk";
    if !is_private(text) {
        let bad = "cannot name a route: it must be X- with letters, digits and dashes";
        return Err(format!("{text:?} {bad}, at most {LONGEST} characters; {instead}"));
    }
    let name = HeaderName::try_from(text).map_err(|_| format!("{text:?} is not a header name; {instead}"))?;
    let is_taken = name.as_str().starts_with(TAKEN_FAMILY) || taken().any(|taken| taken == name.as_str());
    if is_taken {
        return Err(format!("{text:?} cannot name a route: it means something else already; {instead}"));
    }
    Ok(name)
}

/// Whether it has the [`SHAPE`].
fn is_private(text: &str) -> bool {
    let own = text.strip_prefix(['X', 'x']).and_then(|rest| rest.strip_prefix('-')).unwrap_or_default();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = own.as_bytes();
    text.len() <= LONGEST && bytes.iter().copied().all(legal) && ends(bytes.first()) && ends(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_name_is_taken_however_it_is_written() {
        for name in ["X-Cluster-Route", "x-cluster-route", "X-Desk", "x-a", "X-1--2", "X-Forwarded"] {
            assert_eq!(parse(name).unwrap().as_str(), name.to_ascii_lowercase());
        }
        let longest = format!("X-{}", "a".repeat(LONGEST - 2));
        assert!(parse(&longest).is_ok() && parse(&format!("{longest}a")).is_err());
    }

    #[test]
    fn what_requests_have_anyway_and_what_a_hop_would_refuse_is_not() {
        let wrong =
            ["Accept", "Host", "user-id", "x_desk", "X-My_Desk", "X Y", "X-", "X-a-", "X--a", "X-ä", "x", ""];
        for name in wrong {
            let error = parse(name).unwrap_err();
            assert!(error.contains(&format!("{name:?}")) && error.contains("such as X-Desk"), "{error}");
        }
    }

    #[test]
    fn what_means_something_else_is_not() {
        let known = [
            "X-Forwarded-For",
            "x-forwarded-anything",
            "X-Real-IP",
            "X-Request-ID",
            "X-Routed-To",
            "X-User-ID",
        ];
        for name in known.into_iter().map(Cow::Borrowed).chain(taken()) {
            let error = parse(&name).unwrap_err();
            assert!(error.contains("something else already"), "{error}");
        }
    }
}
