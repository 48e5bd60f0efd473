//! `render`: everything that a FundCluster becomes.

use std::io::{self, Write};

use fundbond_crds::FundCluster;
use serde_json::{Value, json};

use super::{diff::sound, say};
use crate::{
    args::{
        Format, Global,
        manifest::{RenderArgs, Target},
    },
    error::{Error, Exit},
    manifest::{
        file::read,
        lint,
        mesh::{self, Attached, Mesh},
        render,
    },
    output,
};

/// Writes the objects of every FundCluster, for the operator's eyes or a mesh's.
pub(super) fn run(global: &Global, args: &RenderArgs) -> Result<Exit, Error> {
    let clusters = sound(&read(&args.manifests)?, &args.namespace)?;
    let mut all = Mesh::default();
    for cluster in &clusters {
        let mesh = one(cluster, args)?;
        all.objects.extend(mesh.objects);
        for (list, said) in [(&mut all.left_out, mesh.left_out), (&mut all.notes, mesh.notes)] {
            let name = cluster.metadata.name.as_deref().unwrap_or_default();
            list.extend(said.into_iter().map(|said| format!("FundCluster {name}: {said}")));
        }
    }
    write(&mut io::stdout().lock(), global.output, all.objects)?;
    for note in &all.notes {
        say(&lint::hanging(&format!("note: {note}")));
    }
    for left_out in &all.left_out {
        say(&lint::hanging(&format!("left out: {left_out}")));
    }
    Ok(if all.left_out.is_empty() { Exit::Ok } else { Exit::Degraded })
}

fn one(cluster: &FundCluster, args: &RenderArgs) -> Result<Mesh, Error> {
    let attached = |target| Attached::of(cluster, args.gateway.as_deref(), &args.hostnames, target);
    Ok(match args.target {
        Target::Kubernetes => {
            let objects = render::objects(cluster, &args.site.site(), args.route_generation);
            Mesh { objects, ..Mesh::default() }
        }
        Target::Istio => mesh::istio(cluster, &attached("istio")?),
        Target::Kong => mesh::kong(cluster, &attached("kong")?),
    })
}

/// As `kubectl` reads them; a table of objects would be no use to anybody.
fn write(out: &mut dyn Write, format: Format, objects: Vec<Value>) -> io::Result<()> {
    match format {
        Format::Table | Format::Yaml => {
            for object in &objects {
                writeln!(out, "---")?;
                output::document(out, Format::Yaml, object)?;
            }
        }
        Format::Ndjson => {
            for object in &objects {
                output::document(out, format, object)?;
            }
        }
        Format::Json => {
            output::document(out, format, &json!({"apiVersion": "v1", "kind": "List", "items": objects}))?;
        }
    }
    out.flush()
}
