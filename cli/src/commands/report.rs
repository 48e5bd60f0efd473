//! `report`.

mod take;

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use jiff::Timestamp;
use serde::Serialize;

use super::{doctor::Sight, say};
use crate::{
    args::{Format, Global, cluster::ReportArgs},
    cluster::Cluster,
    error::{Error, Exit},
    output,
    report::{Archive, Manifest, NOTE, Redactor},
};
use take::Taking;

/// What a script is told.
#[derive(Serialize)]
struct Made<'a> {
    file: &'a str,
    #[serde(flatten)]
    manifest: &'a Manifest,
}

/// Takes what may be taken, and says where it is.
pub(super) async fn run(global: Global, args: ReportArgs) -> Result<Exit, Error> {
    let cluster = Cluster::connect(&args.sight.cluster).await?;
    let now = Timestamp::now();
    let sight = Sight::of(&args.sight);
    // A server that does not answer leaves no report to be made.
    cluster.version().await?;
    let path = args
        .file
        .unwrap_or_else(|| PathBuf::from(format!("fundbond-report-{}.zip", now.strftime("%Y%m%d-%H%M%S"))));
    let mut taking = Taking::new(&cluster, &sight, Archive::create(&path)?, Redactor::new(args.redact_users));
    taking.everything(args.since).await?;
    let Taking { mut archive, redactor, missing, .. } = taking;
    let mut manifest = Manifest {
        made_by: format!("fundctl {}", env!("CARGO_PKG_VERSION")),
        made_at: now,
        server: redactor.text(cluster.server()),
        scope: format!("FundClusters {}", sight.clusters.words()),
        users: if args.redact_users { "replaced" } else { "as they were" },
        taken: archive.taken().to_vec(),
        missing,
        redacted: 0,
        note: NOTE,
    };
    for missing in &mut manifest.missing {
        missing.why = redactor.text(&missing.why);
    }
    manifest.redacted = redactor.count();
    let text = serde_json::to_string_pretty(&manifest).map_err(io::Error::from)?;
    archive.add("manifest.json", "what is here and what is not", &text)?;
    let path = archive.finish()?;
    let file = path.display().to_string();
    let mut out = io::stdout().lock();
    match global.output {
        Format::Table => writeln!(out, "{file}")?,
        format => output::document(&mut out, format, &Made { file: &file, manifest: &manifest })?,
    }
    say(&format!(
        "{} files; {} things were taken out; look through it before you pass it on",
        manifest.taken.len(),
        manifest.redacted
    ));
    if manifest.missing.is_empty() {
        return Ok(Exit::Ok);
    }
    say(&format!("{} could not be taken; manifest.json in it says which and why", manifest.missing.len()));
    Ok(Exit::Degraded)
}
