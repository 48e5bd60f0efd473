//! What a release is built of: its `go.mod`. Pure.

use super::{KUBERNETES_RELEASE, Release, label};
use anyhow::{Context, Result, bail};

impl Release {
    /// All that decides what its programs are built of.
    pub(super) fn recipe(&self) -> String {
        let like = if self.like_kubernetes { label(&KUBERNETES_RELEASE) } else { String::new() };
        label(self) + self.main.unwrap_or_default() + &like
    }
}

/// The `go.mod` that needs a release, made from the one that it has itself.
pub(super) fn manifest_for(release: &Release, its_own: &str) -> Result<String> {
    let Release { module, version, siblings, .. } = release;
    let language = its_own.lines().find_map(|line| line.strip_prefix("go "));
    let language = language.with_context(|| format!("the go.mod of {module} names no Go"))?;
    // Programs behave as those of the release do, whatever Go compiles them.
    let default = language.split('.').take(2).collect::<Vec<_>>().join(".");
    let replaced = if siblings.is_some() { named(release, its_own)? } else { String::new() };
    Ok(format!(
        "module programs\n\ngo {language}\n\nrequire {module} {version}\n\ngodebug default=go{default}\n\n{replaced}"
    ))
}

/// Siblings that a release names by their paths, by their own release.
fn named(release: &Release, its_own: &str) -> Result<String> {
    let siblings = release.siblings.with_context(|| format!("{} has no siblings", release.module))?;
    let local: Vec<&str> = its_own.lines().filter_map(replaced_by_a_path).collect();
    if local.is_empty() {
        bail!("{} names no siblings by their paths any more: look at its go.mod", release.module);
    }
    Ok(replacements(local.into_iter().map(|module| (module, siblings))))
}

/// The versions of all that a release is built of, for whoever is to be built of the same.
pub(super) fn pinned(release: &Release, its_own: &str) -> Result<String> {
    let named = named(release, its_own)?;
    let required: Vec<(&str, &str)> = its_own.lines().filter_map(required).collect();
    if required.is_empty() {
        bail!("{} requires nothing any more: look at its go.mod", release.module);
    }
    let others = required.into_iter().filter(|(module, _)| !named.contains(&format!("replace {module} =>")));
    let others = replacements(others);
    Ok(named + &others)
}

/// A line for each module that is to be of this version, whatever is asked for.
fn replacements<'a>(modules: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    modules.fold(String::new(), |all, (module, version)| {
        all + "replace " + module + " => " + module + " " + version + "\n"
    })
}

/// Module and version of a line `require module version`, inside a block or not.
fn required(line: &str) -> Option<(&str, &str)> {
    let mut words = line.trim().trim_start_matches("require ").split_whitespace();
    let (module, version) = (words.next()?, words.next()?);
    let is_it = module.contains('.') && module.contains('/') && version.starts_with('v');
    (is_it && words.next().is_none_or(|word| word == "//")).then_some((module, version))
}

/// The module of a line `replace module => ./path`, inside a block or not.
fn replaced_by_a_path(line: &str) -> Option<&str> {
    let (module, path) = line.split_once("=>")?;
    path.trim().starts_with("./").then(|| module.trim().trim_start_matches("replace ").trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_that_a_release_names_by_paths_are_named_by_their_release() {
        let own = "module k8s.io/kubernetes\n\ngo 1.26.0\n\ngodebug default=go1.26\n\nreplace (\n\tk8s.io/api => \
                   ./staging/src/k8s.io/api\n\tother => other v1.0.0\n)\nreplace k8s.io/b => ./staging/b\n";
        let kubernetes = &KUBERNETES_RELEASE;
        let siblings = kubernetes.siblings.unwrap();
        assert_eq!(
            manifest_for(kubernetes, own).unwrap(),
            format!(
                "module programs\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes {}\n\ngodebug default=go1.26\n\nreplace \
                 k8s.io/api => k8s.io/api {siblings}\nreplace k8s.io/b => k8s.io/b {siblings}\n",
                kubernetes.version,
            )
        );
        assert!(manifest_for(kubernetes, "go 1.26.0\n").is_err());
    }

    #[test]
    fn whoever_is_built_like_kubernetes_has_all_versions_of_it() {
        let own = "module k8s.io/kubernetes\n\ngo 1.26.0\n\nrequire (\n\ta.io/one v1.2.3\n\tk8s.io/api v0.0.0\n\tb.io/two v0.1.0 // \
                   indirect\n)\nrequire c.io/three v3.0.0+incompatible\n\nreplace (\n\tk8s.io/api => ./staging/api\n)\n";
        let kubernetes = &KUBERNETES_RELEASE;
        let siblings = kubernetes.siblings.unwrap();
        assert_eq!(
            pinned(kubernetes, own).unwrap(),
            format!(
                "replace k8s.io/api => k8s.io/api {siblings}\nreplace a.io/one => a.io/one v1.2.3\nreplace b.io/two => \
                 b.io/two v0.1.0\nreplace c.io/three => c.io/three v3.0.0+incompatible\n"
            )
        );
        assert!(pinned(kubernetes, "replace k8s.io/api => ./staging/api\n").is_err());
    }
}
