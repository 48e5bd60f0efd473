//! The route file as it is written: `{generation, routes: [{match, strategy, timeouts, rateLimit, limits,
//! endpoints}]}`.
//!
//! Edge types: they say what is *spelled*, unknown fields are refused, and nothing here is validated. A
//! reader that acts on a file validates it into its own table first.

use std::{fmt, marker::PhantomData, time::Duration};

use fundbond_protocol::headers;
use jiff::{
    SignedDuration,
    fmt::friendly::{Designator, Spacing, SpanPrinter},
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
};

mod strategy;

pub use strategy::{
    AppliesTo, ConsistentHashSpec, Fallback, ShardBy, ShardGroupSpec, ShardGroupsSpec, StrategyKind,
    StrategySpec, UsersSpec,
};

/// A whole route file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteFile {
    /// Chosen by the writer, shown by the reader once it is applied: how a writer learns that it is.
    pub generation: u64,
    /// The routes; no order among them matters.
    #[serde(deserialize_with = "list")]
    pub routes: Vec<RouteSpec>,
}

/// Reads a list that must be there. YAML readers take `routes:` with nothing behind it for an empty list;
/// that is what a file looks like that is still being written, and it would take every route away.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct List<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element()? {
                list.push(item);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_any(List(PhantomData))
}

/// One route: which requests, and to where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteSpec {
    /// How metrics, logs and admin pages call it; the matched value where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which requests.
    #[serde(rename = "match")]
    pub matching: MatchSpec,
    /// How one of the endpoints is chosen.
    #[serde(default)]
    pub strategy: StrategySpec,
    /// How long each stage may take; the reader's own defaults where absent.
    #[serde(default, skip_serializing_if = "TimeoutsSpec::is_empty")]
    pub timeouts: TimeoutsSpec,
    /// How often one client may ask; as often as it likes where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimitSpec>,
    /// How much of the route may be under way at once; only the reader's own total where absent.
    #[serde(default, skip_serializing_if = "LimitsSpec::is_empty")]
    pub limits: LimitsSpec,
    /// To where.
    #[serde(deserialize_with = "list")]
    pub endpoints: Vec<EndpointSpec>,
}

/// Which requests a route takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MatchSpec {
    /// The header that names the route. It decides about every request that has it, so it is a private one, `X-` with
    /// letters, digits and dashes.
    #[serde(default = "default_header")]
    pub header: String,
    /// The value of that header, or of the query parameter `cluster`; the id of the cluster.
    pub value: String,
    /// The path must be this or lie below it, segment by segment: `/api` takes `/api/x`, not `/apis`.
    #[serde(default = "default_prefix")]
    pub path_prefix: String,
    /// How many leading path segments the endpoint does not see.
    #[serde(default)]
    pub strip_prefix: u8,
    /// Whether it also takes requests that name no route.
    #[serde(default)]
    pub default: bool,
}

fn default_header() -> String {
    headers::X_CLUSTER_ROUTE_DISPLAY.to_owned()
}

fn default_prefix() -> String {
    "/".to_owned()
}

/// How often one client, known by its address, may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimitSpec {
    /// In the long run.
    pub requests_per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}

/// How much of a route may be under way at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitsSpec {
    /// Requests that are no streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent_requests: Option<u32>,
    /// Event streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent_streams: Option<u32>,
}

