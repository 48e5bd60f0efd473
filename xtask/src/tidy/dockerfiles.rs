//! Dockerfiles keep what the compose file and `cargo xtask images` rely on.

use super::facts::Member;
use super::{TextFile, Violation};
use crate::images;

/// The Dockerfile of our own programs.
const OWN: &str = "docker/Dockerfile";
const IGNORED: &str = ".dockerignore";

/// One stage of a Dockerfile.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stage {
    /// What follows `AS`.
    pub name: String,
    /// What follows `FROM`.
    pub base: String,
    /// What follows the last `USER`.
    pub user: String,
    /// What follows each `EXPOSE`.
    pub ports: Vec<String>,
}

/// The stages of a Dockerfile, as far as they are of interest here.
pub fn stages(text: &str) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (words.as_slice(), stages.last_mut()) {
            (["FROM", base, "AS", name], _) => {
                stages.push(Stage { name: (*name).into(), base: (*base).into(), ..Stage::default() });
            }
            (["USER", user], Some(stage)) => (*user).clone_into(&mut stage.user),
            (["EXPOSE", ports @ ..], Some(stage)) => {
                stage.ports.extend(ports.iter().map(|port| (*port).to_owned()));
            }
            _ => {}
        }
    }
    stages
}

/// Images that hold more than they must, compile something else than we do, or miss what they are compiled from.
pub fn check(members: &[Member], files: &[TextFile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let is_dockerfile = |file: &&TextFile| file.name() == "Dockerfile" || file.extension() == "Dockerfile";
    for file in files.iter().filter(is_dockerfile) {
        violations.extend(check_last_stages(file));
    }
    let find = |path: &str| files.iter().find(|file| file.path == path);
    match (find(OWN), find("Cargo.toml")) {
        (Some(own), Some(manifest)) => violations.extend(check_own(own, manifest)),
        _ => violations.push(Violation::at(OWN, "there is none, or no manifest beside it")),
    }
    match find(IGNORED) {
        Some(ignored) => violations.extend(check_context(ignored, members)),
        None => violations
            .push(Violation::at(IGNORED, "without it every image is compiled from the whole folder")),
    }
    violations
}

/// Every stage but the first becomes an image.
fn check_last_stages(file: &TextFile) -> Vec<Violation> {
    let stages = stages(&file.text);
    let mut violations = Vec::new();
    for stage in stages.iter().skip(1) {
        if stage.base != "scratch" {
            let text =
                format!("the stage {} begins with {}: an image begins with nothing", stage.name, stage.base);
            violations.push(Violation::at(&file.path, text));
        }
        if !is_nobody(&stage.user) {
            let text = format!("the stage {} needs a `USER` of two numbers that are not root's", stage.name);
            violations.push(Violation::at(&file.path, text));
        }
    }
    if stages.first().is_none_or(|stage| !is_pinned(&stage.base)) {
        violations.push(Violation::at(&file.path, "the first stage begins with an image of a whole version"));
    }
    violations
}

fn check_own(own: &TextFile, manifest: &TextFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    let version = manifest.text.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let compiler = format!("FROM rust:{}.", version.unwrap_or_default().trim_matches('"'));
    if !own.text.contains(&compiler) {
        let text = format!("the compiler is not the workspace's: expected `{compiler}...`");
        violations.push(Violation::at(&own.path, text));
    }
    let stages = stages(&own.text);
    for program in images::PROGRAMS {
        let compiled = own.text.contains(&format!("--bin {program}"));
        if !compiled || !stages.iter().any(|stage| stage.name == program) {
            let text = format!("`cargo xtask images` makes an image of {program}, this file does not");
            violations.push(Violation::at(&own.path, text));
        }
    }
    violations
}

/// A new crate is part of the workspace, so nothing compiles without it.
fn check_context(ignored: &TextFile, members: &[Member]) -> Vec<Violation> {
    let folders = members.iter().filter_map(|member| member.folder.split('/').next());
    let mut missing: Vec<&str> =
        folders.filter(|folder| !ignored.text.lines().any(|line| line == format!("!{folder}"))).collect();
    missing.dedup();
    let text = |folder| format!("`!{folder}` is missing: the workspace does not compile without that member");
    missing.into_iter().map(|folder| Violation::at(&ignored.path, text(folder))).collect()
}

/// Numbers, because a root file system with one program has no names for users.
pub fn is_nobody(user: &str) -> bool {
    let number = |text: &str| text.parse::<u32>().is_ok_and(|number| number > 0);
    user.split_once(':').is_some_and(|(user, group)| number(user) && number(group))
}

/// `name:1.2.3...`
fn is_pinned(base: &str) -> bool {
    let tag = base.split_once(':').map_or("", |(_, tag)| tag);
    let version = tag.split('-').next().unwrap_or_default();
    version.split('.').count() == 3 && version.split('.').all(|part| part.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> [TextFile; 3] {
        let bins = images::PROGRAMS.map(|program| format!(" --bin {program}")).concat();
        let stages =
            images::PROGRAMS.map(|program| format!("FROM scratch AS {program}\nUSER 7:7\nEXPOSE 80 90\n"));
        let text = format!("FROM rust:1.95.0-bookworm AS build\nRUN cargo{bins}\n{}", stages.concat());
        [
            TextFile::new(OWN, text),
            TextFile::new("Cargo.toml", "rust-version = \"1.95\"\n"),
            TextFile::new(IGNORED, "*\n!libs\n"),
        ]
    }

    fn found(files: &[TextFile]) -> Vec<String> {
        let members = [Member { folder: "libs/a".into(), ..Member::default() }];
        check(&members, files).iter().map(ToString::to_string).collect()
    }

    /// Replaces `from` by `to` in the file `index`, and expects one violation with `text`.
    fn spoilt(index: usize, from: &str, to: &str, text: &str) {
        let mut files = good();
        files[index].text = files[index].text.replacen(from, to, 1);
        let found = found(&files);
        assert!(found.len() == 1 && found[0].contains(text), "{from} -> {to}: {found:?}");
    }

    #[test]
    fn images_of_one_program_each_are_fine() {
        assert_eq!(found(&good()), Vec::<String>::new());
    }

    #[test]
    fn what_an_image_must_not_be_is_found() {
        spoilt(0, "FROM scratch AS gateway", "FROM alpine:3.20.0 AS gateway", "begins with alpine");
        spoilt(0, "USER 7:7", "USER root", "two numbers");
        spoilt(0, "USER 7:7", "USER 0:0", "two numbers");
        spoilt(0, "rust:1.95.0", "rust:1.94.0", "workspace's");
        spoilt(0, "rust:1.95.0-bookworm", "rust:1.95.latest", "whole version");
        spoilt(0, " --bin fundctl", "", "fundctl");
        spoilt(2, "!libs", "!lib", "`!libs` is missing");
    }

    #[test]
    fn stages_have_a_name_a_base_a_user_and_ports() {
        let stages = stages(&good()[0].text);
        assert_eq!(stages.len(), 1 + images::PROGRAMS.len());
        assert_eq!((stages[1].base.as_str(), stages[1].user.as_str()), ("scratch", "7:7"));
        assert_eq!(stages[1].ports, ["80", "90"]);
    }
}
