//! What the fuzzer checks for inputs it makes up holds for every input that was kept: `fuzz/corpus`, and what it found
//! once, `fuzz/regressions`.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

#[path = "../../../fuzz/src/lib.rs"]
mod bodies;

/// A corpus is read at every test run and by every clone: it stays small.
const MOST_FILES: usize = 100;
const MOST_BYTES: usize = 200_000;

#[test]
fn every_kept_fuzz_input_passes() {
    let mut failed = Vec::new();
    for (target, check) in bodies::TARGETS {
        for path in kept("corpus", target).into_iter().chain(kept("regressions", target)) {
            let bytes = fs::read(&path).unwrap();
            if catch_unwind(AssertUnwindSafe(|| check(&bytes))).is_err() {
                failed.push(path);
            }
        }
    }
    assert!(failed.is_empty(), "these inputs break {failed:#?}");
}

#[test]
fn every_fuzz_target_has_a_small_corpus_and_a_program() {
    let mut programs: Vec<_> = list(&folder("fuzz_targets")).iter().map(|path| stem(path)).collect();
    programs.sort();
    assert_eq!(programs, bodies::TARGETS.map(|(target, _)| target));
    for target in programs {
        let files = kept("corpus", &target);
        let bytes: u64 = files.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert!((1..=MOST_FILES).contains(&files.len()), "{target}: {} files", files.len());
        assert!(bytes <= MOST_BYTES as u64, "{target}: {bytes} bytes");
    }
}

/// Files of one kind and target; a target without a find has no folder of regressions.
fn kept(kind: &str, target: &str) -> Vec<PathBuf> {
    let folder = folder(kind).join(target);
    if folder.exists() { list(&folder) } else { Vec::new() }
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(name)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}
