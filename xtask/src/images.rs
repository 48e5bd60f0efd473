//! `cargo xtask images`: the images of `docker/`, on a machine that reaches no registry.
//!
//! What a Dockerfile's first stage does in a container of the compiler, cargo does here: the same programs, with the C
//! library linked in. The stage that becomes the image is the Dockerfile's own, from its `FROM scratch` on; only where
//! its files come from differs. Redis and nginx are this machine's own programs with the libraries they load.
//!
//! A machine whose programs run in no Linux container (a Mac) has Docker build the Dockerfiles as they are, with the images
//! they begin from out of a registry.

use crate::docker::Docker;
use crate::{kubernetes, process, say, tools};
use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Ours: the stage of `docker/Dockerfile`, the program and the image have one name.
pub const PROGRAMS: [&str; 5] = ["gateway", "cluster-proxy", "pod-service", "operator", "fundctl"];
/// What images are called.
const FAMILY: &str = "fundbond";
/// The folder that a Dockerfile's stage `build` leaves its results in.
const RESULTS: &str = "out";

/// What was built.
#[derive(Debug)]
pub struct Images {
    /// The folder with the programs themselves.
    pub programs: PathBuf,
    /// Each image and its size in bytes.
    pub sizes: Vec<(String, u64)>,
}

/// Programs of others that have an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// Redis.
    Redis,
    /// Redis, and the nginx that may stand before the gateway.
    RedisAndNginx,
    /// Redis, and what a cluster needs for autoscaling.
    OfCluster,
}

/// Builds every image, and nginx's where it is asked for.
pub fn run(nginx: bool) -> Result<()> {
    build(&Docker::ready()?, Others::with_nginx(nginx)).map(drop)
}

impl Others {
    /// Redis, and nginx where it is asked for.
    pub fn with_nginx(nginx: bool) -> Self {
        if nginx { Self::RedisAndNginx } else { Self::Redis }
    }

    /// Each image's Dockerfile, and the stage that becomes it.
    fn stages(self) -> &'static [(&'static str, &'static str)] {
        const REDIS: (&str, &str) = ("redis.Dockerfile", "redis");
        match self {
            Self::Redis => &[REDIS],
            Self::RedisAndNginx => &[REDIS, ("nginx.Dockerfile", "nginx")],
            Self::OfCluster => &[REDIS, ("metrics-server.Dockerfile", "metrics-server")],
        }
    }

    /// With ours before them.
    fn and_ours(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        PROGRAMS.map(|program| ("Dockerfile", program)).into_iter().chain(self.stages().iter().copied())
    }
}

/// Compiles what the images of this checkout hold, and needs no Docker for it.
pub fn compile() -> Result<()> {
    Site::find()?.compile().map(drop)
}

/// Builds the images for `docker`.
pub fn build(docker: &Docker, others: Others) -> Result<Images> {
    let start = Instant::now();
    say::section("images");
    let site = Site::find()?;
    fs::create_dir_all(&site.place).with_context(|| format!("cannot create {}", site.place.display()))?;
    // Two runs would lay out their files in the same folder.
    let lock = File::create(site.place.join("lock")).context("cannot create the lock of the images")?;
    lock.lock().context("cannot lock the images")?;

    let programs = site.compile()?;
    let sizes = if site.triple.is_some() {
        let builder = Builder { docker, site: &site, programs: &programs };
        let images = others.and_ours().map(|(dockerfile, stage)| builder.image(dockerfile, stage));
        images.collect::<Result<Vec<_>>>()?
    } else {
        in_containers(docker, &site.workspace, others)?
    };
    tell(&sizes, start);
    Ok(Images { programs, sizes })
}

/// Where images are built, and of what.
struct Site {
    workspace: PathBuf,
    /// A folder for what is built on the way.
    place: PathBuf,
    /// What their programs are compiled for here; nothing where those of this machine run in no Linux container.
    triple: Option<String>,
}

