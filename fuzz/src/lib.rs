//! What must hold for any input, one module a parser: `check` takes bytes and panics where something does not.
//!
//! The fuzzer calls these bodies through `fuzz_targets/`, and the workspace's own tests call them for every file
//! of `corpus/` and `regressions/` (`all-in-one/tests/it/fuzz.rs` takes this file in as a module), so that a find
//! stays found without a fuzzer. A body never reads a clock, a file or a random number: its input alone decides.

pub mod foreign_event;
pub mod request_guard;
pub mod route_file;
pub mod sse_parser;
pub mod task_json;

/// What one target does with an input; it panics where a rule is broken.
pub type Body = fn(&[u8]);

/// Every target by name: the name of its corpus folder, and of its program for the fuzzer.
pub const TARGETS: [(&str, Body); 5] = [
    ("foreign_event", foreign_event::check),
    ("request_guard", request_guard::check),
    ("route_file", route_file::check),
    ("sse_parser", sse_parser::check),
    ("task_json", task_json::check),
];
