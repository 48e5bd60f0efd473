//! The image that every node of the cluster is a container of.
//!
//! kind's own image comes from a registry: whoever reaches one names it in `FUNDBOND_NODE_IMAGE`. Everywhere else the same
//! thing is made from Debian's userland and programs built from Go modules, once; it stays with Docker's images.
//!
//! Flow: root file system -> image of a bare node -> an image for each part of the control plane -> these imported into the
//! bare node's containerd -> the node.

use super::of_node;
use crate::docker::Docker;
use crate::kubernetes::NODE_IMAGE;
use crate::{cache, kubernetes, process, say, tools};
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Names a node image of kind's, with its tag.
/// Debian 12: its systemd starts on control groups of version 1 as well as 2; later ones refuse 1.
const RELEASE: &str = "bookworm";

/// What a node needs of Debian.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,containerd,runc,containernetworking-plugins,iptables,nftables,iproute2,\
                        conntrack,ethtool,socat,ebtables,util-linux,mount,kmod,procps,jq,ca-certificates,e2fsprogs,\
                        hostname,netbase";

/// containerd answers within a second or two.
const CONTAINERD_STARTS: Duration = Duration::from_secs(30);

/// The image to make nodes from: the one that is named, else ours.
pub(super) fn find(docker: &Docker) -> Result<String> {
    if let Some(given) = kubernetes::given_node_image() {
        say::line(&format!("{NODE_IMAGE}={given} (as given)"));
        if docker.inspect("image", &given).is_err() {
            process::run(docker.command().args(["pull", &given]))
                .with_context(|| format!("{NODE_IMAGE}: no such image here, and it cannot be had"))?;
        }
        return Ok(given);
    }
    if !cfg!(target_os = "linux") {
        bail!(
            "a node image can only be made on Linux: set {NODE_IMAGE} to one of kind's, for example kindest/node:{}",
            kubernetes::KUBERNETES_VERSION
        );
    }
    let workspace = process::workspace()?;
    let image = format!("fundbond/node:{}-{}", kubernetes::KUBERNETES_VERSION, recipe(&workspace)?);
    if docker.inspect("image", &image).is_err() {
        say::line(&format!("no {image}: making it, once; {NODE_IMAGE} would name one of kind's instead"));
        Maker::new(docker, &workspace)?.make(&image)?;
        forget_others(docker, &image)?;
    }
    Ok(image)
}

/// Removes node images of other recipes; one that a cluster runs on stays.
fn forget_others(docker: &Docker, image: &str) -> Result<()> {
    let mut list = docker.command();
    list.args(["images", "--filter", "reference=fundbond/node", "--format", "{{.Repository}}:{{.Tag}}"]);
    for other in process::output(&mut list)?.lines().filter(|other| *other != image) {
        if process::output(docker.command().args(["image", "rm", other])).is_err() {
            say::line(&format!("{other} is still in use"));
        }
    }
    Ok(())
}