impl Site {
    fn find() -> Result<Self> {
        let metadata = MetadataCommand::new().no_deps().exec()?;
        let compiler = process::output(Command::new("rustc").args(["--version", "--verbose"]))?;
        Ok(Self {
            workspace: metadata.workspace_root.into_std_path_buf(),
            place: metadata.target_directory.into_std_path_buf().join("images"),
            triple: static_target(&compiler)?.map(str::to_owned),
        })
    }

    /// Compiles the programs of the images, without any library to load; where they run in none, the one for people. Answers
    /// the folder where they are.
    fn compile(&self) -> Result<PathBuf> {
        let target = self.place.join("target");
        if !target.exists() {
            say::line("compiling programs in a target directory of their own: some minutes the first time");
        }
        let programs: &[&str] = if self.triple.is_some() { &PROGRAMS } else { &["fundctl"] };
        let mut command = process::cargo(["build", "--profile", "image"]);
        command.args(programs.iter().flat_map(|program| ["--bin", program])).args(process::lock_flag());
        command.current_dir(&self.workspace).env("CARGO_TARGET_DIR", &target);
        if let Some(triple) = &self.triple {
            tools::c_compiler()?;
            // Before any other source of flags, so that the programs are the same wherever they are compiled.
            command.args(["--target", triple]).env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
        }
        process::run(&mut command)?;
        Ok(target.join(self.triple.as_deref().unwrap_or_default()).join("image"))
    }
}

fn tell(sizes: &[(String, u64)], start: Instant) {
    for (image, bytes) in sizes {
        say::line(&format!("{image:<32} {:>6.1} MB", *bytes as f64 / 1e6));
    }
    say::line(&format!("images: built in {:.0} s", start.elapsed().as_secs_f64()));
}

/// The Dockerfiles as they are: their first stages compile, in containers of images from a registry.
fn in_containers(docker: &Docker, workspace: &Path, others: Others) -> Result<Vec<(String, u64)>> {
    let build = |(dockerfile, stage)| {
        let image = name(stage);
        let mut build = docker.command();
        build.args(["build", "--target", stage, "--tag", &image, "--file"]);
        build.arg(workspace.join("docker").join(dockerfile)).arg(workspace);
        process::run(&mut build).context("the first stages need their images from a registry")?;
        sized(docker, image)
    };
    others.and_ours().map(build).collect()
}

/// What the image of a stage is called.
fn name(stage: &str) -> String {
    format!("{FAMILY}/{stage}:{}", tag())
}

/// With its size in bytes.
fn sized(docker: &Docker, image: String) -> Result<(String, u64)> {
    let size = docker.inspect("image", &image)?["Size"].as_u64().context("an image has a size")?;
    Ok((image, size))
}

/// The tag of all images, as the compose file has it.
pub fn tag() -> String {
    std::env::var("FUNDBOND_TAG").ok().filter(|tag| !tag.is_empty()).unwrap_or_else(|| "dev".to_owned())
}

/// The host, if what is compiled on it runs in a Linux container.
fn static_target(compiler: &str) -> Result<Option<&str>> {
    let host =
        compiler.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    Ok((host.ends_with("-linux-gnu") || host.ends_with("-linux-musl")).then_some(host))
}

/// Builds images from files of this machine.
struct Builder<'a> {
    docker: &'a Docker,
    site: &'a Site,
    /// Where ours were compiled to.
    programs: &'a Path,
}

