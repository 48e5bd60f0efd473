//! `status [NAME]`.

use std::io::{self, Write as _};

use jiff::Timestamp;
use serde::Serialize;

use super::say;
use crate::{
    args::{Format, Global, cluster::StatusArgs},
    cluster::{Cluster, Scope},
    error::{Error, Exit},
    output,
    render::{Style, printable},
    status::{self, Attention, Happened, Standing},
};

/// So many of those that need somebody are told apart; who has more looks at them one by one.
const TOLD: usize = 5;

/// Shows one, or all.
pub(super) async fn run(global: Global, args: StatusArgs) -> Result<Exit, Error> {
    let cluster = Cluster::connect(&args.cluster).await?;
    if let Some(name) = &args.name {
        return one(&global, &cluster, name).await;
    }
    let scope = if args.all_namespaces { Scope::All } else { cluster.here() };
    all(&global, &cluster, &scope).await
}

#[derive(Serialize)]
struct Page {
    #[serde(flatten)]
    standing: Standing,
    events: Vec<Happened>,
}

async fn one(global: &Global, cluster: &Cluster, name: &str) -> Result<Exit, Error> {
    let standing = Standing::of(&cluster.fund_cluster(name).await?);
    // Whoever may not read events sees all the rest.
    let events = match cluster.events_about("FundCluster", name).await {
        Ok(events) => status::happened(events),
        Err(error) => {
            say(&format!("without events: {}; next: {}", printable(&error.to_string()), error.next()));
            Vec::new()
        }
    };
    let exit = exit(std::slice::from_ref(&standing));
    let mut out = io::stdout().lock();
    match global.output {
        Format::Table => {
            let style = Style::of_stdout();
            let page = status::page(&standing, &events, Timestamp::now(), output::width(), style);
            write!(out, "{page}")?;
        }
        format => output::document(&mut out, format, &Page { standing, events })?,
    }
    Ok(exit)
}

async fn all(global: &Global, cluster: &Cluster, scope: &Scope) -> Result<Exit, Error> {
    let mut standings: Vec<_> = cluster.fund_clusters(scope).await?.iter().map(Standing::of).collect();
    status::sort(&mut standings);
    let mut out = io::stdout().lock();
    match global.output {
        Format::Table if standings.is_empty() => {
            let elsewhere = format!("{} status -A looks in all namespaces", cluster.program());
            match scope {
                Scope::All => say("there are no FundClusters"),
                Scope::Namespace(_) => {
                    say(&format!("there are no FundClusters {}; {elsewhere}", scope.words()));
                }
            }
        }
        Format::Table => {
            let style = Style::of_stdout();
            let drawn =
                status::table(&standings, *scope == Scope::All, Timestamp::now(), output::width(), style);
            writeln!(out, "{}", drawn.text)?;
            if !drawn.left_out.is_empty() {
                say(&format!("no room for {}; -o json has all", drawn.left_out.join(", ")));
            }
            troubles(&standings, &cluster.program());
        }
        Format::Ndjson => {
            for standing in &standings {
                output::document(&mut out, Format::Ndjson, standing)?;
            }
        }
        format => output::document(&mut out, format, &standings)?,
    }
    Ok(exit(&standings))
}

/// What is wrong with those that need somebody, and where to look.
fn troubles(standings: &[Standing], program: &str) {
    let troubled: Vec<_> = standings.iter().filter(|it| it.attention() > Attention::None).collect();
    for it in troubled.iter().take(TOLD) {
        say(&format!("{}: {}", it.place(), printable(&it.message)));
    }
    if let Some(first) = troubled.first() {
        say(&format!("next: {program} status {} -n {}", first.name, first.namespace));
    }
}

fn exit(standings: &[Standing]) -> Exit {
    let all = standings.iter().all(|it| it.attention() == Attention::None);
    if all { Exit::Ok } else { Exit::Degraded }
}
