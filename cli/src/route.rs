//! Where a request would go, hop by hop, and why: what gateways and cluster proxies answer on `/explain`, put together. Pure.

#[cfg(test)]
mod tests;
mod text;

use serde::Serialize;

pub use text::text;

use crate::{
    admin::{Explanation, RouteTable},
    client::query,
    error::Exit,
};

/// The request that is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// The value of the route header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Of HTTP.
    pub method: String,
    /// What is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The value of `user-id`, and of the header that is hashed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The address of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// More headers, with their values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

impl Asked {
    /// The page that explains it: `/explain?cluster=cluster1&method=GET`.
    pub fn page(&self) -> String {
        let lines: Vec<_> = self.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let headers = lines.join("\n");
        let mut pairs = vec![("method", self.method.as_str())];
        pairs.extend(self.cluster.as_deref().map(|cluster| ("cluster", cluster)));
        pairs.extend(self.path.as_deref().map(|path| ("path", path)));
        pairs.extend(self.user.as_deref().map(|user| ("userId", user)));
        pairs.extend(self.ip.as_deref().map(|ip| ("ip", ip)));
        if !headers.is_empty() {
            pairs.push(("headers", &headers));
        }
        format!("/explain{}", query(&pairs))
    }

    /// The same request as the next hop sees it, after `told`.
    #[must_use]
    pub fn behind(&self, told: &Explanation) -> Self {
        Self { path: told.endpoint_path.clone().or_else(|| self.path.clone()), ..self.clone() }
    }

    /// The request in a line: `GET /api/fund-events of user 7 for cluster1`.
    pub fn words(&self) -> String {
        let mut words =
            format!("{} {}", self.method, self.path.as_deref().unwrap_or("(any path of the route)"));
        if let Some(user) = &self.user {
            words = format!("{words} of user {user}");
        }
        match &self.cluster {
            Some(cluster) => format!("{words} for {cluster}"),
            None => format!("{words} that names no cluster"),
        }
    }
}

/// What one of them does with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hop {
    /// Who was asked, and where.
    pub who: String,
    /// How the route chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Why this endpoint, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub how: Option<How>,
    /// What it says.
    #[serde(flatten)]
    pub told: Explanation,
}

/// Why this endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It was its turn.
    Turn,
    /// It has the fewest streams of those drawn.
    Fewest,
    /// It is the first by weight for the key.
    Hash,
    /// Those before it have their share already.
    Spilled,
    /// It is the first by weight that is up.
    Next,
    /// It is of the user's group.
    Shard,
    /// The user has no group, and any will do.
    Fallback,
}

impl How {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Turn => "its turn",
            Self::Fewest => "the fewest streams of two drawn",
            Self::Hash => "hash: the heaviest for the key",
            Self::Spilled => "hash, spilled: the heavier ones have their share",
            Self::Next => "hash: the heaviest that is up",
            Self::Shard => "shard: of the user's group",
            Self::Fallback => "fallback: the user is in no group",
        }
    }
}

impl Hop {
    /// What `who` says, whose table has the strategy.
    pub fn new(who: String, told: Explanation, table: Option<&RouteTable>) -> Self {
        let route = table.zip(told.route.as_ref());
        let route = route.and_then(|(table, name)| table.routes.iter().find(|route| route.name == *name));
        let strategy = route.map(|route| route.strategy.clone()).filter(|strategy| !strategy.is_empty());
        let how = how(&told, strategy.as_deref());
        Self { who, strategy, how, told }
    }
}

fn how(told: &Explanation, strategy: Option<&str>) -> Option<How> {
    let endpoint = told.endpoint.as_ref()?;
    if told.group.is_some() {
        return Some(How::Shard);
    }
    if told.key.is_none() {
        return Some(if strategy == Some("LeastStreams") { How::Fewest } else { How::Turn });
    }
    if strategy == Some("ShardGroups") {
        return Some(How::Fallback);
    }
    let before: Vec<_> = told.candidates.iter().take_while(|it| it.endpoint != *endpoint).collect();
    Some(match before.as_slice() {
        [] => How::Hash,
        before if before.iter().any(|it| it.state == "full") => How::Spilled,
        _ => How::Next,
    })
}

/// The way of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Way {
    /// What was asked.
    pub request: Asked,
    /// Who decides, in order.
    pub hops: Vec<Hop>,
    /// The cluster that it goes to, as the gateway calls its route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The pod that it goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Why the way could not be followed any further, where it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

impl Way {
    /// What `hops` come to. `lost`: why the next one could not be asked.
    pub fn new(request: Asked, hops: Vec<Hop>, lost: Option<String>) -> Self {
        let cluster = hops.first().and_then(|hop| hop.told.route.clone());
        let last = hops.last().filter(|hop| lost.is_none() && hop.told.decision == "forward");
        let pod = last.and_then(|hop| hop.told.endpoint.clone());
        Self { request, hops, cluster, pod, lost }
    }

    /// The hop that does not pass it on, if there is one.
    pub fn refusal(&self) -> Option<&Hop> {
        self.hops.iter().find(|hop| hop.told.decision != "forward")
    }

    /// What a script is told: whether it would be served, is refused for what it is, or finds nobody now.
    pub fn exit(&self) -> Exit {
        match self.refusal().map(|hop| hop.told.decision.as_str()) {
            Some("refused" | "rejected") => Exit::Error,
            Some(_) => Exit::Degraded,
            None if self.lost.is_some() => Exit::Degraded,
            None => Exit::Ok,
        }
    }
}
