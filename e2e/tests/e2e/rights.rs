//! What each account may do is what the chart says, and nothing else.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use fundbond_e2e::{Trial, program, release};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, api::ListParams};
use serde::Deserialize as _;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn each_account_may_do_what_the_chart_says() -> Result<()> {
    Trial::beside(async |trial| {
        let accounts: Api<ServiceAccount> = Api::namespaced(trial.client.clone(), release::NAMESPACE);
        let selector = ListParams::default().labels("app.kubernetes.io/instance=fundbond");
        let accounts = accounts.list(&selector).await?;
        ensure!(accounts.items.len() >= 2, "{} accounts", accounts.items.len());
        let manifest = ["get", "manifest", release::NAME, "--namespace", release::NAMESPACE];
        let manifest = program::output(&mut trial.stage.helm(&manifest)).await?;
        let objects = yaml_serde::Deserializer::from_str(&manifest)
            .map(|document| Ok(Value::deserialize(document)?))
            .collect::<Result<Vec<Value>>>()?;
        // Everybody may ask what there is and who they are.
        let everybody = may(trial, "default").await?;
        for account in accounts.items {
            let name = account.metadata.name.context("an account has a name")?;
            let granted: BTreeSet<_> = may(trial, &name).await?.difference(&everybody).cloned().collect();
            let said = rules(&objects, &name);
            ensure!(granted == said, "{name} may {granted:?}, and the chart says {said:?}");
            trial.figure(&format!("rights of {name}"), said.len());
        }
        Ok(())
    })
    .await
}

/// Rows of `kubectl auth can-i --list`: resource, names of objects, verbs.
async fn may(trial: &Trial, account: &str) -> Result<BTreeSet<String>> {
    let who = format!("system:serviceaccount:{}:{account}", release::NAMESPACE);
    let words = ["auth", "can-i", "--list", "--no-headers", "--namespace", release::NAMESPACE, "--as", &who];
    let table = program::output(&mut trial.stage.kubectl(&words)).await?;
    let mut rows = BTreeSet::new();
    for line in table.lines() {
        // Resources, URLs in brackets, names in brackets, verbs in brackets.
        let parts: Vec<_> = line.split(['[', ']']).map(str::trim).collect();
        let [resources, _, _, names, _, verbs, ..] = parts[..] else { continue };
        for verb in verbs.split_whitespace() {
            rows.extend(of_each(resources, names, verb));
        }
    }
    Ok(rows)
}

fn of_each(resource: &str, names: &str, verb: &str) -> Vec<String> {
    if names.is_empty() {
        return vec![format!("{verb} {resource}")];
    }
    names.split_whitespace().map(|name| format!("{verb} {resource} {name}")).collect()
}

/// What the roles bound to an account say, in the same words.
fn rules(objects: &[Value], account: &str) -> BTreeSet<String> {
    let is_bound = |object: &&Value| {
        let subjects = object["subjects"].as_array().into_iter().flatten();
        subjects.into_iter().any(|subject| subject["name"] == account)
    };
    let mut rows = BTreeSet::new();
    for binding in objects.iter().filter(is_bound) {
        let (kind, name) = (&binding["roleRef"]["kind"], &binding["roleRef"]["name"]);
        let role =
            objects.iter().filter(|object| object["kind"] == *kind && object["metadata"]["name"] == *name);
        for rule in role.flat_map(|role| role["rules"].as_array().into_iter().flatten()) {
            let words = |part: &str| -> Vec<&str> {
                rule[part].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
            };
            let names = words("resourceNames").join(" ");
            for group in words("apiGroups") {
                for resource in words("resources") {
                    // kubectl puts the group behind the resource, and before a part of it.
                    let (whole, part) = resource.split_once('/').unwrap_or((resource, ""));
                    let dot = if group.is_empty() { "" } else { "." };
                    let slash = if part.is_empty() { "" } else { "/" };
                    let resource = format!("{whole}{dot}{group}{slash}{part}");
                    for verb in words("verbs") {
                        rows.extend(of_each(&resource, &names, verb));
                    }
                }
            }
        }
    }
    rows
}
