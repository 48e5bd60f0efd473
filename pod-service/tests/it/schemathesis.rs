//! The document against the service: schemathesis makes requests from the schemas, right and wrong, and checks every
//! answer. Streams are left out: it would wait for their end.

use std::{path::Path, process::Stdio, time::Duration};

use crate::client::TestPod;

/// Names the Python of an environment with the packages of `tests/schemathesis/requirements.txt`.
const PYTHON: &str = "FUNDBOND_SCHEMATHESIS";

/// Replaces the seed, to look further than every run does.
const SEED: &str = "FUNDBOND_SEED";

/// The run takes half a minute on two cores; what takes this long hangs.
const LIMIT: Duration = Duration::from_mins(4);

#[tokio::test(flavor = "multi_thread")]
async fn the_service_keeps_what_its_document_says() {
    let python = std::env::var_os(PYTHON).unwrap_or_else(|| {
        panic!("{PYTHON} is not set; run `cargo xtask test`, which prepares schemathesis")
    });
    let pod = TestPod::start().await;
    let seed = std::env::var(SEED).unwrap_or_else(|_| "20260615".to_owned());
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis/schemathesis.toml");
    let url = format!("http://{}/api/openapi.json", pod.address);
    let run = tokio::process::Command::new(python)
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(config)
        .args(["run", &url, "--exclude-tag", "streams", "--seed", &seed])
        // One worker: two of them trip over CPython's own parser. No database: a run depends on its seed alone.
        .args(["--max-examples", "30", "--workers", "1", "--generation-database", "none", "--no-color"])
        // Where it may leave what it likes to keep.
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LIMIT, run).await.expect("schemathesis ends").expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "seed {seed} (set {SEED} to choose another)\n{said}\n{wrong}");
    assert!(said.contains("No issues found"), "{said}");
}
