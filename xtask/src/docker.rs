//! Docker, and its Compose plugin where that is wanted: found, started or built where that is ours to do, or asked for with
//! the fix.

pub mod daemon;

use crate::{cache, process, say, tools};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Compose plugin that is built where there is none: the last release whose client still speaks to daemons as old
/// as Debian 12's (API 1.41).
const COMPOSE: &str = "2.40.3";
const COMPOSE_MODULE: &str = "github.com/docker/compose/v2";

/// How Docker is called here.
#[derive(Debug)]
pub struct Docker {
    /// The client's own folder, where it lacks the plugin: one in the cache that has it.
    config: Option<PathBuf>,
}

impl Docker {
    /// A Docker that answers.
    pub fn ready() -> Result<Self> {
        tools::docker_client()?;
        daemon::start()?;
        Ok(Self { config: None })
    }

    /// The same, with `docker compose`.
    pub fn ready_for_compose() -> Result<Self> {
        Self::ready()?;
        Self::with_compose()
    }

    /// One with `docker compose`, whether or not a daemon runs.
    pub fn with_compose() -> Result<Self> {
        tools::docker_client()?;
        if process::output(Command::new("docker").args(["compose", "version"])).is_ok() {
            return Ok(Self { config: None });
        }
        Ok(Self { config: Some(built_plugin()?) })
    }

    /// `docker`.
    pub fn command(&self) -> Command {
        let mut command = Command::new("docker");
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command
    }

    /// `docker compose` on the compose file of `workspace`.
    pub fn compose(&self, workspace: &Path) -> Command {
        let mut command = self.command();
        command.args(["compose", "--file"]).arg(workspace.join("docker-compose.yaml"));
        command
    }

    /// What `docker inspect` says of one thing.
    pub fn inspect(&self, kind: &str, name: &str) -> Result<Value> {
        let text = process::output(self.command().args(["inspect", "--type", kind, name]))?;
        let mut all: Vec<Value> =
            serde_json::from_str(&text).with_context(|| format!("docker inspect {name}"))?;
        all.pop().with_context(|| format!("docker knows no {kind} {name}"))
    }
}

/// A client folder with a Compose plugin built from its Go module.
fn built_plugin() -> Result<PathBuf> {
    let fix = "`docker compose` is missing: install the plugin (`docker-compose-plugin` or `docker-compose-v2`, by \
               distribution), or Go 1.24 or newer and this chore builds it";
    if !process::exists("go", "version")? {
        bail!("{fix}");
    }
    let name = format!("tools/docker-compose-{COMPOSE}");
    cache::entry(&cache::root()?, &name, |directory| {
        say::line(&format!(
            "no `docker compose`: building {COMPOSE_MODULE} v{COMPOSE} into {}, once; some ten minutes on two cores",
            directory.display()
        ));
        build_plugin(&directory.join("cli-plugins").join("docker-compose")).context(fix)
    })
}

/// Builds the module as it was released, with the dependencies it was released with.
fn build_plugin(program: &Path) -> Result<()> {
    let go = || {
        let mut command = Command::new("go");
        command.env("CGO_ENABLED", "0");
        command
    };
    let module = format!("{COMPOSE_MODULE}@v{COMPOSE}");
    let downloaded = process::output(go().args(["mod", "download", "-json", &module]))?;
    let downloaded: Value = serde_json::from_str(&downloaded).context("go mod download -json")?;
    let source = downloaded["Dir"].as_str().context("go downloaded the module to nowhere")?;
    let flags = format!("-s -w -X {COMPOSE_MODULE}/internal.Version=v{COMPOSE}");
    let mut build = go();
    build.args(["build", "-C", source, "-trimpath", "-buildvcs=false", "-ldflags", &flags, "-o"]);
    process::run(build.arg(program).arg("./cmd"))
}
