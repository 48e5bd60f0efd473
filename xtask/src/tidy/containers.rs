//! The compose file says only what the programs, the Dockerfiles and the route files say too, and gives up what a
//! container can do without.

use super::dockerfiles::{self, Stage};
use super::{TextFile, Violation};
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeSet;

const COMPOSE: &str = "docker-compose.yaml";
/// (service, folder of its sources); every service also reads what the runtime reads.
const SERVICES: [(&str, &str); 3] =
    [("gateway", "gateway/src/"), ("cluster-proxy", "gateway/src/"), ("pod-service", "pod-service/src/")];
const RUNTIME: &str = "libs/service-runtime/src/";
/// The same for what serves nobody.
const CLIENT: (&str, &str) = ("fundctl", "cli/src/");
/// Where containers see the folder of route files, and where it is here.
const ROUTES: (&str, &str) = ("/etc/fundbond/", "docker/routes/");
/// Who may be reached from outside.
const OPEN: [&str; 2] = ["gateway", "nginx"];

/// What the compose file says that nothing else bears out.
pub fn check(files: &[TextFile]) -> Vec<Violation> {
    let Some(file) = files.iter().find(|file| file.path == COMPOSE) else {
        return vec![Violation::at(COMPOSE, "there is none")];
    };
    match services(&file.text) {
        Ok(services) => services
            .iter()
            .flat_map(|(name, service)| Service { name, says: service, files, services: &services }.check())
            .collect(),
        Err(error) => vec![Violation::at(COMPOSE, format!("{error:#}"))],
    }
}

/// The services with their anchors filled in.
fn services(text: &str) -> Result<Vec<(String, Value)>> {
    let value = yaml(text)?;
    let services = value["services"].as_object().context("it has no services")?;
    Ok(services.iter().map(|(name, service)| (name.clone(), service.clone())).collect())
}

fn yaml(text: &str) -> Result<Value> {
    let mut value: yaml_serde::Value = yaml_serde::from_str(text)?;
    // What is merged in may merge something in itself.
    loop {
        let before = value.clone();
        value.apply_merge()?;
        if value == before {
            return Ok(serde_json::to_value(value)?);
        }
    }
}

/// One service among the others.
struct Service<'a> {
    name: &'a str,
    says: &'a Value,
    files: &'a [TextFile],
    services: &'a [(String, Value)],
}