/// What the image depends on beside the release of Kubernetes.
fn recipe(workspace: &Path) -> Result<String> {
    let mut parts = vec![RELEASE.to_owned(), PACKAGES.to_owned(), include_str!("node_image.rs").to_owned()];
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in [of_node(workspace, ""), of_node(workspace, "manifests")] {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
            if path.is_file() {
                paths.push(path);
            }
        }
    }
    paths.sort();
    for path in paths {
        parts.push(fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    Ok(cache::key(&parts.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// The images of the parts, by the names that kubeadm gives them.
struct Maker<'a> {
    docker: &'a Docker,
    workspace: &'a Path,
    /// Kubernetes' own programs, and etcd and the API server.
    programs: PathBuf,
    api_server: PathBuf,
    /// Contexts of images.
    stages: tempfile::TempDir,
}

/// The node before anything of Kubernetes is in it.
const ROOT: &str = "fundbond/node-root:build";
/// The node without the images of the control plane.
const BARE: &str = "fundbond/node-bare:build";
/// How a node starts. An image that is made from a container is told once more: it would start as the container did.
const START: &str = "ENTRYPOINT [\"/usr/local/bin/entrypoint\", \"/sbin/init\"]";

impl<'a> Maker<'a> {
    fn new(docker: &'a Docker, workspace: &'a Path) -> Result<Self> {
        let stages = tempfile::Builder::new().prefix("fundbond-node-").tempdir();
        Ok(Self {
            docker,
            workspace,
            programs: kubernetes::node_programs()?,
            api_server: kubernetes::api_server()?,
            stages: stages.context("no folder for the parts of the node image")?,
        })
    }

    fn make(&self, image: &str) -> Result<()> {
        self.root()?;
        let version = kubernetes::KUBERNETES_VERSION;
        let mut list = Command::new(self.programs.join("kubeadm"));
        let listed =
            process::output(list.args(["config", "images", "list", "--kubernetes-version", version]))?;
        let parts: Vec<&str> = listed.split_whitespace().collect();
        for part in &parts {
            self.part(part)?;
        }
        let pause =
            parts.iter().find(|part| short(part) == "pause").context("kubeadm wants no pause image")?;
        self.bare(pause)?;
        self.filled(&parts, image)?;
        let size = self.docker.inspect("image", image)?["Size"].as_u64().context("an image has a size")?;
        say::line(&format!("{image}: {:.0} MB", size as f64 / 1e6));
        // What it was made from is in it.
        let mut spare: Vec<&str> = parts;
        spare.extend([BARE, ROOT]);
        process::output(self.docker.command().args(["image", "rm", "--force"]).args(spare)).map(drop)
    }

    /// Debian's userland as an image.
    fn root(&self) -> Result<()> {
        let directory = cache::entry(&cache::root()?, &format!("kubernetes/root-{RELEASE}"), |directory| {
            tools::debootstrap()?;
            say::line("fetching the userland of a node from Debian: once, about a minute and a half, 400 MB");
            let mut fetch = Command::new("debootstrap");
            fetch.args(["--variant=minbase", &format!("--include={PACKAGES}"), RELEASE]);
            process::output(fetch.arg(directory.join("root")))
                .context("debootstrap must run as root, with a mirror of Debian in reach")?;
            Ok(())
        })?;
        process::output(Command::new(of_node(self.workspace, "strip-root")).arg(directory.join("root")))?;
        let stage = self.stage("root")?;
        let archive = stage.join("root.tar");
        process::output(
            Command::new("tar")
                .arg("--directory")
                .arg(directory.join("root"))
                .arg("--create")
                .arg("--file")
                .arg(&archive)
                .arg("."),
        )?;
        let dockerfile = "FROM scratch\nADD root.tar /\nENV container=docker\nSTOPSIGNAL SIGRTMIN+3\n";
        self.build(&stage, dockerfile, ROOT)
    }

    /// One part of the control plane, or of every node.
    fn part(&self, image: &str) -> Result<()> {
        let name = short(image);
        let stage = self.stage(name)?;
        let copy = |from: &Path| copy(&from.join(name), &stage.join(name));
        let dockerfile = match name {
            "kube-apiserver" | "etcd" => {
                copy(&self.api_server)?;
                format!("FROM scratch\nCOPY {name} /usr/local/bin/\nENV PATH=/usr/local/bin\n")
            }
            "kube-controller-manager" | "kube-scheduler" => {
                copy(&self.programs)?;
                format!("FROM scratch\nCOPY {name} /usr/local/bin/\nENV PATH=/usr/local/bin\n")
            }
            "coredns" => {
                copy(&self.programs)?;
                "FROM scratch\nCOPY coredns /\nENTRYPOINT [\"/coredns\"]\n".to_owned()
            }
            "kube-proxy" => {
                copy(&self.programs)?;
                copy_to(&of_node(self.workspace, "kube-proxy.collect"), &stage)?;
                // Without the extensions of iptables and what they load, rules are refused and Services lead nowhere.
                format!(
                    "FROM {ROOT} AS build\nCOPY kube-proxy.collect /\nRUN /kube-proxy.collect /out\n\
                     FROM scratch\nCOPY --from=build /out /\nCOPY kube-proxy /usr/local/bin/\n\
                     ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin\n"
                )
            }
            "pause" => {
                self.compile_pause(&stage)?;
                "FROM scratch\nCOPY pause /\nUSER 65535:65535\nENTRYPOINT [\"/pause\"]\n".to_owned()
            }
            _ => bail!("kubeadm wants an image that nobody here makes: {image}"),
        };
        self.build(&stage, &dockerfile, image)
    }

    fn compile_pause(&self, stage: &Path) -> Result<()> {
        tools::c_compiler()?;
        let mut rustc = Command::new("rustc");
        rustc.args([
            "-O",
            "--edition",
            "2024",
            "-C",
            "target-feature=+crt-static",
            "-C",
            "strip=symbols",
            "-o",
        ]);
        process::output(rustc.arg(stage.join("pause")).arg(of_node(self.workspace, "pause.rs"))).map(drop)
    }

    /// The node with its programs and services.
    fn bare(&self, pause: &str) -> Result<()> {
        let stage = self.stage("bare")?;
        let root = stage.join("root");
        let file = |name: &str| of_node(self.workspace, name);
        for program in ["kubeadm", "kubelet", "kubectl"] {
            copy(&self.programs.join(program), &root.join("usr/bin").join(program))?;
        }
        for script in ["crictl", "entrypoint", "kubelet-cgroups", "podnet"] {
            copy(&file(script), &root.join("usr/local/bin").join(script))?;
        }
        let units = root.join("etc/systemd/system");
        for unit in ["kubelet.service", "podnet.service", "kubelet.slice"] {
            copy(&file(unit), &units.join(unit))?;
        }
        let wanted = units.join("multi-user.target.wants");
        fs::create_dir_all(&wanted).with_context(|| format!("cannot create {}", wanted.display()))?;
        for (unit, at) in [
            ("kubelet.service", "../kubelet.service"),
            ("podnet.service", "../podnet.service"),
            ("containerd.service", "/lib/systemd/system/containerd.service"),
        ] {
            symlink(at, wanted.join(unit)).with_context(|| format!("cannot want {unit}"))?;
        }
        copy(&file("kubelet.default"), &root.join("etc/default/kubelet"))?;
        for manifest in ["default-cni.yaml", "default-storage.yaml"] {
            copy(&file("manifests").join(manifest), &root.join("kind/manifests").join(manifest))?;
        }
        write(&root.join("kind/version"), kubernetes::KUBERNETES_VERSION)?;
        let containerd = file("containerd.toml");
        let text = fs::read_to_string(&containerd)
            .with_context(|| format!("cannot read {}", containerd.display()))?;
        write(&root.join("etc/containerd/config.toml"), &text.replace("@PAUSE@", pause))?;
        self.build(&stage, &format!("FROM {ROOT}\nCOPY root /\n{START}\n"), BARE)
    }

    /// The node with the parts' images, imported by its own containerd in a container that has no network.
    fn filled(&self, parts: &[&str], image: &str) -> Result<()> {
        let mut run = self.docker.command();
        run.args(["run", "--detach", "--network", "none", "--security-opt", "seccomp=unconfined"]);
        let id = process::output(run.args(["--entrypoint", "containerd", BARE]))?;
        let id = id.trim();
        let filled = self.fill(id, parts, image);
        let removed = process::output(self.docker.command().args(["rm", "--force", "--volumes", id]));
        filled?;
        removed.map(drop)
    }

    fn fill(&self, id: &str, parts: &[&str], image: &str) -> Result<()> {
        let inside = |words: &[&str]| {
            let mut command = self.docker.command();
            command.args(["exec", "--interactive", id]).args(words);
            command
        };
        let wait = format!(
            "for i in $(seq {}); do ctr version >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1",
            CONTAINERD_STARTS.as_millis() / 100
        );
        process::output(&mut inside(&["sh", "-c", &wait]))
            .context("containerd does not start in a container")?;
        let archive = self.stages.path().join("parts.tar");
        process::output(self.docker.command().arg("save").arg("--output").arg(&archive).args(parts))?;
        let archive = fs::File::open(&archive).context("cannot read what docker saved")?;
        let mut import = inside(&[
            "ctr",
            "--namespace",
            "k8s.io",
            "images",
            "import",
            "--no-unpack",
            "--all-platforms",
            "-",
        ]);
        let imported = import.stdin(archive).stdout(Stdio::null()).status();
        if !imported.context("cannot start docker")?.success() {
            bail!("containerd does not take the images of the control plane");
        }
        process::output(self.docker.command().args(["stop", id]))?;
        let mut commit = self.docker.command();
        process::output(commit.args(["commit", "--change", START, id, image])).map(drop)
    }

    fn stage(&self, name: &str) -> Result<PathBuf> {
        let stage = self.stages.path().join(name);
        fs::create_dir_all(&stage).with_context(|| format!("cannot create {}", stage.display()))?;
        Ok(stage)
    }

    fn build(&self, stage: &Path, dockerfile: &str, image: &str) -> Result<()> {
        write(&stage.join("Dockerfile"), dockerfile)?;
        let mut build = self.docker.command();
        // The builder of old: the newer one is a plugin that may be missing, and wants to reach a registry.
        build.env("DOCKER_BUILDKIT", "0").args(["build", "--quiet", "--tag", image]);
        process::output(build.arg(stage)).map(drop)?;
        say::line(&format!("  {image}"));
        // Gigabytes otherwise, for the length of the build.
        fs::remove_dir_all(stage).with_context(|| format!("cannot remove {}", stage.display()))
    }
}

/// The last part of an image's name.
fn short(image: &str) -> &str {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split(':').next().unwrap_or(name)
}

fn copy_to(from: &Path, folder: &Path) -> Result<()> {
    copy(from, &folder.join(from.file_name().context("a file has a name")?))
}

/// With its mode, and the folders above it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_the_last_part_of_its_name() {
        assert_eq!(short("registry.k8s.io/coredns/coredns:v1.14.2"), "coredns");
        assert_eq!(short("pause"), "pause");
    }
}
