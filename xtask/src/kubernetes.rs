//! Programs of Kubernetes and around it: no distribution packages them all, so those that are missing are built from their
//! Go modules (docs/adr/0018).
//!
//! Flow: what the machine has already (a directory that the environment names, a program on the path) is used if it is what
//! is wanted; else that of the cache; else [`go`] builds into the cache, which is announced before it begins. Whoever needs
//! another program adds a line to a list here.

mod go;

use crate::{cache, process, say, tools};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names a directory with `etcd` and `kube-apiserver`, for the tests and to bring one's own. Other projects' tools that
/// fetch these programs set the same variable.
pub const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// Names the Helm that the tests of the charts run.
pub const HELM: &str = "FUNDBOND_HELM";

/// The crate whose users need a real API server.
pub const FIXTURE: &str = "fundbond-test-api-server";

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
}

impl Release {
    /// A module whose programs are built as they are.
    const fn of(module: &'static str, version: &'static str) -> Self {
        Self { module, version, siblings: None, version_packages: &[], version_variable: None, main: None }
    }
}

const KUBERNETES: Release = Release {
    siblings: Some("v0.36.4"),
    version_packages: &["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"],
    ..Release::of("k8s.io/kubernetes", KUBERNETES_VERSION)
};

/// The Kubernetes that the tests run on.
pub const KUBERNETES_VERSION: &str = "v1.36.4";

/// Kubernetes 1.36 asks for 3.6 or newer.
const ETCD: Release = Release::of("go.etcd.io/etcd/server/v3", "v3.6.14");

/// What it says of a wrong values file, and what it warns of, changes with its release, so one is pinned.
const HELM_RELEASE: Release = Release {
    version_variable: Some("helm.sh/helm/v4/internal/version.version"),
    ..Release::of("helm.sh/helm/v4", "v4.2.4")
};

/// Names inside a cluster. Only what kubeadm's configuration of it asks for: the whole of it would fetch the libraries of
/// three clouds.
const COREDNS: Release = Release {
    main: Some(include_str!("../../docker/node/coredns.go")),
    ..Release::of("github.com/coredns/coredns", "v1.14.7")
};

/// Its configuration and what it does on nodes are the same for years; any 0.2x or newer serves.
const KIND_RELEASE: Release = Release::of("sigs.k8s.io/kind", "v0.33.0");

/// Autoscalers ask it how busy pods are. Modules of 0.8 do not verify.
const METRICS_SERVER: Release = Release::of("sigs.k8s.io/metrics-server", "v0.9.0");

/// A program, and the package that is compiled to it.
#[derive(Clone, Copy)]
struct Program {
    name: &'static str,
    package: &'static str,
    release: &'static Release,
    /// What it is asked to show that it runs.
    probe: &'static str,
}

const API_SERVER: [Program; 2] = [
    Program { name: "etcd", package: "go.etcd.io/etcd/server/v3", release: &ETCD, probe: "--version" },
    Program {
        name: "kube-apiserver",
        package: "k8s.io/kubernetes/cmd/kube-apiserver",
        release: &KUBERNETES,
        probe: "--version",
    },
];

const HELM_PROGRAM: [Program; 1] =
    [Program { name: "helm", package: "helm.sh/helm/v4/cmd/helm", release: &HELM_RELEASE, probe: "version" }];

/// A program of Kubernetes that says its version when it is asked for it.
const fn of_kubernetes(name: &'static str, package: &'static str) -> Program {
    Program { name, package, release: &KUBERNETES, probe: "--version" }
}

