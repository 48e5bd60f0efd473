//! `cargo xtask compose`: the system of `docker-compose.yaml` on a machine that reaches no registry, and its test.
//!
//! With a registry, `docker compose` needs no help. Without one, the images are made from what this machine has
//! ([`crate::images`]), a Docker daemon is started where none runs ([`crate::docker`]), and `down` ends both the system
//! and that daemon.

mod test;

use crate::docker::{Docker, daemon};
use crate::{images, process, say};
use anyhow::Result;
use clap::Subcommand;

/// What to do with it.
#[derive(Debug, Subcommand)]
pub enum Chore {
    /// Build the images, start the system and wait until all of it is healthy.
    Up {
        /// With nginx in front of the gateway.
        #[arg(long)]
        nginx: bool,
    },
    /// Stop the system, and the Docker daemon if a chore started it. Data stays.
    Down {
        /// Remove the data of Redis too.
        #[arg(long)]
        volumes: bool,
    },
    /// Show what runs.
    Status,
    /// Start a second system beside it, show what it promises, and remove all of it again.
    Test,
}

/// Runs one of them.
pub fn run(chore: &Chore) -> Result<()> {
    match chore {
        Chore::Up { nginx } => up(*nginx),
        Chore::Down { volumes } => down(*volumes),
        Chore::Status => status(),
        Chore::Test => test::run(),
    }
}

fn up(nginx: bool) -> Result<()> {
    let workspace = process::workspace()?;
    let docker = Docker::ready_for_compose()?;
    images::build(&docker, images::Others::with_nginx(nginx))?;
    say::section("compose: up");
    let mut command = docker.compose(&workspace);
    if nginx {
        command.args(["--profile", "nginx"]);
    }
    process::run(command.args(["up", "--no-build", "--wait"]))?;
    process::run(docker.compose(&workspace).arg("ps"))?;
    say::line("try: fundctl --cluster cluster1 task start examples/fund.json --watch");
    Ok(())
}

fn down(volumes: bool) -> Result<()> {
    if daemon::answers()? {
        let docker = Docker::with_compose()?;
        let mut command = docker.compose(&process::workspace()?);
        command.args(["--profile", "*", "down", "--remove-orphans"]);
        if volumes {
            command.arg("--volumes");
        }
        process::run(&mut command)?;
    } else {
        say::line("no Docker daemon runs, so nothing else does");
    }
    daemon::stop()
}

fn status() -> Result<()> {
    if !daemon::answers()? {
        say::line("no Docker daemon runs");
        return Ok(());
    }
    process::run(Docker::with_compose()?.compose(&process::workspace()?).args([
        "--profile",
        "*",
        "ps",
        "--all",
    ]))
}
