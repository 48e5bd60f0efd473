//! What the rules need to know of the workspace, taken from `cargo metadata`.

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, PackageId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How one crate depends on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `[dependencies]`
    Normal,
    /// `[build-dependencies]`
    Build,
    /// `[dev-dependencies]`
    Dev,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Normal => "normal",
            Self::Build => "build",
            Self::Dev => "dev",
        })
    }
}

/// A crate of the workspace.
#[derive(Clone, Debug, Default)]
pub struct Member {
    /// Its folder from the root, such as `libs/protocol`.
    pub folder: String,
    /// The members it depends on, by the last part of their folder.
    pub arrows: BTreeSet<(String, Kind)>,
    /// The packages from elsewhere it names itself.
    pub libraries: BTreeSet<String>,
    /// Every package it is built from through normal dependencies, however far.
    pub built_from: BTreeSet<String>,
}

impl Member {
    /// The last part of its folder: what the rules and documents call it.
    pub fn name(&self) -> &str {
        self.folder.rsplit('/').next().unwrap_or(&self.folder)
    }
}

/// The members of a workspace, sorted by folder.
pub fn members(metadata: &Metadata) -> Result<Vec<Member>> {
    let packages = metadata.workspace_packages();
    let mut names = BTreeMap::new();
    for package in &packages {
        let directory = package.manifest_path.parent().context("a manifest is in a directory")?;
        let folder =
            directory.strip_prefix(&metadata.workspace_root).context("a member is inside the workspace")?;
        names.insert(package.name.to_string(), folder.as_str().replace('\\', "/"));
    }
    let mut members = packages
        .iter()
        .map(|package| {
            let mut member = Member {
                folder: names[package.name.as_str()].clone(),
                built_from: reached(metadata, &package.id)?,
                ..Member::default()
            };
            for dependency in &package.dependencies {
                match names.get(&dependency.name) {
                    Some(folder) => {
                        let name = folder.rsplit('/').next().unwrap_or(folder);
                        member.arrows.insert((name.to_owned(), kind(dependency.kind)));
                    }
                    None => {
                        member.libraries.insert(dependency.name.clone());
                    }
                }
            }
            Ok(member)
        })
        .collect::<Result<Vec<_>>>()?;
    members.sort_by(|left, right| left.folder.cmp(&right.folder));
    Ok(members)
}

fn kind(kind: DependencyKind) -> Kind {
    match kind {
        DependencyKind::Build => Kind::Build,
        DependencyKind::Development => Kind::Dev,
        _ => Kind::Normal,
    }
}

fn reached(metadata: &Metadata, start: &PackageId) -> Result<BTreeSet<String>> {
    let resolve = metadata.resolve.as_ref().context("`cargo metadata` resolved nothing")?;
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut seen = BTreeSet::from([start]);
    let mut waiting = vec![start];
    while let Some(id) = waiting.pop() {
        let node = nodes.get(id).with_context(|| format!("{id} is not in the resolved graph"))?;
        for dependency in &node.deps {
            let normal = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if normal && seen.insert(&dependency.pkg) {
                waiting.push(&dependency.pkg);
            }
        }
    }
    seen.remove(start);
    Ok(seen.into_iter().map(|id| metadata[id].name.to_string()).collect())
}
