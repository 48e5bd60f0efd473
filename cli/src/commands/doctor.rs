//! `doctor`.

mod gather;

use std::io::{self, Write as _};

pub(super) use gather::{Sight, gather};

use super::say;
use crate::{
    args::{Format, Global, cluster::SightArgs},
    cluster::Cluster,
    doctor::{self, Level},
    error::{Error, Exit},
    output,
    render::Style,
};

/// Looks, and tells what is wrong.
pub(super) async fn run(global: Global, args: SightArgs) -> Result<Exit, Error> {
    let cluster = Cluster::connect(&args.cluster).await?;
    let sight = Sight::of(&args);
    let seen = gather(&cluster, &sight).await;
    let findings = doctor::findings(&seen);
    let mut out = io::stdout().lock();
    match global.output {
        Format::Table => {
            write!(out, "{}", doctor::text(&findings, output::width(), Style::of_stdout()))?;
            say(&doctor::summary(&findings));
        }
        Format::Ndjson => {
            for finding in &findings {
                output::document(&mut out, Format::Ndjson, finding)?;
            }
        }
        format => output::document(&mut out, format, &findings)?,
    }
    if seen.version.is_err() {
        return Ok(Exit::Error);
    }
    let well = findings.iter().all(|finding| finding.level == Level::Ok);
    Ok(if well { Exit::Ok } else { Exit::Degraded })
}