impl Service<'_> {
    fn check(&self) -> Vec<Violation> {
        let mut wrong = self.loose_ends();
        match self.stage() {
            Ok(stage) => wrong.extend(self.differs_from(&stage)),
            Err(error) => wrong.push(format!("{error:#}")),
        }
        wrong.extend(self.unknown_variables());
        wrong.extend(self.short_grace());
        wrong.extend(self.lost_routes());
        wrong.into_iter().map(|text| Violation::at(COMPOSE, format!("{}: {text}", self.name))).collect()
    }

    /// What it could give up, and does not.
    fn loose_ends(&self) -> Vec<String> {
        let says = self.says;
        let mut wrong = Vec::new();
        let mut must = |holds: bool, what: &str| {
            if !holds {
                wrong.push(what.to_owned());
            }
        };
        must(says["read_only"] == true, "needs `read_only: true`");
        must(texts(&says["cap_drop"]) == ["ALL"], "needs `cap_drop: [ALL]`");
        must(
            texts(&says["security_opt"]).contains(&"no-new-privileges:true"),
            "needs no-new-privileges in `security_opt`",
        );
        must(says["cap_add"].is_null() && says["privileged"].is_null(), "must not ask for capabilities");
        must(says["restart"].is_string(), "needs a `restart` policy");
        must(says["stop_grace_period"].is_string(), "needs a `stop_grace_period`");
        // Nothing waits for what a profile adds.
        must(says["healthcheck"]["test"].is_array() || says["profiles"].is_array(), "needs a `healthcheck`");
        let ports = texts(&says["ports"]);
        must(ports.is_empty() || OPEN.contains(&self.name), "must not publish ports: the gateway does");
        must(
            ports.iter().all(|port| port.starts_with("127.0.0.1:")),
            "must publish ports on 127.0.0.1: they have no TLS",
        );
        wrong
    }

    fn target(&self) -> &str {
        self.says["build"]["target"].as_str().unwrap_or_default()
    }

    /// The stage its image is made of.
    fn stage(&self) -> Result<Stage> {
        let path = self.says["build"]["dockerfile"].as_str().context("names no dockerfile to build from")?;
        let file = self.files.iter().find(|file| file.path == path);
        let file = file.with_context(|| format!("there is no {path}"))?;
        let stages = dockerfiles::stages(&file.text);
        let stage = stages.into_iter().find(|stage| stage.name == self.target());
        stage.with_context(|| format!("{path} has no stage {:?}", self.target()))
    }

    fn differs_from(&self, stage: &Stage) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.says["user"] != stage.user.as_str() {
            wrong.push(format!("needs `user: \"{}\"`, as its image has", stage.user));
        }
        let image = self.says["image"].as_str().unwrap_or_default();
        if !image.starts_with(&format!("fundbond/{}:", stage.name)) {
            wrong.push(format!("its image is called fundbond/{}", stage.name));
        }
        let asks = texts(&self.says["healthcheck"]["test"]);
        let program = format!("/{}", stage.name);
        if self.is_ours() && asks != ["CMD", &program, "healthcheck"] {
            wrong.push(format!("its healthcheck is [CMD, {program}, healthcheck]"));
        }
        wrong
    }

    /// Whether it runs a service of ours.
    fn is_ours(&self) -> bool {
        SERVICES.iter().any(|(program, _)| *program == self.target())
    }

    /// The variables that its program reads.
    fn known_variables(&self) -> BTreeSet<&str> {
        let programs = SERVICES.iter().chain([&CLIENT]);
        let sources = programs.filter(|(program, _)| *program == self.target()).map(|(_, folder)| *folder);
        let runtime = self.is_ours().then_some(RUNTIME);
        sources.chain(runtime).flat_map(|folder| declared_variables(self.files, folder)).collect()
    }

    fn environment(&self, name: &str) -> Option<&str> {
        self.says["environment"][name].as_str()
    }

    fn unknown_variables(&self) -> Vec<String> {
        let Some(variables) = self.says["environment"].as_object() else { return Vec::new() };
        let known = self.known_variables();
        let unknown = variables.keys().filter(|name| !known.contains(name.as_str()));
        unknown.map(|name| format!("{} does not read the variable {name}", self.target())).collect()
    }

    /// Docker kills what has not ended after its grace: that must be longer than the drain.
    fn short_grace(&self) -> Option<String> {
        if !self.is_ours() {
            return None;
        }
        let seconds = |text: Option<&str>| text?.strip_suffix('s')?.parse::<u32>().ok();
        let drain = seconds(self.environment("FUND_DRAIN_GRACE"));
        let grace = seconds(self.says["stop_grace_period"].as_str());
        match (drain, grace) {
            (Some(drain), Some(grace)) if drain + 2 < grace => None,
            _ => Some(
                "needs a FUND_DRAIN_GRACE in seconds, and a `stop_grace_period` some seconds longer".into(),
            ),
        }
    }

    /// The route file that it reads, and whom that names.
    fn lost_routes(&self) -> Vec<String> {
        let Some(routes) = self.environment("FUND_ROUTES") else { return Vec::new() };
        let path = routes.replacen(ROUTES.0, ROUTES.1, 1);
        let Some(file) = self.files.iter().find(|file| file.path == path) else {
            return vec![format!("there is no {path}, its {routes}")];
        };
        let routes = match yaml(&file.text) {
            Ok(routes) => routes,
            Err(error) => return vec![format!("{path}: {error:#}")],
        };
        let endpoints = list(&routes["routes"]).flat_map(|route| list(&route["endpoints"]));
        let addresses = endpoints.map(|endpoint| endpoint["address"].as_str().unwrap_or_default());
        let lost = addresses.filter(|address| !self.is_served(address));
        lost.map(|address| format!("{path}: no service has the address {address:?}")).collect()
    }

    fn is_served(&self, address: &str) -> bool {
        let Some((host, port)) = address.split_once(':') else { return false };
        let found = self.services.iter().find(|(name, _)| name == host);
        found.is_some_and(|(name, service)| {
            let stage = Service { name, says: service, ..*self }.stage();
            stage.is_ok_and(|stage| stage.ports.iter().any(|exposed| exposed == port))
        })
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> Vec<&str> {
    list(value).filter_map(Value::as_str).collect()
}

/// The variables that sources below `folder` declare: `env = "NAME"`.
fn declared_variables<'a>(files: &'a [TextFile], folder: &str) -> impl Iterator<Item = &'a str> {
    let sources = files.iter().filter(move |file| file.extension() == "rs" && file.path.starts_with(folder));
    sources.flat_map(|file| file.text.split("env = \"").skip(1)).filter_map(|rest| rest.split('"').next())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
