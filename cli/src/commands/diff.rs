//! `diff`: what a change does, before it is made.

mod live;

use std::{
    io::{self, Write},
    path::Path,
};

use fundbond_crds::FundCluster;
use serde_json::json;

use super::{lint::some, online, say};
use crate::{
    args::{Format, Global, manifest::DiffArgs},
    cluster::Cluster,
    error::{Error, Exit},
    manifest::{
        File, ManifestError,
        diff::{self, Difference, Question},
        file::{one, read},
        lint::{self, Severity},
    },
    output,
    render::Style,
};

/// Where objects are that name no namespace, for whoever asks no server.
const NAMESPACE: &str = "default";

/// Writes what becomes of every FundCluster that is in the new files and in the old one.
pub(super) fn run(global: &Global, args: &DiffArgs) -> Result<Exit, Error> {
    let files = read(&args.manifests)?;
    let differences = match &args.against {
        Some(against) => offline(args, &files, against)?,
        None => online(against_server(args, &files))?,
    };
    write(&mut io::stdout().lock(), global.output, &differences)?;
    for difference in &differences {
        for note in &difference.notes {
            say(&lint::hanging(&format!("note: {note}")));
        }
    }
    let changed = differences.iter().any(|difference| !difference.is_empty());
    Ok(if changed { Exit::Ok } else { Exit::Unchanged })
}

fn question(args: &DiffArgs) -> Result<Question, Error> {
    Ok(Question {
        site: args.site.site(),
        users: args.users.all()?,
        reads: args.reads,
        before: args.endpoints.clone(),
        after: args.endpoints_after.clone(),
    })
}

/// Compares with another file.
fn offline(args: &DiffArgs, files: &[File], against: &Path) -> Result<Vec<Difference>, Error> {
    let namespace = args.cluster.namespace.as_deref().unwrap_or(NAMESPACE);
    let new = sound(files, namespace)?;
    let old_file = one(against)?;
    let old = sound(std::slice::from_ref(&old_file), namespace)?;
    let question = question(args)?;
    let mut differences = Vec::new();
    for cluster in &new {
        let Some(old) = old.iter().find(|old| name(old) == name(cluster)) else {
            return Err(ManifestError::NoOther { name: name(cluster), against: old_file.name }.into());
        };
        differences.push(diff::diff(old, cluster, &question)?);
    }
    Ok(differences)
}

/// Compares with what the API server has, and with the pods that are there.
async fn against_server(args: &DiffArgs, files: &[File]) -> Result<Vec<Difference>, Error> {
    let server = Cluster::connect(&args.cluster).await?;
    let new = sound(files, server.namespace())?;
    let mut differences = Vec::new();
    for cluster in &new {
        let metadata = &cluster.metadata;
        let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
        let (old, endpoints) =
            live::read(&server, namespace.unwrap_or_default(), name.unwrap_or_default()).await?;
        let mut question = question(args)?;
        if question.before.is_empty() {
            question.before = endpoints;
        }
        differences.push(diff::diff(&old, cluster, &question)?);
    }
    Ok(differences)
}

/// The FundClusters of `files`, if a server would take all of them. What it would say otherwise is said here.
pub(super) fn sound(files: &[File], namespace: &str) -> Result<Vec<FundCluster>, Error> {
    let report = lint::lint(files, namespace);
    some(files, &report)?;
    let errors = report.count(Severity::Error);
    if errors > 0 {
        say(lint::text(&report.errors(), Style::PLAIN).trim_end());
        return Err(ManifestError::Refused { errors, warnings: 0, strict: false }.into());
    }
    Ok(report.clusters.into_iter().map(|sound| sound.cluster).collect())
}

fn name(cluster: &FundCluster) -> String {
    let metadata = &cluster.metadata;
    let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
    format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default())
}

fn write(out: &mut dyn Write, format: Format, differences: &[Difference]) -> io::Result<()> {
    match format {
        Format::Table => {
            for (index, difference) in differences.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                out.write_all(diff::text(difference, Style::of_stdout()).as_bytes())?;
            }
        }
        // One line for everybody who moves, as it is read by whoever wants to know who they are.
        Format::Ndjson => {
            for difference in differences {
                for moved in &difference.users.moved {
                    let cluster = format!("{}/{}", difference.namespace, difference.name);
                    let line =
                        json!({"cluster": cluster, "user": moved.user, "from": moved.from, "to": moved.to});
                    output::document(out, format, &line)?;
                }
            }
        }
        Format::Json | Format::Yaml => output::document(out, format, &json!({"clusters": differences}))?,
    }
    out.flush()
}
