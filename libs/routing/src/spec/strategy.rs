//! `strategy: {kind, consistentHash, shardGroups}`: how one of the endpoints is chosen. The words are those of a
//! FundCluster's `routing`, which shares the closed lists among them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::list;
use crate::LoadBound;
use fundbond_protocol::headers;

/// How one of the endpoints is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StrategySpec {
    /// Which strategy: `RoundRobin`, one after the other; `LeastStreams`, of two drawn at random the one with fewer
    /// streams and requests under way; `ClientIP`, always the same for one client address; `ConsistentHash`, always the
    /// same for one value of a header; `ShardGroups`, one of the group that the user belongs to.
    pub kind: StrategyKind,
    /// For kind `ConsistentHash`; its defaults where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistent_hash: Option<ConsistentHashSpec>,
    /// For kind `ShardGroups`, and needed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard_groups: Option<ShardGroupsSpec>,
}

impl From<StrategyKind> for StrategySpec {
    fn from(kind: StrategyKind) -> Self {
        Self { kind, consistent_hash: None, shard_groups: None }
    }
}

/// The ways to choose one of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum StrategyKind {
    /// One after the other.
    #[default]
    RoundRobin,
    /// Of two drawn at random, the one with fewer streams and requests under way.
    LeastStreams,
    /// One client's requests go to one place.
    #[serde(rename = "ClientIP")]
    ClientIp,
    /// One user's requests go to one place.
    ConsistentHash,
    /// Users belong to groups.
    ShardGroups,
}

impl StrategyKind {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RoundRobin => "RoundRobin",
            Self::LeastStreams => "LeastStreams",
            Self::ClientIp => "ClientIP",
            Self::ConsistentHash => "ConsistentHash",
            Self::ShardGroups => "ShardGroups",
        }
    }
}

/// One user's requests go to one endpoint, and few users move when endpoints come and go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ConsistentHashSpec {
    /// The header that names the user; `user-id` where absent. Requests without it go round.
    pub header: String,
    /// Which requests: `Writes` (POST, PUT, PATCH and DELETE, and what says `operation-type: write`), as where absent, or
    /// `All`. The others go round.
    pub applies_to: AppliesTo,
    /// No endpoint is given more than its fair share of what is under way times this, from 1.05 to 10, 1.25 where absent:
    /// who would be too many goes to the next.
    pub load_bound: LoadBound,
}

impl Default for ConsistentHashSpec {
    fn default() -> Self {
        Self {
            header: headers::USER_ID.to_owned(),
            applies_to: AppliesTo::default(),
            load_bound: LoadBound::default(),
        }
    }
}

/// Which requests are hashed. Writes are POST, PUT, PATCH and DELETE, and what says `operation-type: write`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AppliesTo {
    /// Those that change something.
    #[default]
    Writes,
    /// All.
    All,
}

/// Users belong to groups of endpoints. Who they are the header `user-id` says, or the path of their stream; requests that
/// name no user go round all endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShardGroupsSpec {
    /// How users are dealt out: `Range`, by ranges of their number, as where absent; `Modulo`, in turn.
    #[serde(default)]
    pub by: ShardBy,
    /// The groups; by `Range` in the order of their users, by `Modulo` in the order of their remainders.
    #[serde(deserialize_with = "list")]
    pub groups: Vec<ShardGroupSpec>,
    /// Whether users between the ranges may belong to no group; they may not where absent.
    #[serde(default)]
    pub allow_gaps: bool,
    /// Where requests go whose user is in no group: to `Any` endpoint, as where absent, or nowhere (`Reject`).
    #[serde(default)]
    pub fallback: Fallback,
}

/// How users are dealt out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ShardBy {
    /// By ranges of their number.
    #[default]
    Range,
    /// In turn: the number of the group is that of the user modulo the number of groups.
    Modulo,
}

/// Where requests go whose user is in no group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Fallback {
    /// Anywhere.
    #[default]
    Any,
    /// Nowhere: they are refused.
    Reject,
}

/// A group of endpoints: those that name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShardGroupSpec {
    /// How endpoints call it.
    pub name: String,
    /// Which users are its own: by `Range`, and only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<UsersSpec>,
}

/// A range of users by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UsersSpec {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
}

impl Serialize for LoadBound {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.get())
    }
}

impl<'de> Deserialize<'de> for LoadBound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for LoadBound {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::Number)
            .minimum(Some(Self::LEAST))
            .maximum(Some(Self::GREATEST))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for LoadBound {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<StrategySpec, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn every_kind_is_written_as_it_calls_itself() {
        for kind in [
            StrategyKind::RoundRobin,
            StrategyKind::LeastStreams,
            StrategyKind::ClientIp,
            StrategyKind::ConsistentHash,
            StrategyKind::ShardGroups,
        ] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(read(&format!(r#"{{"kind":"{}"}}"#, kind.as_str())), Ok(kind.into()));
        }
    }

    #[test]
    fn what_is_not_said_has_the_documented_defaults() {
        let strategy = read(r#"{"kind":"ConsistentHash","consistentHash":{}}"#).unwrap();
        let hash = strategy.consistent_hash.clone().unwrap();
        assert_eq!(hash, ConsistentHashSpec::default());
        assert_eq!(
            (&*hash.header, hash.applies_to, hash.load_bound.get()),
            ("user-id", AppliesTo::Writes, 1.25)
        );
        assert_eq!(read(&serde_json::to_string(&strategy).unwrap()), Ok(strategy));

        let strategy = read(r#"{"kind":"ShardGroups","shardGroups":{"groups":[{"name":"a"}]}}"#).unwrap();
        let groups = strategy.shard_groups.clone().unwrap();
        assert_eq!((groups.by, groups.allow_gaps, groups.fallback), (ShardBy::Range, false, Fallback::Any));
        assert_eq!(groups.groups[0].users, None);
        assert_eq!(read(&serde_json::to_string(&strategy).unwrap()), Ok(strategy));
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_fix() {
        let check = |json: &str, expected: &str| {
            let error = read(json).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        };
        check(
            r#"{"kind":"ConsistentHash","consistentHash":{"loadBound":1}}"#,
            "a load bound of 1 is not from 1.05 to 10; write for example 1.25",
        );
        check(
            r#"{"kind":"ConsistentHash","consistentHash":{"appliesTo":"Reads"}}"#,
            "unknown variant `Reads`, expected `Writes` or `All`",
        );
        check(r#"{"kind":"ConsistentHash","consistentHash":{"headers":"x"}}"#, "unknown field `headers`");
        check(
            r#"{"kind":"ShardGroups","shardGroups":{"groups":[{"name":"a","users":{"from":-1,"to":2}}]}}"#,
            "invalid value: integer `-1`, expected u64",
        );
        check(
            r#"{"kind":"ShardGroups","shardGroups":{"groups":null}}"#,
            "invalid type: null, expected a list",
        );
        check(r#"{"kind":"ClientIP","clientIP":{"timeout":"1h"}}"#, "unknown field `clientIP`");
    }
}
