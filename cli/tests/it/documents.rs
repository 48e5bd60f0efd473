//! Commands in the guide and in runbooks are commands of this program.

use std::{fs, path::Path};

use clap::Parser as _;
use fundbond_cli::args::Cli;

/// Command lines of a page: those of its code blocks, which may begin with another name.
fn commands(page: &str) -> Vec<Vec<String>> {
    let mut in_block = false;
    let mut commands = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        let is_code = in_block || line.starts_with("    ");
        let line = line.trim();
        let rest = line.strip_prefix("kubectl fund ").or_else(|| line.strip_prefix("fundctl "));
        // What follows a hash or a pipe is for people and for other programs.
        let rest = rest
            .filter(|_| is_code)
            .map(|rest| rest.split([' ']).take_while(|word| !["#", "|"].contains(word)));
        commands.extend(rest.map(|words| words.filter(|word| !word.is_empty()).map(str::to_owned).collect()));
    }
    commands
}

#[test]
fn every_command_of_the_guide_is_understood() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut seen = 0;
    for folder in ["guide", "runbooks"] {
        for page in fs::read_dir(docs.join(folder)).unwrap() {
            let path = page.unwrap().path();
            for words in commands(&fs::read_to_string(&path).unwrap()) {
                seen += 1;
                let parsed = Cli::try_parse_from(std::iter::once("fundctl".to_owned()).chain(words.clone()));
                assert!(
                    parsed.is_ok(),
                    "{}: fundctl {}: {}",
                    path.display(),
                    words.join(" "),
                    parsed.unwrap_err()
                );
            }
        }
    }
    assert!(seen >= 15, "the guide has {seen} commands");
}