impl LimitsSpec {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How long each stage of a request may take. There is deliberately no total: streams live long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeoutsSpec {
    /// Until a connection to the endpoint is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Span>,
    /// Between two pieces of a request body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_body: Option<Span>,
    /// From the last piece of the request to the head of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_headers: Option<Span>,
    /// Between two pieces of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Span>,
}

impl TimeoutsSpec {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointSpec {
    /// How logs and admin pages call it; the address where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `host:port`, `1.2.3.4:port` or `[::1]:port`.
    pub address: String,
    /// Where it answers `/readyz`; the service port + 10000 on the same host where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_address: Option<String>,
    /// Which of the groups of `strategy.shardGroups` it belongs to; only for kind `ShardGroups`, and needed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// A length of time as people write it: `2s`, `250ms`, `1m 30s`, or ISO 8601 (`PT2S`). Never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const PRINTER: SpanPrinter = SpanPrinter::new().spacing(Spacing::None).designator(Designator::Compact);

impl Span {
    /// Parses `text`.
    ///
    /// # Errors
    /// [`SpanError`], which says what a span looks like.
    pub fn parse(text: &str) -> Result<Self, SpanError> {
        let bad = || SpanError(text.to_owned());
        let span: SignedDuration = text.parse().map_err(|_| bad())?;
        Duration::try_from(span).map(Self).map_err(|_| bad())
    }
}

/// A text that is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanError(String);

impl fmt::Display for SpanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a length of time; write for example 250ms, 2s or 1m30s", self.0)
    }
}

impl std::error::Error for SpanError {}

impl std::str::FromStr for Span {
    type Err = SpanError;
    fn from_str(text: &str) -> Result<Self, SpanError> {
        Self::parse(text)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A span came from a signed one or from a constant of ours: far below the limit of the conversion.
        let span = SignedDuration::try_from(self.0).unwrap_or(SignedDuration::MAX);
        // Without spaces, as Kubernetes reads it.
        f.write_str(&PRINTER.duration_to_string(&span))
    }
}

/// What Kubernetes takes for a length of time (Go's `time.ParseDuration`), without signs and fractions.
#[cfg(feature = "schema")]
impl schemars::JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$", "maxLength": 32})
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Span {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::String).into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Span {}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_reads_as_people_write_it_and_survives_a_round_trip() {
        for (text, millis) in
            [("2s", 2000), ("250ms", 250), ("1m30s", 90_000), ("1m 30s", 90_000), ("PT2S", 2000)]
        {
            let span = Span::parse(text).unwrap();
            assert_eq!(span.0, Duration::from_millis(millis), "{text}");
            let json = serde_json::to_string(&span).unwrap();
            assert_eq!(serde_json::from_str::<Span>(&json).unwrap(), span, "{json}");
        }
        assert_eq!(Span(Duration::from_millis(1500)).to_string(), "1s500ms");
        assert_eq!(Span(Duration::from_mins(90)).to_string(), "1h30m");
        assert_eq!(Span(Duration::ZERO).to_string(), "0s");
        for text in ["", "2", "-2s", "2 parsecs"] {
            assert_eq!(Span::parse(text), Err(SpanError(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn the_smallest_file_has_the_documented_defaults() {
        let file: RouteFile = serde_json::from_str(
            r#"{"generation":7,"routes":[{"match":{"value":"cluster1"},"endpoints":[{"address":"127.0.0.1:8081"}]}]}"#,
        )
        .unwrap();
        let route = &file.routes[0];
        assert_eq!(route.matching.header, "X-Cluster-Route");
        assert_eq!(route.matching.path_prefix, "/");
        assert_eq!((route.matching.strip_prefix, route.matching.default), (0, false));
        assert_eq!(route.strategy.kind, StrategyKind::RoundRobin);
        assert!(route.timeouts.is_empty() && route.limits.is_empty() && route.rate_limit.is_none());
        let json = serde_json::to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<RouteFile>(&json).unwrap(), file);
    }

    #[test]
    fn unknown_fields_and_strategies_are_refused_by_name() {
        let check = |json: &str, expected: &str| {
            let error = serde_json::from_str::<RouteFile>(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(r#"{"generation":1,"routes":[],"extra":1}"#, "unknown field `extra`");
        check(
            r#"{"generation":1,"routes":[{"match":{"value":"a"},"strategy":{"kind":"Magic"},"endpoints":[]}]}"#,
            "unknown variant `Magic`, expected one of `RoundRobin`, `LeastStreams`, `ClientIP`, `ConsistentHash`, `ShardGroups`",
        );
        check(
            r#"{"generation":1,"routes":[{"match":{"value":"a"},"timeouts":{"idle":"soon"},"endpoints":[]}]}"#,
            "\"soon\" is not a length of time",
        );
        check(
            r#"{"generation":1,"routes":[{"match":{"value":"a"},"rateLimit":{"requestsPerSecond":5},"endpoints":[]}]}"#,
            "missing field `burst`",
        );
        check(
            r#"{"generation":1,"routes":[{"match":{"value":"a"},"limits":{"streams":5},"endpoints":[]}]}"#,
            "unknown field `streams`",
        );
    }
}
