//! Takes out what must not leave the machine: rather too much than too little.
//!
//! Two ways: by the name of a field, a variable or an option, whatever its value is; and by what a value looks like, wherever
//! it stands. Names of Secrets stay: they are no secrets, and a missing one is a trouble to be found.

use std::{cell::Cell, collections::hash_map::RandomState, hash::BuildHasher as _, sync::LazyLock};

use regex::{Captures, Regex};
use serde_json::{Map, Value};

/// What stands in its place.
pub const REDACTED: &str = "REDACTED";

/// Annotations with the whole object in them once more, as somebody wrote it.
const COPIES: [&str; 2] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/last-applied-configuration",
];

/// Fields that say where a secret is, and not what it is.
const REFERENCES: [&str; 5] =
    ["secretName", "credentialsSecret", "imagePullSecrets", "secretKeyRef", "secretRef"];

fn pattern(text: &str) -> Regex {
    // Each is a constant of this file, and a test uses all of them.
    #[allow(clippy::expect_used, reason = "a pattern that is none fails every test")]
    Regex::new(text).expect("a pattern of this file")
}

/// Names of what is secret.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix) pass(word|wd|phrase|code)? ( $ | [^a-z] ) | passw | pwd | secret | token | credential | authorization | cookie
          | (api|access|private|signing|encryption|session|auth|secret) [-_.]? key | session [-_.]? id | \bdsn\b | _dsn$
          | [-_.] (key|auth|pin|salt|cert|psk) $ | ^ (auth|pin|salt|psk) $",
    )
});

/// A private key, or anything between such lines.
static PEM: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)")
});

/// Name and password of an address. To the last `@`: a password may have one, or a slash.
static USER_INFO: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"([A-Za-z][A-Za-z0-9+.-]*://)[^\s"'<>`\\]*@"#));

/// What follows the name of a way to prove who one is.
static PROOF: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\b(bearer|basic|digest)\s+[A-Za-z0-9._~+/=-]{6,}"));

/// JSON Web Tokens, keys of AWS, tokens of GitHub, GitLab and Slack.
static KNOWN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}(\.[A-Za-z0-9_-]*)?|\b(AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bglpat-[A-Za-z0-9_-]{16,}|\bxox[abpr]-[A-Za-z0-9-]{10,}",
    )
});

/// `password=...`, `"token": "..."`, `--api-key ...`, also where quotes are escaped.
static PAIR: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?ix)
        ( [a-z0-9_.-]* (?: passw(?:or)?d | passphrase | pwd | secret | token | credential s? | authorization | cookie
            | (?:api|access|private|signing|encryption|session|auth) [-_]? key | session [-_]? id ) [a-z0-9_.-]*
          \\* ["']? \s* (?: [=:] \s* | (?-i: \x20 ) ) )
        ( \\* " [^"\\]* (?: \\[^"] [^"\\]* )* \\* "? | ' [^']* ' | [^\s"'&,;}\])]+ )"#,
    )
});

/// Users, as logs and paths name them.
static USER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)(\\*["']?\b(?:user[-_]?id|user)\\*["']?\s*[=:]\s*\\*["']?|/api/sse/(?:connect|status|close)/)([^\s"'\\&,;}\])/?]+)"#,
    )
});

/// Takes out of texts and objects what must not leave the machine, and counts.
pub struct Redactor {
    /// Others stand in place of users: the same for the same user in this report, and in no other.
    users: Option<RandomState>,
    count: Cell<usize>,
}

impl Redactor {
    /// `users`: whether their ids are replaced as well.
    pub fn new(users: bool) -> Self {
        Self { users: users.then(RandomState::new), count: Cell::new(0) }
    }

    /// How often something was taken out.
    pub fn count(&self) -> usize {
        self.count.get()
    }

    fn counted(&self) -> String {
        self.count.set(self.count.get() + 1);
        REDACTED.to_owned()
    }

    /// `text`, line by line a log or anything else.
    pub fn text(&self, text: &str) -> String {
        let text = PEM.replace_all(text, |_: &Captures<'_>| self.counted());
        let text = USER_INFO.replace_all(&text, |it: &Captures<'_>| format!("{}{}@", &it[1], self.counted()));
        let text = PROOF.replace_all(&text, |it: &Captures<'_>| format!("{} {}", &it[1], self.counted()));
        let text = KNOWN.replace_all(&text, |_: &Captures<'_>| self.counted());
        let text = PAIR.replace_all(&text, |it: &Captures<'_>| self.pair(it));
        match &self.users {
            None => text.into_owned(),
            Some(salt) => {
                let other = |it: &Captures<'_>| format!("{}user-{:016x}", &it[1], salt.hash_one(&it[2]));
                USER.replace_all(&text, other).into_owned()
            }
        }
    }

    /// The value of a pair, without what it is; quotes and what escapes them stay, so that JSON stays JSON.
    fn pair(&self, it: &Captures<'_>) -> String {
        let value = &it[2];
        // It was taken out already, or it says only whether.
        let says_nothing = ["true", "false", "null", "none", "bearer", "basic", "digest"];
        if value.contains(REDACTED) || says_nothing.contains(&&*value.to_ascii_lowercase()) {
            return it[0].to_owned();
        }
        // A name followed by a word is a sentence, unless it is an option.
        let by_space = it[1].ends_with(' ') && !it[1].trim_end().ends_with([':', '=']);
        if by_space && !it[1].starts_with("--") {
            return it[0].to_owned();
        }
        let opening = value.len() - value.trim_start_matches(['\\', '"', '\'']).len();
        let closing = value.trim_end_matches(['\\', '"', '\'']).len().max(opening);
        format!("{}{}{}{}", &it[1], &value[..opening], self.counted(), &value[closing..])
    }

    /// An object of Kubernetes, or anything like it.
    pub fn object(&self, value: Value) -> Value {
        match value {
            Value::Object(fields) => Value::Object(self.fields(fields)),
            Value::Array(items) => Value::Array(self.items(items)),
            Value::String(text) => Value::String(self.text(&text)),
            other => other,
        }
    }

    fn fields(&self, fields: Map<String, Value>) -> Map<String, Value> {
        // `{name: DB_PASSWORD, value: ...}`: a variable.
        let of_variable = fields.get("name").and_then(Value::as_str).is_some_and(|name| NAME.is_match(name));
        let kept = fields
            .into_iter()
            .filter(|(name, _)| name != "managedFields" && !COPIES.contains(&name.as_str()));
        kept.map(|(name, value)| {
            let is_secret = NAME.is_match(&name) && !REFERENCES.contains(&name.as_str());
            let value = match value {
                Value::String(_) | Value::Number(_) if is_secret || (of_variable && name == "value") => {
                    Value::String(self.counted())
                }
                value if REFERENCES.contains(&name.as_str()) => value,
                value => self.object(value),
            };
            (name, value)
        })
        .collect()
    }

    /// Also `["--password", "..."]`.
    fn items(&self, items: Vec<Value>) -> Vec<Value> {
        let mut after_option = false;
        let items = items.into_iter().map(|item| match item {
            Value::String(text) => {
                let is_value = std::mem::take(&mut after_option) && !text.starts_with('-');
                after_option = text.starts_with('-') && !text.contains('=') && NAME.is_match(&text);
                Value::String(if is_value { self.counted() } else { self.text(&text) })
            }
            other => self.object(other),
        });
        items.collect()
    }
}
