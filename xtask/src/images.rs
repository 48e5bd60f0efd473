//! `cargo xtask images`: the images of `docker/`, on a machine that reaches no registry.
//!
//! What a Dockerfile's first stage does in a container of the compiler, cargo does here: the same programs, with the C
//! library linked in. The stage that becomes the image is the Dockerfile's own, from its `FROM scratch` on; only where
//! its files come from differs. Redis and nginx are this machine's own programs with the libraries they load.

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
}

/// Builds the images for `docker`.
pub fn build(docker: &Docker, others: Others) -> Result<Images> {
    let start = Instant::now();
    say::section("images");
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let workspace = metadata.workspace_root.into_std_path_buf();
    let compiler = process::output(Command::new("rustc").args(["--version", "--verbose"]))?;
    let place = metadata.target_directory.into_std_path_buf().join("images");
    fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
    // Two runs would lay out their files in the same folder.
    let lock = File::create(place.join("lock")).context("cannot create the lock of the images")?;
    lock.lock().context("cannot lock the images")?;

    let programs = compile(&workspace, &place, &compiler)?;
    let builder = Builder { docker, workspace: &workspace, stages: place.join("stages") };
    let mut sizes = Vec::new();
    for program in PROGRAMS {
        let built = programs.join(program);
        sizes.push(builder.image("Dockerfile", program, |results| put(&built, results))?);
    }
    tools::redis_server()?;
    sizes.push(builder.image("redis.Dockerfile", "redis", |results| {
        fs::create_dir_all(results.join("volume").join("data"))?;
        builder.collect(results, &["redis-server", "redis-cli"])
    })?);
    if others == Others::RedisAndNginx {
        tools::nginx()?;
        sizes.push(
            builder.image("nginx.Dockerfile", "nginx", |results| builder.collect(results, &["nginx"]))?,
        );
    }
    if others == Others::OfCluster {
        let program = kubernetes::metrics_server()?;
        let lay_out = |results: &Path| put(&program, results);
        sizes.push(builder.image("metrics-server.Dockerfile", "metrics-server", lay_out)?);
    }
    for (image, bytes) in &sizes {
        say::line(&format!("{image:<32} {:>6.1} MB", *bytes as f64 / 1e6));
    }
    say::line(&format!("images: built in {:.0} s", start.elapsed().as_secs_f64()));
    Ok(Images { programs, sizes })
}

/// The tag of all images, as the compose file has it.
pub fn tag() -> String {
    std::env::var("FUNDBOND_TAG").ok().filter(|tag| !tag.is_empty()).unwrap_or_else(|| "dev".to_owned())
}

/// Compiles the programs without any library to load, and returns where they are.
fn compile(workspace: &Path, place: &Path, compiler: &str) -> Result<PathBuf> {
    tools::c_compiler()?;
    let triple = static_target(compiler)?;
    let target = place.join("target");
    if !target.exists() {
        say::line(
            "compiling static programs in a target directory of their own: some minutes the first time",
        );
    }
    let mut command = process::cargo(["build", "--profile", "image", "--target", triple]);
    command.args(PROGRAMS.iter().flat_map(|program| ["--bin", program])).args(process::lock_flag());
    command.current_dir(workspace).env("CARGO_TARGET_DIR", &target);
    // Before any other source of flags, so that the programs are the same wherever they are compiled.
    process::run(command.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static"))?;
    Ok(target.join(triple).join("image"))
}

/// The host, if what is compiled on it runs in a Linux container.
fn static_target(compiler: &str) -> Result<&str> {
    let host =
        compiler.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    if host.ends_with("-linux-gnu") || host.ends_with("-linux-musl") {
        return Ok(host);
    }
    bail!(
        "programs compiled on {host} run in no Linux container: use `docker compose up --build`, which compiles in one"
    )
}

/// Builds images from files of this machine.
struct Builder<'a> {
    docker: &'a Docker,
    workspace: &'a Path,
    stages: PathBuf,
}

impl Builder<'_> {
    /// One image: its stage of the Dockerfile, with the files that `lay_out` puts into the results.
    fn image(
        &self,
        dockerfile: &str,
        stage: &str,
        lay_out: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<(String, u64)> {
        let context = self.stages.join(stage);
        if context.exists() {
            fs::remove_dir_all(&context).with_context(|| format!("cannot empty {}", context.display()))?;
        }
        let results = context.join(RESULTS);
        fs::create_dir_all(&results).with_context(|| format!("cannot create {}", results.display()))?;
        lay_out(&results).with_context(|| format!("cannot lay out the files of {stage}"))?;
        let path = self.workspace.join("docker").join(dockerfile);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = prebuilt(&text, stage).with_context(|| format!("docker/{dockerfile}"))?;
        fs::write(context.join("Dockerfile"), text).context("cannot write the stage")?;
        let image = format!("{FAMILY}/{stage}:{}", tag());
        process::output(self.docker.command().args(["build", "--quiet", "--tag", &image]).arg(&context))?;
        let size = self.docker.inspect("image", &image)?["Size"].as_u64().context("an image has a size")?;
        Ok((image, size))
    }

    /// Programs of this machine with the libraries they load.
    fn collect(&self, results: &Path, programs: &[&str]) -> Result<()> {
        let script = self.workspace.join("docker").join("collect");
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
        assert_eq!(static_target(&host("x86_64-unknown-linux-gnu")).unwrap(), "x86_64-unknown-linux-gnu");
        assert!(static_target(&host("aarch64-apple-darwin")).unwrap_err().to_string().contains("--build"));
    }
}