impl Builder<'_> {
    /// One image: its stage of the Dockerfile, with what the stages before it would have left.
    fn image(&self, dockerfile: &str, stage: &str) -> Result<(String, u64)> {
        let context = self.site.place.join("stages").join(stage);
        if context.exists() {
            fs::remove_dir_all(&context).with_context(|| format!("cannot empty {}", context.display()))?;
        }
        let results = context.join(RESULTS);
        fs::create_dir_all(&results).with_context(|| format!("cannot create {}", results.display()))?;
        self.lay_out(stage, &results).with_context(|| format!("cannot lay out the files of {stage}"))?;
        let path = self.site.workspace.join("docker").join(dockerfile);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = prebuilt(&text, stage).with_context(|| format!("docker/{dockerfile}"))?;
        fs::write(context.join("Dockerfile"), text).context("cannot write the stage")?;
        let image = name(stage);
        process::output(self.docker.command().args(["build", "--quiet", "--tag", &image]).arg(&context))?;
        sized(self.docker, image)
    }

    /// The files of a stage: a program from its machine or its module, or one of ours.
    fn lay_out(&self, stage: &str, results: &Path) -> Result<()> {
        match stage {
            "redis" => {
                tools::redis_server()?;
                fs::create_dir_all(results.join("volume").join("data"))?;
                self.collect(results, &["redis-server", "redis-cli"])
            }
            "nginx" => {
                tools::nginx()?;
                self.collect(results, &["nginx"])
            }
            "metrics-server" => put(&kubernetes::metrics_server()?, results),
            ours => put(&self.programs.join(ours), results),
        }
    }

    /// Programs of this machine with the libraries they load.
    fn collect(&self, results: &Path, programs: &[&str]) -> Result<()> {
        let script = self.site.workspace.join("docker").join("collect");
        process::output(Command::new("sh").arg(script).arg(results.join("root")).args(programs)).map(drop)
    }
}

/// Copies a program into a folder.
fn put(program: &Path, folder: &Path) -> Result<()> {
    let to = folder.join(program.file_name().context("a program has a name")?);
    fs::copy(program, &to).with_context(|| format!("cannot copy to {}", to.display()))?;
    Ok(())
}

/// One stage of a Dockerfile as a Dockerfile of its own, which finds the results of the stage `build` in its context.
///
/// It must begin with nothing (there is no registry to have anything from) and take from no other stage.
fn prebuilt(dockerfile: &str, stage: &str) -> Result<String> {
    let first = format!("FROM scratch AS {stage}");
    let mut lines = dockerfile.lines().skip_while(|line| *line != first);
    let mut text = format!("{}\n", lines.next().with_context(|| format!("no stage begins with `{first}`"))?);
    for line in lines.take_while(|line| !line.starts_with("FROM ")) {
        let line = line.replacen("--from=build ", "", 1);
        if line.contains("--from=") || line.starts_with("RUN ") {
            bail!("the stage {stage} must only copy from the stage `build`: {line}");
        }
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "FROM rust AS build\nRUN make\n\nFROM scratch AS a\nCOPY --from=build /out/a /\nUSER 1:1\n\n\
                        FROM scratch AS b\nCOPY --from=build --chown=1:1 /out/b /\n";

    #[test]
    fn a_stage_takes_from_its_context_what_it_took_from_the_build() {
        assert_eq!(prebuilt(FILE, "a").unwrap(), "FROM scratch AS a\nCOPY /out/a /\nUSER 1:1\n\n");
        assert_eq!(prebuilt(FILE, "b").unwrap(), "FROM scratch AS b\nCOPY --chown=1:1 /out/b /\n");
    }

    #[test]
    fn a_stage_that_needs_more_than_files_is_refused() {
        assert!(prebuilt(FILE, "c").is_err());
        assert!(prebuilt(&FILE.replace("--from=build --chown", "--from=a --chown"), "b").is_err());
        assert!(prebuilt(&FILE.replace("USER", "RUN true; USER"), "a").is_err());
        assert!(prebuilt(&FILE.replace("FROM scratch AS a", "FROM alpine AS a"), "a").is_err());
    }

    #[test]
    fn only_linux_programs_go_into_images() {
        let host = |triple: &str| format!("rustc 1.95.0\nhost: {triple}\nrelease: 1.95.0\n");
        let linux = "x86_64-unknown-linux-gnu";
        assert_eq!(static_target(&host(linux)).unwrap(), Some(linux));
        assert_eq!(static_target(&host("aarch64-apple-darwin")).unwrap(), None);
        assert!(static_target("rustc 1.95.0\n").is_err());
    }

    #[test]
    fn docker_finds_each_stage_in_its_dockerfile() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker");
        for others in [Others::RedisAndNginx, Others::OfCluster] {
            for (file, stage) in others.and_ours() {
                let text = fs::read_to_string(folder.join(file)).unwrap();
                assert!(prebuilt(&text, stage).is_ok(), "{file}");
            }
        }
    }
}
