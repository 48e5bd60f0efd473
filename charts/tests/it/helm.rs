//! Helm, asked for one thing at a time.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::{
    charts,
    programs::{self, run},
};

/// The release that tests make.
pub(crate) const RELEASE: &str = "fundbond";

/// The chart that is meant where none is named.
pub(crate) const MAIN: &str = "fundbond";

/// A set of values, by the name of its file.
pub(crate) fn values(name: &str) -> PathBuf {
    charts().join("tests/values").join(format!("{name}.yaml"))
}

/// Every values file in a folder, sorted by name.
pub(crate) fn value_files(folder: &str) -> Vec<String> {
    let files = fs::read_dir(charts().join("tests/values").join(folder)).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| format!("{folder}/{}", path.file_stem().unwrap().to_str().unwrap()))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no values in {folder}");
    names
}

/// What `helm template` makes, as text; or what it says instead.
pub(crate) fn template(chart: &str, namespace: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = programs::helm();
    command.args(["template", RELEASE]).arg(charts().join(chart)).args(["--namespace", namespace]);
    command.args(["--kube-version", "1.36.0"]).args(arguments);
    let output = run(&mut command);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// The objects that a set of values becomes, hooks included.
#[track_caller]
pub(crate) fn objects(values_name: &str, namespace: &str, more: &[&str]) -> Vec<Value> {
    let file = values(values_name);
    let mut arguments = vec!["--values", file.to_str().unwrap()];
    arguments.extend(more);
    let text = template(MAIN, namespace, &arguments);
    parse(&text.unwrap_or_else(|error| panic!("{values_name}: {error}")))
}

/// The documents of a YAML file.
pub(crate) fn parse(text: &str) -> Vec<Value> {
    use serde_json::Value as Json;
    let documents = yaml_serde::Deserializer::from_str(text);
    let documents = documents.map(|document| serde::Deserialize::deserialize(document).unwrap());
    documents.filter(|document: &Json| !document.is_null()).collect()
}

/// What `helm lint --strict` says.
pub(crate) fn lint(chart: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = programs::helm();
    command.args(["lint", "--strict"]).arg(charts().join(chart)).args(arguments);
    let output = run(&mut command);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(said) } else { Err(said) }
}