x-least: &least
  restart: unless-stopped
  stop_grace_period: 15s
x-all: &all
  <<: *least
  user: '7:7'
  read_only: true
  cap_drop: [ALL]
  security_opt: ['no-new-privileges:true']
services:
  gateway:
    <<: *all
    image: fundbond/gateway:dev
    build: {dockerfile: docker/Dockerfile, target: gateway}
    environment: {FUND_ROUTES: /etc/fundbond/gateway.yaml, FUND_DRAIN_GRACE: 10s}
    ports: ['127.0.0.1:8000:8000']
    healthcheck: {test: [CMD, /gateway, healthcheck]}
  redis:
    <<: *all
    image: fundbond/redis:dev
    build: {dockerfile: docker/redis.Dockerfile, target: redis}
    healthcheck: {test: [CMD, redis-cli, ping]}
";

    fn found(from: &str, to: &str) -> Vec<String> {
        let files = [
            TextFile::new(COMPOSE, GOOD.replacen(from, to, 1)),
            TextFile::new("docker/Dockerfile", "FROM scratch AS gateway\nUSER 7:7\nEXPOSE 8000\n"),
            TextFile::new("docker/redis.Dockerfile", "FROM scratch AS redis\nUSER 7:7\nEXPOSE 6379\n"),
            TextFile::new(
                "docker/routes/gateway.yaml",
                "routes: [{endpoints: [{address: 'gateway:8000'}]}]".replacen(from, to, 1),
            ),
            TextFile::new("gateway/src/config.rs", "#[arg(env = \"FUND_ROUTES\")] routes"),
            TextFile::new("libs/service-runtime/src/drain.rs", "#[arg(env = \"FUND_DRAIN_GRACE\")] grace"),
        ];
        check(&files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_that_says_what_the_others_say_is_fine() {
        assert_eq!(found("", ""), Vec::<String>::new());
    }

    #[test]
    fn each_thing_that_could_be_given_up_is_missed() {
        for line in
            ["  read_only: true\n", "  cap_drop: [ALL]\n", "  restart: unless-stopped\n", "  user: '7:7'\n"]
        {
            assert_eq!(found(line, "").len(), 2, "{line} is asked of both services");
        }
        assert_eq!(found("no-new-privileges:true", "seccomp=unconfined").len(), 2);
        assert_eq!(found("    healthcheck: {test: [CMD, redis-cli, ping]}\n", "").len(), 1);
        assert_eq!(found("'127.0.0.1:8000:8000'", "'8000:8000'").len(), 1);
        assert_eq!(found("/redis:dev\n", "/redis:dev\n    ports: ['127.0.0.1:1:6379']\n").len(), 1);
    }

    #[test]
    fn what_nothing_else_bears_out_is_found_with_its_name() {
        for (from, to, text) in [
            (
                "FUND_DRAIN_GRACE: 10s",
                "FUND_DRAIN_GRACE: 10s, FUND_NEW: x",
                "does not read the variable FUND_NEW",
            ),
            ("FUND_DRAIN_GRACE: 10s", "FUND_DRAIN_GRACE: 14s", "some seconds longer"),
            ("gateway.yaml", "other.yaml", "there is no docker/routes/other.yaml"),
            ("gateway:8000", "gateway:8001", "no service has the address \"gateway:8001\""),
            ("gateway:8000", "pod9:9090", "no service has the address \"pod9:9090\""),
            ("target: redis", "target: valkey", "has no stage \"valkey\""),
            ("docker/redis.Dockerfile", "docker/no.Dockerfile", "there is no docker/no.Dockerfile"),
            ("fundbond/redis:dev", "redis:7", "called fundbond/redis"),
            ("/gateway, healthcheck", "curl, localhost", "[CMD, /gateway, healthcheck]"),
        ] {
            let found = found(from, to);
            assert!(found.len() == 1 && found[0].contains(text), "{from} -> {to}: {found:?}");
        }
        assert!(found("services:", "services: [")[0].starts_with(COMPOSE));
    }
}
