//! What no two clusters behind one gateway may both have. The operator goes by it when it hands out routes, gateways when they
//! take them, and `fundctl lint` before either sees them. Pure.

use std::fmt;

/// A part of what a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Claim<T> {
    /// Requests with this value, whichever header it is in: the query parameter knows no headers, and metrics and answers
    /// call the cluster by the value alone.
    Value(T),
    /// Requests that name no cluster, whichever header they do not have.
    Default,
}

/// All that a route asks for; whoever has no value that can be read asks for none.
pub fn claims<T>(value: Option<T>, default: bool) -> impl Iterator<Item = Claim<T>> {
    value.map(Claim::Value).into_iter().chain(default.then_some(Claim::Default))
}

impl<T: fmt::Display> fmt::Display for Claim<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "the route value {value}"),
            Self::Default => f.write_str("the default route"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_asks_for_its_value_and_where_it_says_so_for_the_default() {
        let said = |value: Option<&'static str>, default| -> Vec<String> {
            claims(value, default).map(|claim| claim.to_string()).collect()
        };
        assert_eq!(said(Some("desk"), false), ["the route value desk"]);
        assert_eq!(said(Some("desk"), true), ["the route value desk", "the default route"]);
        assert_eq!(said(None, true), ["the default route"]);
    }
}
