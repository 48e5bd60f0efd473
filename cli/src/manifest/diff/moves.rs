//! Where users go, now and then.
//!
//! Nothing is decided here: [`Side::place`] asks the strategy that gateways and proxies go by, with a request of the user.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use fundbond_crds::routing::Routing;
use fundbond_protocol::headers;
use fundbond_routing::strategy::{Aim, Problems, RequestHead, Strategy, is_write};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;

use super::users::User;

/// A pod as a route has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Its shard group.
    pub group: Option<String>,
}

/// How requests are spread, over which pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    strategy: Strategy,
    endpoints: Vec<Endpoint>,
}

/// Where a user's requests go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "place", content = "name", rename_all = "camelCase")]
pub enum Place {
    /// To one pod.
    Pod(String),
    /// To the pods of a group, in turn.
    Group(String),
    /// To any pod.
    Any,
    /// Nowhere: there is no pod that may take them.
    NoPod,
    /// Nowhere: the user is in no group, and such users are refused.
    Refused,
    /// It depends on this, which nobody said.
    Unknown(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(name) => f.write_str(name),
            Self::Group(name) => write!(f, "group {name}"),
            Self::Any => f.write_str("any pod"),
            Self::NoPod => f.write_str("no pod (503)"),
            Self::Refused => f.write_str("refused (403)"),
            Self::Unknown(what) => write!(f, "by {what}"),
        }
    }
}

/// A user who goes elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Move {
    /// Who.
    pub user: String,
    /// From where.
    pub from: Place,
    /// To where.
    pub to: Place,
}

/// So many users go this way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// From where.
    pub from: Place,
    /// To where.
    pub to: Place,
    /// How many.
    pub users: usize,
}

/// Where users go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moves {
    /// How many were followed.
    pub followed: usize,
    /// Of how many it is not known.
    pub unknown: usize,
    /// Every way that somebody goes, the busiest first; those who stay are there as well.
    pub flows: Vec<Flow>,
    /// Everybody who goes elsewhere, in the order in which they were named.
    pub moved: Vec<Move>,
}

impl Side {
    /// As a GatewayRoute with this `routing` and these pods behind it is read.
    ///
    /// # Errors
    /// Something that the schema does not let through.
    pub fn new(routing: &Routing, endpoints: Vec<Endpoint>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let spec = problems.keep(|| "routing.consistentHash.loadBound".to_owned(), routing.to_spec());
        let names: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
        let groups: Vec<_> = endpoints.iter().map(|endpoint| endpoint.group.clone()).collect();
        let strategy = spec.and_then(|spec| Strategy::build(spec, &names, &groups, &mut problems, "routing"));
        match strategy.filter(|_| problems.0.is_empty()) {
            Some(strategy) => Ok(Self { strategy, endpoints }),
            None => Err(problems),
        }
    }

    /// Where a request goes while every pod is ready and none has too much. `client` is its sender, where that is known.
    pub fn place(&self, head: &RequestHead<'_>, client: Option<IpAddr>) -> Place {
        if self.endpoints.is_empty() {
            return Place::NoPod;
        }
        match &self.strategy {
            Strategy::ClientIp(_) if client.is_none() => return Place::Unknown("client address".to_owned()),
            Strategy::ConsistentHash(hashing) => {
                let asks = hashing.hashes_all() || is_write(head);
                if asks && hashing.key(head).is_none() {
                    return Place::Unknown(format!("header {}", hashing.header));
                }
            }
            _ => {}
        }
        let Ok(aim) = self.strategy.aim(head, || client.unwrap_or(IpAddr::from([0, 0, 0, 0]))) else {
            return Place::Refused;
        };
        if let Aim::Group(group) = aim {
            return match self.strategy.groups().get(group) {
                Some(group) if !group.endpoints.is_empty() => Place::Group(group.name.to_string()),
                _ => Place::NoPod,
            };
        }
        let home = self.strategy.home(aim).and_then(|endpoint| self.endpoints.get(endpoint));
        home.map_or(Place::Any, |endpoint| Place::Pod(endpoint.name.clone()))
    }

    /// The header by which it knows users, where it does by one.
    fn header(&self) -> Option<HeaderName> {
        match &self.strategy {
            Strategy::ConsistentHash(hashing) => Some(hashing.header.clone()),
            Strategy::ShardGroups(_) => Some(user_id()),
            _ => None,
        }
    }
}

/// Where each of `users` goes by `old` and by `new`, when they read, or else when they write.
pub fn moves(old: &Side, new: &Side, users: &[User], reads: bool) -> Moves {
    let header = header(old, new);
    let (method, path) = if reads { (Method::GET, "/api/tasks") } else { (Method::POST, "/api/fund-api") };
    let mut moves = Moves { followed: users.len(), ..Moves::default() };
    let mut flows: BTreeMap<(Place, Place), usize> = BTreeMap::new();
    for user in users {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(&user.id) {
            headers.insert(header.clone(), value);
        }
        let head = RequestHead { method: &method, path, query: None, headers: &headers };
        let (from, to) = (old.place(&head, user.address), new.place(&head, user.address));
        let unknown = |place: &Place| matches!(place, Place::Unknown(_));
        if unknown(&from) || unknown(&to) {
            // Who is not known by anything new stays where they are, wherever that is.
            moves.unknown += usize::from(old != new);
        } else if from != to {
            moves.moved.push(Move { user: user.id.clone(), from: from.clone(), to: to.clone() });
        }
        *flows.entry((from, to)).or_default() += 1;
    }
    moves.flows = flows.into_iter().map(|((from, to), users)| Flow { from, to, users }).collect();
    moves.flows.sort_by_key(|flow| std::cmp::Reverse(flow.users));
    moves
}

/// What the ids of users are the values of: the header that both know users by, or the one that does; `user-id` where they
/// differ.
fn header(old: &Side, new: &Side) -> HeaderName {
    match (old.header(), new.header()) {
        (Some(old), Some(new)) if old == new => old,
        (Some(one), None) | (None, Some(one)) => one,
        _ => user_id(),
    }
}

fn user_id() -> HeaderName {
    HeaderName::from_static(headers::USER_ID)
}
