//! Programs of Kubernetes and around it: no distribution packages them all, so those that are missing are built from their
//! Go modules (docs/adr/0018).
//!
//! Flow: what the machine has already (a directory that the environment names, a program on the path) is used if it is what
//! is wanted; else that of the cache; else [`go`] builds into the cache, which is announced before it begins. Whoever needs
//! another program adds it to a [`Set`] here.

mod go;
mod manifest;

use crate::{cache, process, say, tools};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// Names a directory with `etcd` and `kube-apiserver`, for the tests and to bring one's own. Other projects' tools that
/// fetch these programs set the same variable.
pub const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// Names the Helm that the tests of the charts run.
pub const HELM_VARIABLE: &str = "FUNDBOND_HELM";

/// Names an image to make nodes of, instead of our own.
pub const NODE_IMAGE: &str = "FUNDBOND_NODE_IMAGE";

/// The crate whose users need a real API server.
pub const FIXTURE: &str = "fundbond-test-api-server";

/// Between two looks at whether another run has built what is wanted.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a program is built from: a Go module of one release.
struct Release {
    module: &'static str,
    version: &'static str,
    /// The release under which the module's siblings are published, where it names them by a path in its own repository.
    siblings: Option<&'static str>,
    /// Variables of the module that tell a program its version; without them a Kubernetes program calls itself v0.0.0,
    /// which others refuse to work with.
    version_packages: &'static [&'static str],
    /// One variable that is the whole version, for programs of others.
    version_variable: Option<&'static str>,
    /// A program of our own around the module, where its own would bring more than is wanted.
    main: Option<&'static str>,
    /// Whether it is built with Kubernetes' versions of the libraries that both have: what was compiled for Kubernetes is
    /// there for it, too.
    like_kubernetes: bool,
}

impl Release {
    /// A module whose programs are built as they are.
    const fn of(module: &'static str, version: &'static str) -> Self {
        Self {
            module,
            version,
            siblings: None,
            version_packages: &[],
            version_variable: None,
            main: None,
            like_kubernetes: false,
        }
    }
}

const KUBERNETES_RELEASE: Release = Release {
    siblings: Some("v0.36.4"),
    version_packages: &["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"],
    ..Release::of("k8s.io/kubernetes", KUBERNETES_VERSION)
};

/// The Kubernetes that the tests run on.
pub const KUBERNETES_VERSION: &str = "v1.36.4";

/// Kubernetes 1.36 asks for 3.6 or newer.
const ETCD_RELEASE: Release = Release::of("go.etcd.io/etcd/server/v3", "v3.6.14");

/// What it says of a wrong values file, and what it warns of, changes with its release, so one is pinned.
const HELM_RELEASE: Release = Release {
    version_variable: Some("helm.sh/helm/v4/internal/version.version"),
    ..Release::of("helm.sh/helm/v4", "v4.2.4")
};

/// Names inside a cluster. Only what kubeadm's configuration of it asks for: the whole of it would fetch the libraries of
/// three clouds.
const COREDNS_RELEASE: Release = Release {
    main: Some(include_str!("../../docker/node/coredns.go")),
    like_kubernetes: true,
    ..Release::of("github.com/coredns/coredns", "v1.14.7")
};

/// Its configuration and what it does on nodes are the same for years; any 0.2x or newer serves.
const KIND_RELEASE: Release = Release::of("sigs.k8s.io/kind", "v0.33.0");

/// Autoscalers ask it how busy pods are. Modules of 0.8 do not verify.
const METRICS_SERVER_RELEASE: Release =
    Release { like_kubernetes: true, ..Release::of("sigs.k8s.io/metrics-server", "v0.9.0") };

/// A program, and the package that is compiled to it.
#[derive(Clone, Copy)]
struct Program {
    name: &'static str,
    package: &'static str,
    release: &'static Release,
    /// What it is asked to show that it runs.
    probe: &'static str,
}

/// Programs that are built together and kept in one directory of the cache.
struct Set {
    name: &'static str,
    programs: &'static [Program],
    /// What to expect, from a build with nothing in any cache.
    cost: &'static str,
    /// What to do instead of installing a Go.
    instead: &'static str,
}

const API_SERVER: Set = Set {
    name: "api-server",
    programs: &[
        Program {
            name: "etcd",
            package: "go.etcd.io/etcd/server/v3",
            release: &ETCD_RELEASE,
            probe: "--version",
        },
        of_kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    ],
    cost: "about ten minutes on two cores, 4 GB while it lasts, 130 MB afterwards",
    instead: "or set KUBEBUILDER_ASSETS to a directory with `etcd` and `kube-apiserver`",
};

