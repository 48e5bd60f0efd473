//! Building the pod that is measured.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde::Deserialize;
use tokio::process::Command;

use crate::error::BenchError;

/// Builds `pod-service` as it is now, optimised, and says where it is.
///
/// # Errors
/// Where cargo cannot be run, or the build fails.
pub async fn pod_service() -> Result<PathBuf, BenchError> {
    built("cargo build --release --package fundbond-pod-service --bin pod-service").await
}

/// The same for `cluster-proxy`.
///
/// # Errors
/// Where cargo cannot be run, or the build fails.
pub async fn cluster_proxy() -> Result<PathBuf, BenchError> {
    built("cargo build --release --package fundbond-gateway --bin cluster-proxy").await
}

/// Runs what a person would type.
async fn built(words: &'static str) -> Result<PathBuf, BenchError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(words.split(' ').skip(1))
        .arg("--message-format=json-render-diagnostics")
        // Wherever the measurement was started, the pod is the one of this checkout.
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    // Build scripts watch some of the variables cargo set for this crate, and would run again each time.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    let output = command.output().await.map_err(|source| BenchError::Cargo { command: words, source })?;
    if !output.status.success() {
        return Err(BenchError::Build { command: words, status: output.status });
    }
    executable(&String::from_utf8_lossy(&output.stdout)).ok_or(BenchError::NoBinary(words))
}

/// The binary that cargo's messages name.
fn executable(messages: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    messages.lines().rev().find_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_the_one_that_cargo_names() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"a"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"pod-service"},"executable":"/t/release/pod-service","fresh":true}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some("/t/release/pod-service".into()));
        assert_eq!(executable("{\"reason\":\"build-finished\"}\nnot JSON"), None);
    }
}
