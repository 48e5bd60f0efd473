//! The command line of the repository's chores; the chores themselves are in the library.

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// Every chore of the repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Build the whole system (release) and run it on this machine; arguments go to `fundbond`.
    #[command(disable_help_flag = true)]
    Up {
        /// Arguments of `fundbond`; `cargo xtask up --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Format, clippy, repository rules, licences and sources of dependencies.
    Lint,
    /// Check the repository's own rules alone (a part of `lint`).
    Tidy,
    /// Prepare what the tests need, then run all of them.
    Test {
        /// Arguments of `cargo test`, for example `-p fundbond-bonds` or `-- --nocapture`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Measure: `bonds [FILTER]` runs the calculation benches, `picks [FILTER]` those of choosing an endpoint, other
    /// arguments go to `fundbond-bench` (`redis`, `delivery`, `hop`, or flags of the comparison with a plain SSE
    /// server), none runs all.
    #[command(disable_help_flag = true)]
    Bench {
        /// `bonds [FILTER]`, `picks [FILTER]`, or arguments of `fundbond-bench`; `cargo xtask bench --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Write the pages of docs/reference anew, from the code they are about.
    Reference,
    /// Break a running system on a schedule that a seed draws, and check every promise; arguments go to
    /// `fundbond-chaos`.
    #[command(disable_help_flag = true)]
    Chaos {
        /// Arguments of `fundbond-chaos`; `cargo xtask chaos --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Look for inputs that break a parser; what it finds fails loudly.
    Fuzz(xtask::fuzz::Arguments),
    /// Put mistakes into the product, one at a time, and insist that the tests notice.
    SeededBugs,
    /// Change one expression of the product's decisions at a time, and insist that the tests notice.
    Mutants(xtask::mutants::Arguments),
    /// Make the container images from what this machine has, where no registry can be reached.
    Images {
        /// Also the one of nginx.
        #[arg(long)]
        nginx: bool,
    },
    /// Bring up, load, show or remove a real Kubernetes in Docker (kind), with this checkout's images in it.
    #[command(subcommand)]
    Cluster(xtask::cluster::Chore),
    /// Run the end-to-end tests on such a cluster, and write target/e2e-report.md.
    E2e(xtask::e2e::Arguments),
    /// Run the system of docker-compose.yaml with such images.
    #[command(subcommand)]
    Compose(xtask::compose::Chore),
}

fn main() -> ExitCode {
    let result = match Cli::parse().chore {
        Chore::Up { arguments } => xtask::up::run(&arguments),
        Chore::Lint => xtask::lint::run(),
        Chore::Tidy => xtask::tidy::run(),
        Chore::Test { arguments } => xtask::test::run(&arguments),
        Chore::Bench { arguments } => xtask::bench::run(&arguments),
        Chore::Reference => xtask::reference::run(),
        Chore::Chaos { arguments } => xtask::chaos::run(&arguments),
        Chore::Fuzz(arguments) => xtask::fuzz::run(&arguments),
        Chore::SeededBugs => xtask::seeded_bugs::run(),
        Chore::Mutants(arguments) => xtask::mutants::run(&arguments),
        Chore::Images { nginx } => xtask::images::run(nginx),
        Chore::E2e(arguments) => xtask::e2e::run(&arguments),
        Chore::Cluster(chore) => xtask::cluster::run(&chore),
        Chore::Compose(chore) => xtask::compose::run(&chore),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            xtask::say::error(&error);
            ExitCode::FAILURE
        }
    }
}
