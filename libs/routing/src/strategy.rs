//! What of a request the strategy of its route looks at. Everything that can be known before a request comes is known:
//! hashes of names, tables of users, who is in which group.
//!
//! The hops decide by this, and whoever says beforehand what they will decide asks the same code.

use std::{net::IpAddr, sync::Arc};

use fundbond_protocol::{headers, users};
use http::{HeaderMap, HeaderName, Method};

use crate::{
    KeyHash, LoadBound, Rendezvous, ShardTable,
    spec::{AppliesTo, Fallback, StrategyKind},
};

mod build;

pub use build::Problems;

/// What of a request decides.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, as it was sent.
    pub path: &'a str,
    /// The query, without its question mark.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// How one of the endpoints of a route is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// One after the other.
    RoundRobin,
    /// Of two drawn at random, the one with fewer streams and requests under way.
    LeastStreams,
    /// Always the same for one address of a client.
    ClientIp(Rendezvous),
    /// Always the same for one value of a header, as long as it is not one too many there.
    ConsistentHash(Hashing),
    /// One of the group that the user belongs to.
    ShardGroups(Groups),
}

/// Which requests go by the value of which header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashing {
    /// The header.
    pub header: HeaderName,
    /// Which requests.
    pub applies_to: AppliesTo,
    /// How much more than its share an endpoint is given.
    pub load_bound: LoadBound,
    /// Which endpoint has which value.
    pub rendezvous: Rendezvous,
}

/// Which users belong to which endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// The group of a user, by its place in `groups`.
    pub table: ShardTable,
    /// What becomes of users in no group.
    pub fallback: Fallback,
    /// The groups.
    pub groups: Vec<Group>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: Arc<str>,
    /// Its endpoints, by their place in the route.
    pub endpoints: Vec<usize>,
}

/// Which endpoints may take a request, or in which order they are asked. Every attempt to send it goes by the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aim {
    /// All of them, whoever's turn it is.
    #[default]
    Any,
    /// By their weight for this key.
    Key(KeyHash),
    /// Those of this group, in turn.
    Group(usize),
}

/// The user is in no group, and the route refuses such users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected;

impl Strategy {
    /// Its kind.
    pub fn kind(&self) -> StrategyKind {
        match self {
            Self::RoundRobin => StrategyKind::RoundRobin,
            Self::LeastStreams => StrategyKind::LeastStreams,
            Self::ClientIp(_) => StrategyKind::ClientIp,
            Self::ConsistentHash(_) => StrategyKind::ConsistentHash,
            Self::ShardGroups(_) => StrategyKind::ShardGroups,
        }
    }

    /// The groups; none where it has none.
    pub fn groups(&self) -> &[Group] {
        match self {
            Self::ShardGroups(groups) => &groups.groups,
            _ => &[],
        }
    }

    /// The group of an endpoint.
    pub fn group_of(&self, endpoint: usize) -> Option<&Group> {
        self.groups().iter().find(|group| group.endpoints.contains(&endpoint))
    }

    /// Whether it remembers the same turns as `other`, whatever else differs.
    pub fn turns_as(&self, other: &Self) -> bool {
        self.kind() == other.kind()
            && self
                .groups()
                .iter()
                .map(|group| &group.name)
                .eq(other.groups().iter().map(|group| &group.name))
    }

    /// Whether a request with this aim may go to `endpoint` at all.
    pub fn allows(&self, aim: Aim, endpoint: usize) -> bool {
        match aim {
            Aim::Any | Aim::Key(_) => true,
            Aim::Group(group) => {
                self.groups().get(group).is_some_and(|group| group.endpoints.contains(&endpoint))
            }
        }
    }

    /// Where a request with this aim goes while every endpoint is ready and none has too much: none where any of several
    /// will do.
    pub fn home(&self, aim: Aim) -> Option<usize> {
        match (self, aim) {
            (Self::ClientIp(rendezvous), Aim::Key(key)) => rendezvous.pick(key, |_| true),
            (Self::ConsistentHash(hashing), Aim::Key(key)) => hashing.rendezvous.pick(key, |_| true),
            _ => None,
        }
    }

    /// What of a request, whose path is the one that endpoints see, decides. Who the client is, is asked only where the
    /// strategy wants to know.
    ///
    /// # Errors
    /// The user is in no group, and such users are refused.
    pub fn aim(&self, head: &RequestHead<'_>, client: impl FnOnce() -> IpAddr) -> Result<Aim, Rejected> {
        Ok(match self {
            Self::RoundRobin | Self::LeastStreams => Aim::Any,
            Self::ClientIp(_) => Aim::Key(key_of(client())),
            Self::ConsistentHash(hashing) => match hashing.key(head) {
                Some(value) => Aim::Key(KeyHash::of(value)),
                None => Aim::Any,
            },
            Self::ShardGroups(groups) => match user(head) {
                // Whoever asks for the state of the cluster asks for nobody.
                None => Aim::Any,
                Some(user) => match (groups.table.group_of(user), groups.fallback) {
                    (Some(group), _) => Aim::Group(group),
                    (None, Fallback::Any) => Aim::Any,
                    (None, Fallback::Reject) => return Err(Rejected),
                },
            },
        })
    }
}

impl Hashing {
    /// Whether it goes by the header of every request that has it.
    pub fn hashes_all(&self) -> bool {
        self.applies_to == AppliesTo::All
    }

    /// The value that a request is hashed by, if it is.
    pub fn key<'a>(&self, head: &RequestHead<'a>) -> Option<&'a [u8]> {
        let applies = self.hashes_all() || is_write(head);
        applies
            .then(|| if self.header == headers::USER_ID { user(head) } else { named(head, &self.header) })?
    }
}

impl Groups {
    /// The endpoints of `group`, by their place in the route.
    pub fn members(&self, group: usize) -> &[usize] {
        self.groups.get(group).map_or(&[], |group| &group.endpoints)
    }
}

/// The key of a client: the bytes of its address, 4 where it has an IPv4 address, however that is written.
fn key_of(client: IpAddr) -> KeyHash {
    match client.to_canonical() {
        IpAddr::V4(ip) => KeyHash::of(&ip.octets()),
        IpAddr::V6(ip) => KeyHash::of(&ip.octets()),
    }
}

/// Whether a request changes something, as far as its head says.
pub fn is_write(head: &RequestHead<'_>) -> bool {
    matches!(*head.method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
        || head
            .headers
            .get(headers::OPERATION_TYPE)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(headers::WRITE.as_bytes()))
}

/// The user that a request is for: its header says so, else its path. A browser's `EventSource` can set no header, and the
/// path of a user's stream names the user.
pub fn user<'a>(head: &RequestHead<'a>) -> Option<&'a [u8]> {
    let header = named(head, &const { HeaderName::from_static(headers::USER_ID) });
    header.or_else(|| users::user_in_path(head.path).map(str::as_bytes))
}

/// The value of a header; an empty one says nothing. Of several the first counts, on every hop.
fn named<'a>(head: &RequestHead<'a>, header: &HeaderName) -> Option<&'a [u8]> {
    head.headers.get(header).map(http::HeaderValue::as_bytes).filter(|value| !value.is_empty())
}
