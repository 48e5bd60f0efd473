//! A pod as the operator configures it: what that writes for pods, this program understands.

use std::{collections::BTreeMap, path::Path, time::Duration};

use clap::{CommandFactory as _, Parser as _};
use fundbond_pod_service::{LiveSettings, Program};

/// What the ConfigMap that is called so says, in a text of the operator's children.
fn map(text: &str, is_called: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let wanted = |object: &yaml_serde::Value| {
        object["kind"] == "ConfigMap" && is_called(object["metadata"]["name"].as_str().unwrap())
    };
    let documents = text.split("---\n").map(|object| yaml_serde::from_str(object).unwrap());
    let object: yaml_serde::Value = documents.into_iter().find(wanted).expect("pods have settings");
    yaml_serde::from_value(object["data"].clone()).unwrap()
}

/// The program as it is with these variables; none of it comes from this process's own.
fn program(variables: &BTreeMap<String, String>) -> Program {
    let command = Program::command();
    let flags = variables.iter().map(|(name, value)| {
        let known =
            command.get_arguments().find(|flag| flag.get_env().is_some_and(|env| env == name.as_str()));
        let known = known.unwrap_or_else(|| panic!("nothing in a pod reads {name}"));
        format!("--{}={value}", known.get_long().unwrap())
    });
    Program::try_parse_from(std::iter::once("pod-service".to_owned()).chain(flags)).unwrap()
}

#[test]
fn whatever_the_operator_writes_a_pod_understands() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../libs/desired/tests/golden");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".cluster.yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let program = program(&map(&text, |name| !name.ends_with("-live")));
        let file = program.config.live_settings.as_deref().unwrap();
        let live = &map(&text, |name| name.ends_with("-live"))[file.file_name().unwrap().to_str().unwrap()];
        let live = LiveSettings::USUAL.with(live).unwrap();
        program.config.settings.housekeeping.check().unwrap();
        if name == "everything.yaml" {
            let keeping = program.config.settings.housekeeping;
            assert_eq!(keeping.node_timeout, Duration::from_secs(20));
            assert_eq!(keeping.timing().retry, Duration::from_millis(1500));
            assert_eq!(keeping.breaker_percent, 40);
            assert_ne!(live, LiveSettings::USUAL);
        }
        seen += 1;
    }
    assert!(seen >= 5, "only {seen} examples");
}