/// Everything that a node runs, beside [`API_SERVER`].
const NODE: [Program; 7] = [
    of_kubernetes("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    of_kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    of_kubernetes("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
    of_kubernetes("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
    Program {
        name: "kubeadm",
        package: "k8s.io/kubernetes/cmd/kubeadm",
        release: &KUBERNETES,
        probe: "version",
    },
    KUBECTL[0],
    Program { name: "coredns", package: ".", release: &COREDNS, probe: "-version" },
];

const KUBECTL: [Program; 1] = [Program {
    name: "kubectl",
    package: "k8s.io/kubernetes/cmd/kubectl",
    release: &KUBERNETES,
    probe: "options",
}];

const KIND_PROGRAM: [Program; 1] =
    [Program { name: "kind", package: "sigs.k8s.io/kind", release: &KIND_RELEASE, probe: "version" }];

const METRICS_SERVER_PROGRAM: [Program; 1] = [Program {
    name: "metrics-server",
    package: "sigs.k8s.io/metrics-server/cmd/metrics-server",
    release: &METRICS_SERVER,
    probe: "--version",
}];

/// What to expect, from a build with nothing in any cache.
const API_SERVER_COST: &str = "about ten minutes on two cores, 4 GB while it lasts, 130 MB afterwards";

/// The same of Helm.
const HELM_COST: &str = "about four minutes on two cores, 2 GB while it lasts, 60 MB afterwards";

/// Helm of the pinned release: the one on the path, else our own in the cache.
pub fn helm() -> Result<PathBuf> {
    if process::exists("helm", "version")? {
        let found = process::output(Command::new("helm").args(["version", "--template", "{{.Version}}"]))?;
        if found.trim() == HELM_RELEASE.version {
            return Ok("helm".into());
        }
        say::line(&format!(
            "`helm` is {}, and the charts' tests want {}",
            found.trim(),
            HELM_RELEASE.version
        ));
    }
    let fix = format!("or put Helm {} on the path", HELM_RELEASE.version);
    Ok(built("helm", &HELM_PROGRAM, HELM_COST, &fix)?.join("helm"))
}

/// A directory with everything a Kubernetes API server is.
pub fn api_server() -> Result<PathBuf> {
    if let Some(directory) = tools::given(ASSETS, |directory| has(directory, &API_SERVER)) {
        return absolute(&directory);
    }
    let fix = format!("or set {ASSETS} to a directory with `etcd` and `kube-apiserver`");
    let directory = built("api-server", &API_SERVER, API_SERVER_COST, &fix)?;
    say::line(&format!("{ASSETS}={}", directory.display()));
    Ok(directory)
}

/// A directory with everything that a node is made of, `etcd` and `kube-apiserver` aside.
pub fn node_programs() -> Result<PathBuf> {
    let cost = "about six minutes on two cores, 5 GB while it lasts, 400 MB afterwards";
    let fix = "or name a node image of kind's in FUNDBOND_NODE_IMAGE";
    built("node", &NODE, cost, fix)
}

/// kind: the one on the path, else our own in the cache.
pub fn kind() -> Result<PathBuf> {
    if process::exists("kind", "version")? {
        return Ok("kind".into());
    }
    let cost = "about a minute on two cores, 700 MB while it lasts, 10 MB afterwards";
    let fix = "or put kind on the path (kind.sigs.k8s.io)";
    Ok(built("kind", &KIND_PROGRAM, cost, fix)?.join("kind"))
}

/// kubectl: the one on the path if it is of an age with the cluster's servers, else the one that the nodes have.
pub fn kubectl() -> Result<PathBuf> {
    if process::exists("kubectl", "options")? {
        let said =
            process::output(Command::new("kubectl").args(["version", "--client", "--output", "json"]))?;
        let said: serde_json::Value = serde_json::from_str(&said).context("`kubectl version`")?;
        let found = said["clientVersion"]["gitVersion"].as_str().unwrap_or_default();
        if speaks_to(found, KUBERNETES_VERSION) {
            return Ok("kubectl".into());
        }
        say::line(&format!("`kubectl` is {found}, which is not made for servers of {KUBERNETES_VERSION}"));
    }
    Ok(node_programs()?.join("kubectl"))
}

/// Whether a client and a server of these versions work together: their minor versions are one apart at most.
fn speaks_to(client: &str, server: &str) -> bool {
    let minor = |version: &str| version.trim_start_matches("v1.").split('.').next()?.parse::<u32>().ok();
    minor(client).zip(minor(server)).is_some_and(|(client, server)| client.abs_diff(server) <= 1)
}

/// The metrics server, which is static and goes into an image.
pub fn metrics_server() -> Result<PathBuf> {
    let cost = "about three minutes on two cores, 2 GB while it lasts, 60 MB afterwards";
    let fix = "which only this chore does";
    Ok(built("metrics-server", &METRICS_SERVER_PROGRAM, cost, fix)?.join("metrics-server"))
}

/// Tests run in the folders of their crates.
fn absolute(directory: &Path) -> Result<PathBuf> {
    std::path::absolute(directory).with_context(|| format!("cannot find {}", directory.display()))
}

/// The programs in one directory of the cache, where all of them run.
fn built(name: &str, programs: &[Program], cost: &str, instead: &str) -> Result<PathBuf> {
    let releases = releases(programs);
    let versions: Vec<String> = releases.iter().map(|(release, _)| label(release)).collect();
    let root = cache::root()?;
    let directory = cache::entry(&root, &format!("kubernetes/{name}-{}", versions.join("-")), |directory| {
        let names: Vec<&str> = programs.iter().map(|program| program.name).collect();
        go::check(&names.join(" and "), instead)?;
        say::line(&format!(
            "building {} ({}) from Go modules into {}: once, {cost}",
            names.join(" and "),
            versions.join(", "),
            directory.display()
        ));
        let workshop = go::Workshop::open(&root)?;
        for (release, programs) in &releases {
            workshop.build(release, programs, directory)?;
        }
        has(directory, programs)?;
        workshop.remove()
    })?;
    has(&directory, programs)
        .with_context(|| format!("{} is damaged: remove it and run this again", directory.display()))?;
    Ok(directory)
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
            let error = format!("{:#}", has(directory.path(), &API_SERVER).unwrap_err());
            assert!(error.contains(part), "{error}");
        };
        refused("no `etcd`");
        for program in &API_SERVER {
            std::fs::write(directory.path().join(program.name), "no program").unwrap();
        }
        refused("does not run");
    }

    #[test]
    fn the_metrics_server_of_the_dockerfile_is_the_one_that_is_built_here() {
        let dockerfile = include_str!("../../docker/metrics-server.Dockerfile");
        assert!(dockerfile.contains(&format!("metrics-server@{}", METRICS_SERVER.version)));
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
            release: &KUBERNETES,
            probe: "--version",
        };
        let [etcd, api_server] = API_SERVER;
        let programs = [api_server, etcd, second];
        let releases = releases(&programs);
        let names: Vec<Vec<&str>> =
            releases.iter().map(|(_, its)| its.iter().map(|program| program.name).collect()).collect();
        assert_eq!(names, [vec!["kube-apiserver", "kubelet"], vec!["etcd"]]);
        let labels: Vec<String> = releases.iter().map(|(release, _)| label(release)).collect();
        assert_eq!(labels, [format!("kubernetes-{}", KUBERNETES.version), format!("etcd-{}", ETCD.version)]);
        assert_eq!(label(&HELM_RELEASE), format!("helm-{}", HELM_RELEASE.version));
    }
}
