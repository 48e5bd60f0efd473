//! The pods that somebody knows of.

use std::str::FromStr;

/// The pods of a FundCluster, or of one of its shard groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The group; none where the FundCluster has none.
    pub group: Option<String>,
    /// The pods.
    pub pods: Known,
}

/// What is known of pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// How many there are.
    Count(usize),
    /// What they are called.
    Names(Vec<String>),
}

impl FromStr for Endpoints {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (group, pods) = match text.split_once('=') {
            Some((group, pods)) => (Some(group.to_owned()), pods),
            None => (None, text),
        };
        if let Ok(count) = pods.parse() {
            return Ok(Self { group, pods: Known::Count(count) });
        }
        let mut names: Vec<String> = pods.split(',').map(str::trim).map(str::to_owned).collect();
        let legal = |name: &String| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
        };
        if let Some(bad) = names.iter().find(|name| !legal(name)) {
            return Err(format!("{bad:?} is no name of a pod; write 3, or a,b,c, or GROUP=a,b,c"));
        }
        let count = names.len();
        names.sort();
        names.dedup();
        if names.len() < count {
            return Err("a pod is named twice".to_owned());
        }
        Ok(Self { group, pods: Known::Names(names) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_counted_or_named_group_by_group() {
        let read = |text: &str| text.parse::<Endpoints>();
        assert_eq!(read("3"), Ok(Endpoints { group: None, pods: Known::Count(3) }));
        let named = Known::Names(vec!["x-1".into(), "x-2".into()]);
        assert_eq!(read("a=x-2,x-1"), Ok(Endpoints { group: Some("a".into()), pods: named }));
        assert!(read("a=x,x").is_err() && read("").is_err() && read("x y").is_err());
    }
}
