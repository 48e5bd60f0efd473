//! Building the programs of this checkout.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde::Deserialize;
use tokio::process::Command;

use crate::error::ChaosError;

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `gateway`.
    pub gateway: PathBuf,
    /// `cluster-proxy`.
    pub cluster_proxy: PathBuf,
    /// `pod-service`.
    pub pod: PathBuf,
}

impl Programs {
    /// Builds them as they are now.
    ///
    /// # Errors
    /// Where cargo cannot be run, or the build fails.
    pub async fn build(optimised: bool) -> Result<Self, ChaosError> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .args(["build", "--package", "fundbond-gateway", "--package", "fundbond-pod-service", "--bins"])
            .args(optimised.then_some("--release"))
            .arg("--message-format=json-render-diagnostics")
            // Wherever the run was started, the programs are those of this checkout.
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
        let output = command.output().await.map_err(ChaosError::Cargo)?;
        if !output.status.success() {
            return Err(ChaosError::Build(output.status));
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let named = |name| program(&messages, name).ok_or(ChaosError::NoProgram(name));
        Ok(Self {
            gateway: named("gateway")?,
            cluster_proxy: named("cluster-proxy")?,
            pod: named("pod-service")?,
        })
    }
}

/// The program of that name that cargo's messages say where it is.
fn program(messages: &str, name: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    let built = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable);
    built.into_iter().find(|path| path.file_stem().is_some_and(|stem| stem == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_its_name_among_what_cargo_says() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"a"},"executable":null}
{"reason":"compiler-artifact","executable":"/t/debug/cluster-proxy"}
{"reason":"compiler-artifact","executable":"/t/debug/gateway","fresh":true}
not JSON"#;
        assert_eq!(program(messages, "gateway"), Some("/t/debug/gateway".into()));
        assert_eq!(program(messages, "pod-service"), None);
    }
}
