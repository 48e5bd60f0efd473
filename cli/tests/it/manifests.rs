//! `lint`, `render` and `diff` on files.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{
    fundctl::{Run, command, fundctl, fundctl_with},
    golden,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests")
}

/// Runs `fundctl` beside the manifests, so that their names are short.
async fn beside(line: &str) -> Run {
    let words: Vec<&str> = line.split_whitespace().collect();
    command(&words).current_dir(folder()).output().await.unwrap().into()
}

async fn check(name: &str, line: &str) -> Run {
    let run = beside(line).await;
    golden::check(name, &format!("fundctl {line}"), &run);
    run
}

#[tokio::test]
async fn bad_manifests_are_told_file_field_reason_and_fix_and_end_in_one() {
    assert_eq!(check("lint.bad.txt", "lint -f bad.yaml").await.code, Some(1));
}

#[tokio::test]
async fn what_a_person_would_regret_is_a_warning_and_an_error_where_it_is_asked_for() {
    assert_eq!(check("lint.regrets.txt", "lint regrets.yaml").await.code, Some(0));
    let strict = beside("lint --strict regrets.yaml").await;
    assert_eq!(strict.code, Some(1), "{strict:?}");
    assert!(strict.err.contains("warnings, and --strict"), "{strict:?}");
}

#[tokio::test]
async fn two_files_may_clash() {
    let run = check("lint.clash.txt", "lint turns.yaml hash.yaml clash.yaml").await;
    assert_eq!(run.code, Some(0));
}

#[tokio::test]
async fn what_is_no_yaml_has_its_line() {
    let run = fundctl_with(&["lint", "-f", "-"], "kind: FundCluster\nspec: {a: [1\nmetadata: x\n").await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.out.starts_with("standard input:3: error in a document that cannot be read\n"), "{run:?}");
}

#[tokio::test]
async fn files_without_a_fund_cluster_are_the_wrong_files() {
    let run = fundctl_with(&["lint", "-"], "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n").await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.starts_with("error: no FundCluster in standard input\nnext: "), "{run:?}");
    let empty = tempfile::tempdir().unwrap();
    let run = fundctl(&["lint", empty.path().to_str().unwrap()]).await;
    assert!(run.err.contains("has no file that ends in .yaml"), "{run:?}");
    let run = fundctl(&["lint", "no-such-file.yaml"]).await;
    assert!(run.err.starts_with("error: cannot read no-such-file.yaml"), "{run:?}");
    assert_eq!(fundctl(&["lint"]).await.code, Some(2));
}

#[tokio::test]
async fn a_folder_is_all_its_manifests_and_folders_below_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("below");
    std::fs::create_dir(&below).unwrap();
    let good = std::fs::read_to_string(self::folder().join("turns.yaml")).unwrap();
    std::fs::write(folder.path().join("a.yml"), &good).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "not a manifest").unwrap();
    std::fs::write(below.join("b.yaml"), good.replace("cluster1", "cluster2")).unwrap();
    let path = folder.path().to_str().unwrap();
    assert!(fundctl(&["lint", path]).await.err.starts_with("1 object checked\n"));
    assert!(fundctl(&["lint", "-R", path]).await.err.starts_with("2 objects checked\n"));
}

#[tokio::test]
async fn problems_are_data() {
    let run = beside("lint bad.yaml -o json").await;
    let all: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(all["errors"], all["problems"].as_array().unwrap().len());
    let first = &all["problems"][0];
    for field in ["severity", "file", "line", "object", "field", "reason", "fix"] {
        assert!(first.get(field).is_some(), "{field}: {first}");
    }
    let lines = beside("lint bad.yaml -o ndjson").await.out;
    assert_eq!(lines.lines().count(), all["problems"].as_array().unwrap().len());
    assert!(!run.out.contains("secret@"), "passwords stay where they are");
}

#[tokio::test]
async fn render_writes_what_the_operator_writes() {
    assert_eq!(check("render.turns.txt", "render -f turns.yaml --tag 0.1.0").await.code, Some(0));
    let list: Value = serde_json::from_str(&beside("render turns.yaml -o json").await.out).unwrap();
    let kinds: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|item| item["kind"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], *kinds.last().unwrap()), ("ServiceAccount", "GatewayRoute"), "as they are applied");
    assert_eq!(beside("render turns.yaml -o ndjson").await.out.lines().count(), kinds.len());
    let image = beside("render turns.yaml --registry registry.example/fund --tag 7").await.out;
    assert!(image.contains("image: registry.example/fund/pod-service:7\n"), "{image}");
}