const HELM: Set = Set {
    name: "helm",
    programs: &[Program {
        name: "helm",
        package: "helm.sh/helm/v4/cmd/helm",
        release: &HELM_RELEASE,
        probe: "version",
    }],
    cost: "about four minutes on two cores, 2 GB while it lasts, 60 MB afterwards",
    instead: "or put Helm of this very release on the path",
};

/// A program of Kubernetes that says its version when it is asked for it.
const fn of_kubernetes(name: &'static str, package: &'static str) -> Program {
    Program { name, package, release: &KUBERNETES_RELEASE, probe: "--version" }
}

/// Everything that a node runs, beside [`API_SERVER`].
const NODE: Set = Set {
    name: "node",
    programs: &[
        of_kubernetes("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
        of_kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
        of_kubernetes("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
        of_kubernetes("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
        Program {
            name: "kubeadm",
            package: "k8s.io/kubernetes/cmd/kubeadm",
            release: &KUBERNETES_RELEASE,
            probe: "version",
        },
        Program {
            name: "kubectl",
            package: "k8s.io/kubernetes/cmd/kubectl",
            release: &KUBERNETES_RELEASE,
            probe: "options",
        },
        Program { name: "coredns", package: ".", release: &COREDNS_RELEASE, probe: "-version" },
    ],
    cost: "about six minutes on two cores, 5 GB while it lasts, 400 MB afterwards",
    instead: "or name a node image of kind's in FUNDBOND_NODE_IMAGE",
};

const KIND: Set = Set {
    name: "kind",
    programs: &[Program {
        name: "kind",
        package: "sigs.k8s.io/kind",
        release: &KIND_RELEASE,
        probe: "version",
    }],
    cost: "about a minute on two cores, 700 MB while it lasts, 10 MB afterwards",
    instead: "or put kind on the path (kind.sigs.k8s.io)",
};

const METRICS_SERVER: Set = Set {
    name: "metrics-server",
    programs: &[Program {
        name: "metrics-server",
        package: "sigs.k8s.io/metrics-server/cmd/metrics-server",
        release: &METRICS_SERVER_RELEASE,
        probe: "--version",
    }],
    cost: "about three minutes on two cores, 2 GB while it lasts, 60 MB afterwards",
    instead: "which only the cluster needs",
};

/// All of them.
const SETS: [&Set; 5] = [&API_SERVER, &NODE, &METRICS_SERVER, &HELM, &KIND];

/// Everything that a cluster or the tests need and this machine lacks.
pub fn everything() -> Result<()> {
    build(&lacking(true, true)?)
}

/// What tests on a server and tests of charts need and this machine lacks, in one go.
pub fn for_tests() -> Result<()> {
    build(&lacking(true, false)?)
}

/// What a cluster and the release on it need and this machine lacks, in one go.
pub fn for_clusters() -> Result<()> {
    build(&lacking(false, true)?)
}

/// What this machine lacks; what tests wait for comes first.
fn lacking(tests: bool, clusters: bool) -> Result<Vec<&'static Set>> {
    let nodes = clusters && given_node_image().is_none();
    let sets = [
        (&API_SERVER, (tests || nodes) && given_api_server().is_none()),
        (&HELM, helm_of_machine()?.is_none()),
        (&NODE, nodes || clusters && kubectl_of_machine()?.is_none()),
        // It goes into an image, which Docker builds where programs are not Linux's.
        (&METRICS_SERVER, clusters && cfg!(target_os = "linux")),
        (&KIND, clusters && kind_of_machine()?.is_none()),
    ];
    Ok(sets.into_iter().filter_map(|(set, lacks)| lacks.then_some(set)).collect())
}

/// A node image of kind's, where the environment names one.
pub fn given_node_image() -> Option<String> {
    std::env::var(NODE_IMAGE).ok().filter(|name| !name.is_empty())
}

/// Helm of the pinned release: the one on the path, else our own in the cache.
pub fn helm() -> Result<PathBuf> {
    helm_of_machine()?.map_or_else(|| HELM.program("helm"), Ok)
}

fn helm_of_machine() -> Result<Option<PathBuf>> {
    if process::exists("helm", "version")? {
        let found = process::output(Command::new("helm").args(["version", "--template", "{{.Version}}"]))?;
        if found.trim() == HELM_RELEASE.version {
            return Ok(Some("helm".into()));
        }
        say::line(&format!(
            "`helm` is {}, and the charts' tests want {}",
            found.trim(),
            HELM_RELEASE.version
        ));
    }
    Ok(None)
}

/// A directory with everything a Kubernetes API server is.
pub fn api_server() -> Result<PathBuf> {
    if let Some(directory) = given_api_server() {
        return absolute(&directory);
    }
    let directory = API_SERVER.directory()?;
    say::line(&format!("{ASSETS}={}", directory.display()));
    Ok(directory)
}

fn given_api_server() -> Option<PathBuf> {
    tools::given(ASSETS, |directory| has(directory, API_SERVER.programs))
}

/// A directory with everything that a node is made of, `etcd` and `kube-apiserver` aside.
pub fn node_programs() -> Result<PathBuf> {
    NODE.directory()
}

/// kind: the one on the path, else our own in the cache.
pub fn kind() -> Result<PathBuf> {
    kind_of_machine()?.map_or_else(|| KIND.program("kind"), Ok)
}

fn kind_of_machine() -> Result<Option<PathBuf>> {
    Ok(process::exists("kind", "version")?.then(|| "kind".into()))
}

/// kubectl: the one on the path if it is of an age with the cluster's servers, else the one that the nodes have.
pub fn kubectl() -> Result<PathBuf> {
    kubectl_of_machine()?.map_or_else(|| NODE.program("kubectl"), Ok)
}

fn kubectl_of_machine() -> Result<Option<PathBuf>> {
    if process::exists("kubectl", "options")? {
        let said =
            process::output(Command::new("kubectl").args(["version", "--client", "--output", "json"]))?;
        let said: serde_json::Value = serde_json::from_str(&said).context("`kubectl version`")?;
        let found = said["clientVersion"]["gitVersion"].as_str().unwrap_or_default();
        if speaks_to(found, KUBERNETES_VERSION) {
            return Ok(Some("kubectl".into()));
        }
        say::line(&format!("`kubectl` is {found}, which is not made for servers of {KUBERNETES_VERSION}"));
    }
    Ok(None)
}

/// Whether a client and a server of these versions work together: their minor versions are one apart at most.
fn speaks_to(client: &str, server: &str) -> bool {
    let minor = |version: &str| version.trim_start_matches("v1.").split('.').next()?.parse::<u32>().ok();
    minor(client).zip(minor(server)).is_some_and(|(client, server)| client.abs_diff(server) <= 1)
}

/// The metrics server, which is static and goes into an image.
pub fn metrics_server() -> Result<PathBuf> {
    METRICS_SERVER.program("metrics-server")
}

/// Tests run in the folders of their crates.
fn absolute(directory: &Path) -> Result<PathBuf> {
    std::path::absolute(directory).with_context(|| format!("cannot find {}", directory.display()))
}

impl Set {
    /// The entry of the cache. What its programs are built with, and those of our own, are part of what it depends on.
    fn entry(&self) -> String {
        let releases = releases(self.programs);
        let parts: Vec<String> = releases.iter().map(|(release, _)| release.recipe()).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        format!("kubernetes/{}-{}-{}", self.name, self.versions().join("-"), cache::key(&parts))
    }

    fn versions(&self) -> Vec<String> {
        releases(self.programs).iter().map(|(release, _)| label(release)).collect()
    }

    /// The directory of the cache, where all of them run.
    fn directory(&self) -> Result<PathBuf> {
        build(&[self])?;
        Ok(cache::root()?.join(self.entry()))
    }

    fn program(&self, name: &str) -> Result<PathBuf> {
        Ok(self.directory()?.join(name))
    }

    /// Its programs and their releases, for people.
    fn names(&self) -> String {
        let names: Vec<&str> = self.programs.iter().map(|program| program.name).collect();
        format!("{} ({})", names.join(" and "), self.versions().join(", "))
    }

    fn build_in(&self, workshop: &go::Workshop, directory: &Path) -> Result<()> {
        say::line(&format!(
            "building {} from Go modules into {}: once, {}",
            self.names(),
            directory.display(),
            self.cost
        ));
        for (release, programs) in &releases(self.programs) {
            workshop.build(release, programs, directory)?;
        }
        has(directory, self.programs)
    }
}

/// Builds those that the cache lacks, in one workshop.
fn build(sets: &[&Set]) -> Result<()> {
    let root = cache::root()?;
    let missing: Vec<&Set> =
        sets.iter().copied().filter(|set| !cache::is_complete(&root, &set.entry())).collect();
    for set in &missing {
        go::check(&set.names(), set.instead)?;
    }
    // Before any entry is locked: another run that builds one of them holds the workshop, too.
    if let Some(workshop) = workshop(&root, sets)? {
        for set in missing {
            cache::entry(&root, &set.entry(), |directory| set.build_in(&workshop, directory))?;
        }
        workshop.remove()?;
    }
    for set in sets {
        let directory = root.join(set.entry());
        has(&directory, set.programs)
            .with_context(|| format!("{} is damaged: remove it and run this again", directory.display()))?;
    }
    Ok(())
}

/// The workshop, once nobody else works in it; none where there is nothing to build, or not any more.
fn workshop(root: &Path, sets: &[&Set]) -> Result<Option<go::Workshop>> {
    let mut told = false;
    loop {
        if sets.iter().all(|set| cache::is_complete(root, &set.entry())) {
            return Ok(None);
        }
        if let Some(workshop) = go::Workshop::open(root)? {
            return Ok(Some(workshop));
        }
        if !told {
            let names: Vec<&str> = sets.iter().map(|set| set.name).collect();
            say::line(&format!(
                "another run builds programs of Kubernetes: waiting for {}",
                names.join(", ")
            ));
            told = true;
        }
        sleep(LOOK_AGAIN);
    }
}

/// Every program of a release.
fn programs_of(release: &Release) -> impl Iterator<Item = &'static Program> {
    SETS.into_iter().flat_map(|set| set.programs).filter(|program| program.release.module == release.module)
}

/// The programs by what they are built from.
fn releases(programs: &[Program]) -> Vec<(&'static Release, Vec<&Program>)> {
    let mut releases: Vec<(&'static Release, Vec<&Program>)> = Vec::new();
    for program in programs {
        match releases.iter_mut().find(|(release, _)| release.module == program.release.module) {
            Some((_, its)) => its.push(program),
            None => releases.push((program.release, vec![program])),
        }
    }
    releases
}

/// A release, for people and for names of directories.
fn label(release: &Release) -> String {
    let of = release.module.trim_end_matches("/v3").trim_end_matches("/v4").trim_end_matches("/server");
    let name = of.rsplit('/').next().unwrap_or(of);
    format!("{name}-{}", release.version)
}

/// Whether every program is there and runs here.
fn has(directory: &Path, programs: &[Program]) -> Result<()> {
    for program in programs {
        let path = directory.join(program.name);
        if !path.is_file() {
            bail!("there is no `{}` in it", program.name);
        }
        process::output(Command::new(&path).arg(program.probe))
            .with_context(|| format!("`{}` does not run", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_lacks_a_program_or_holds_a_broken_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let refused = |part: &str| {
            let error = format!("{:#}", has(directory.path(), API_SERVER.programs).unwrap_err());
            assert!(error.contains(part), "{error}");
        };
        refused("no `etcd`");
        for program in API_SERVER.programs {
            std::fs::write(directory.path().join(program.name), "no program").unwrap();
        }
        refused("does not run");
    }

    #[test]
    fn the_metrics_server_of_the_dockerfile_is_the_one_that_is_built_here() {
        let dockerfile = include_str!("../../docker/metrics-server.Dockerfile");
        assert!(dockerfile.contains(&format!("metrics-server@{}", METRICS_SERVER_RELEASE.version)));
    }

    #[test]
    fn a_client_is_of_an_age_with_its_server() {
        assert!(speaks_to("v1.35.0", "v1.36.4") && speaks_to("v1.37.0-rc.1", "v1.36.4"));
        assert!(!speaks_to("v1.32.4-dispatcher", "v1.36.4") && !speaks_to("", "v1.36.4"));
    }

    #[test]
    fn programs_of_one_release_are_built_together() {
        let second = Program {
            name: "kubelet",
            package: "k8s.io/kubernetes/cmd/kubelet",
            release: &KUBERNETES_RELEASE,
            probe: "--version",
        };
        let [etcd, api_server] = API_SERVER.programs else { panic!("two programs") };
        let programs = [*api_server, *etcd, second];
        let releases = releases(&programs);
        let names: Vec<Vec<&str>> =
            releases.iter().map(|(_, its)| its.iter().map(|program| program.name).collect()).collect();
        assert_eq!(names, [vec!["kube-apiserver", "kubelet"], vec!["etcd"]]);
        let labels: Vec<String> = releases.iter().map(|(release, _)| label(release)).collect();
        assert_eq!(
            labels,
            [format!("kubernetes-{}", KUBERNETES_RELEASE.version), format!("etcd-{}", ETCD_RELEASE.version)]
        );
        assert_eq!(label(&HELM_RELEASE), format!("helm-{}", HELM_RELEASE.version));
    }
}
