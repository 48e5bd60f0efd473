//! `docs/reference/rights.md`: what the operator must be allowed to do, as manifests. `cargo xtask reference` writes it anew.

use std::path::PathBuf;

use fundbond_operator::rights;
use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use kube::api::ObjectMeta;

const HEAD: &str = "\
<!-- Generated: run `cargo xtask reference` instead of editing. -->
# Rights of the operator

What the operator must be allowed to do, and nothing more: a test runs it on a real API server with exactly these rights, and
holds the audit log of its whole life against them. Bind the first to its service account in every namespace that it looks
after (or in all, by a ClusterRoleBinding), the second in its own.

Some of it the operator does not do itself. Nobody may give rights that they do not have, and pods and proxies get theirs
from it: those for leases, routes and endpoint slices. `fundclusters/finalizers` is asked for where the API server runs
`OwnerReferencesPermissionEnforcement`.
";

#[test]
fn the_page_is_what_the_operator_may_do() {
    let named = |name: &str| ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let everywhere = ClusterRole {
        metadata: named("fundbond-operator"),
        rules: Some(rights::everywhere()),
        ..ClusterRole::default()
    };
    let lease =
        Role { metadata: named("fundbond-operator-home"), rules: Some(rights::at_home("fundbond-operator")) };
    let yaml = |role: String| format!("```yaml\n{}```\n", role.trim_start_matches("---\n"));
    let page = format!(
        "{HEAD}\n{}\n{}",
        yaml(yaml_serde::to_string(&everywhere).unwrap()),
        yaml(yaml_serde::to_string(&lease).unwrap())
    );
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/rights.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/reference/rights.md is not what the code says; run `cargo xtask reference`");
}