#[tokio::test]
async fn render_refuses_what_a_server_would_refuse() {
    let run = beside("render bad.yaml").await;
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{run:?}");
    assert!(run.err.contains("fix     did you mean `replicas`?"), "{run:?}");
}

#[tokio::test]
async fn a_mesh_that_cannot_do_all_of_it_ends_in_four_and_says_what() {
    let run = check("render.istio.txt", "render hash.yaml --target istio --gateway gateways/public").await;
    assert_eq!(run.code, Some(4));
    assert!(run.err.contains("left out: FundCluster cluster1: routing.consistentHash.loadBound"), "{run:?}");
    let run = beside("render turns.yaml --target istio --gateway mesh").await;
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.out.contains("- cluster1-proxy.funds.svc.cluster.local\n"), "{run:?}");
    let run = beside("render turns.yaml --target kong").await;
    assert_eq!(run.code, Some(1));
    assert!(run.err.ends_with("next: name it with --gateway [NAMESPACE/]NAME\n"), "{run:?}");
}

#[tokio::test]
async fn diff_shows_objects_pods_users_and_streams() {
    for (name, line) in [
        ("diff.strategy.txt", "diff hash.yaml --against turns.yaml"),
        ("diff.more.txt", "diff -f hash-five.yaml --against hash.yaml"),
        (
            "diff.rolls.txt",
            "diff -f hash-rolls.yaml --against hash.yaml --endpoints x7,k2,p9,b4 --users 0..999",
        ),
        ("diff.groups.txt", "diff groups.yaml --against turns.yaml --users 0..1999"),
        ("diff.ranges.txt", "diff groups-halves.yaml --against groups.yaml --users 0..1999"),
    ] {
        assert_eq!(check(name, line).await.code, Some(0), "{name}");
    }
    assert_eq!(check("diff.nothing.txt", "diff hash.yaml --against hash.yaml").await.code, Some(3));
}

#[tokio::test]
async fn everybody_who_moves_is_data() {
    let line = "diff groups-halves.yaml --against groups.yaml --users 330..340 -o ndjson";
    let run = beside(line).await;
    let users: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<_> = users.iter().map(|user| user["user"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, (334..=340).map(|id| id.to_string()).collect::<Vec<_>>());
    assert_eq!(users[0]["from"], serde_json::json!({"place": "group", "name": "b"}));
    let all: Value = serde_json::from_str(&beside(&line.replace("ndjson", "json")).await.out).unwrap();
    assert_eq!(all["clusters"][0]["users"]["moved"].as_array().unwrap().len(), ids.len());
}

#[tokio::test]
async fn users_of_a_file_have_addresses() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "alice 10.0.0.7\nbob\n").unwrap();
    let line = format!("diff client.yaml --against turns.yaml -o json --users {}", file.path().display());
    let all: Value = serde_json::from_str(&beside(&line).await.out).unwrap();
    let users = &all["clusters"][0]["users"];
    assert_eq!((&users["moved"][0]["user"], &users["unknown"]), (&Value::from("alice"), &Value::from(1)));
}

#[tokio::test]
async fn a_change_that_a_server_would_refuse_is_told() {
    let other = tempfile::NamedTempFile::new().unwrap();
    let text = std::fs::read_to_string(folder().join("turns.yaml")).unwrap();
    std::fs::write(other.path(), text.replace("value: cluster1", "value: cluster9")).unwrap();
    let run = beside(&format!("diff {} --against turns.yaml", other.path().display())).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.contains("would be refused: spec.route.value: route.value cannot be changed"), "{run:?}");
    let run = beside("diff clash.yaml --against turns.yaml").await;
    assert!(run.err.starts_with("error: FundCluster funds/cluster2 is not in turns.yaml"), "{run:?}");
    let run = beside("diff groups.yaml --against groups.yaml --endpoints z=1").await;
    assert!(run.err.contains("\"z\" is no shard group: one of a, b"), "{run:?}");
}

#[test]
fn what_the_guide_shows_is_what_a_run_wrote() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/kubectl-fund.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let runs: Vec<String> = std::fs::read_dir(golden)
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .map(|run| run.lines().filter(|line| !line.starts_with("exit ")).map(unmarked).collect())
        .collect();
    let shown: Vec<&str> =
        guide.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(shown.len() >= 4, "{}", shown.len());
    for shown in shown {
        assert!(runs.iter().any(|run| run == shown), "no run wrote this:\n{shown}");
    }
}

fn unmarked(line: &str) -> String {
    format!("{}\n", line.strip_prefix("stderr| ").unwrap_or(line))
}
