//! The route file: no text makes the gateway panic, an error says where it is, and a file that is written again
//! says the same.

use fundbond_gateway::route_file::{Address, RouteFileError, parse, validate};
use fundbond_routing::spec::RouteFile;

/// Checks one input.
pub fn check(bytes: &[u8]) {
    // The gateway reads text; a file of anything else never gets this far.
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let file: Result<RouteFile, _> = yaml_serde::from_str(text);
    match (parse(text), &file) {
        (Ok(_), Ok(file)) => same_when_written_again(file, &Ok(())),
        (Err(error @ RouteFileError::Values(_)), Ok(file)) => {
            names_a_place(&error);
            same_when_written_again(file, &Err(error));
        }
        (Err(error), Err(_)) => names_a_place(&error),
        (parsed, file) => panic!("{parsed:?} from {file:?}"),
    }
    if let Ok(address) = Address::parse(text) {
        assert_eq!(Address::parse(&address.to_string()), Ok(address));
    }
}

fn names_a_place(error: &RouteFileError) {
    match error {
        RouteFileError::Shape(text) => assert!(!text.trim().is_empty()),
        RouteFileError::Values(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(problem.field.starts_with("routes[") && !problem.message.is_empty(), "{problem:?}");
            }
        }
    }
}

fn same_when_written_again(file: &RouteFile, valid: &Result<(), RouteFileError>) {
    let json = serde_json::to_string(file).expect("a file that was read can be written as JSON");
    let yaml = yaml_serde::to_string(file).expect("a file that was read can be written as YAML");
    let from_json: RouteFile = serde_json::from_str(&json).expect("our own JSON");
    assert_eq!(&from_json, file);
    // JSON writes C1 control characters, line separators and marks of byte order as they are; YAML wants them escaped.
    // Such a text is JSON, and no YAML.
    let is_yaml = !json.contains(|c: char| c.is_control() || "\u{2028}\u{2029}\u{feff}".contains(c));
    for text in is_yaml.then_some(&json).into_iter().chain([&yaml]) {
        let again: RouteFile = yaml_serde::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(&again, file, "{text}");
    }
    assert_eq!(&validate(from_json).map(drop), valid);
}
