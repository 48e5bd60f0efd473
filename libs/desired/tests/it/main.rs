//! What FundClusters become: as text that a reviewer can read, and as rules that hold for all of them.

// The whole binary is a test: helpers outside of `#[test]` functions say what they expect by panicking too.
#![allow(clippy::unwrap_used)]

mod golden;
mod rules;
mod server;

use std::path::PathBuf;

use fundbond_crds::FundCluster;
use fundbond_desired::{Child, Site, children};

/// Every example, by name.
const EXAMPLES: [&str; 6] =
    ["minimal", "everything", "client-ip", "consistent-hash", "shard-groups", "others-kinds"];

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

fn example(name: &str) -> FundCluster {
    let text = std::fs::read_to_string(path(&format!("{name}.cluster.yaml"))).unwrap();
    yaml_serde::from_str(&text).unwrap()
}

fn of(cluster: &FundCluster) -> Vec<Child> {
    let site = Site {
        registry: "ghcr.io/fundbond".to_owned(),
        version: "0.1.0".to_owned(),
        gateway_networks: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
        runbooks: "https://runbooks.example.com/fundbond/".to_owned(),
    };
    children(cluster, &site, 7)
}
