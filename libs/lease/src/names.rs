//! Names as Kubernetes takes them, checked before anything is asked for by them.

use std::{fmt, str::FromStr};

/// A text that cannot be such a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} cannot name a {what} in Kubernetes: give lowercase letters, digits and '-'{dots}, a letter or digit at both \
     ends, at most {longest} characters"
)]
pub struct BadName {
    text: String,
    what: &'static str,
    dots: &'static str,
    longest: usize,
}

/// The name of a lease: labels parted by dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseName(String);

/// The name of a namespace: one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace(String);

impl LeaseName {
    /// The longest one: what fits into a name of the DNS.
    const LONGEST: usize = 253;

    /// As Kubernetes writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Namespace {
    /// The longest one: what fits into one label of the DNS.
    const LONGEST: usize = 63;

    /// As Kubernetes writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whom an object goes with: when that is deleted, the object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The API that it is of, as `group/version`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid: another one of the same name is another owner.
    pub uid: String,
}

/// A text that names no owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no owner: give GROUP/VERSION/KIND/NAME/UID, as in fundbond.dev/v1alpha1/FundCluster/desk/0a1b..."
)]
pub struct BadOwner(String);

impl FromStr for Owner {
    type Err = BadOwner;

    fn from_str(text: &str) -> Result<Self, BadOwner> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            [group, version, kind, name, uid] if parts.iter().all(|part| !part.is_empty()) => Ok(Self {
                api_version: format!("{group}/{version}"),
                kind: kind.to_owned(),
                name: name.to_owned(),
                uid: uid.to_owned(),
            }),
            _ => Err(BadOwner(text.to_owned())),
        }
    }
}

impl fmt::Display for LeaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for LeaseName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let fits = text.len() <= Self::LONGEST && text.split('.').all(is_label);
        let bad =
            || BadName { text: text.into(), what: "lease", dots: ", parted by '.'", longest: Self::LONGEST };
        if fits { Ok(Self(text.to_owned())) } else { Err(bad()) }
    }
}

impl FromStr for Namespace {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let fits = text.len() <= Self::LONGEST && is_label(text);
        let bad = || BadName { text: text.into(), what: "namespace", dots: "", longest: Self::LONGEST };
        if fits { Ok(Self(text.to_owned())) } else { Err(bad()) }
    }
}

fn is_label(text: &str) -> bool {
    let of_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [text.as_bytes().first(), text.as_bytes().last()];
    ends.into_iter().all(|end| end.is_some_and(|end| of_label(*end)))
        && text.bytes().all(|byte| of_label(byte) || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_kubernetes_takes() {
        let lease = |text: &str| text.parse::<LeaseName>().is_ok();
        let namespace = |text: &str| text.parse::<Namespace>().is_ok();
        for good in ["a", "0", "k-housekeeper", "a0-b"] {
            assert!(lease(good) && namespace(good), "{good}");
        }
        for bad in
            ["", "-", "-a", "a-", "A", "a_b", "a~b", "ä", "a b", ".", "a.", ".a", "a..b", "a.-b", "a-.b"]
        {
            assert!(!lease(bad) && !namespace(bad), "{bad}");
        }
        assert_eq!("a.b-c.d".parse::<LeaseName>().unwrap().to_string(), "a.b-c.d");
        assert_eq!("a-b".parse::<Namespace>().unwrap().to_string(), "a-b");
        assert!(lease("a.b-c.d") && !namespace("a.b"));
        assert!(lease(&"a".repeat(253)) && !lease(&"a".repeat(254)));
        assert!(namespace(&"a".repeat(63)) && !namespace(&"a".repeat(64)));
    }

    #[test]
    fn a_bad_name_is_told_with_what_a_good_one_is() {
        let error = "Desk_1".parse::<LeaseName>().unwrap_err().to_string();
        assert!(error.contains("\"Desk_1\" cannot name a lease") && error.contains("253"), "{error}");
        let error = "a.b".parse::<Namespace>().unwrap_err().to_string();
        assert!(error.contains("cannot name a namespace") && !error.contains("parted"), "{error}");
    }
}
