//! The definitions beside the crate `crds`, as `kubectl apply -f crds/` installs them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};

const FILES: [&str; 2] =
    [include_str!("../../../crds/fundclusters.yaml"), include_str!("../../../crds/gatewayroutes.yaml")];

/// A second on an idle machine.
const USABLE: Duration = Duration::from_mins(1);

/// Between two questions whether they are usable.
const PAUSE: Duration = Duration::from_millis(50);

/// What others bring: group, version, kind. Of their shapes nothing is known here.
const FOREIGN: [(&str, &str, &str); 3] = [
    ("gateway.networking.k8s.io", "v1", "HTTPRoute"),
    ("monitoring.coreos.com", "v1", "ServiceMonitor"),
    ("monitoring.coreos.com", "v1", "PrometheusRule"),
];

/// Those of the system.
pub(crate) async fn install(client: Client) -> Result<()> {
    let own = FILES.iter().map(|file| yaml_serde::from_str(file).context("a definition"));
    install_all(client, own.collect::<Result<_>>()?).await
}

/// Those that others bring.
pub(crate) async fn install_foreign(client: Client) -> Result<()> {
    let foreign = FOREIGN.iter().map(|(group, version, kind)| {
        let singular = kind.to_lowercase();
        let plural = format!("{singular}s");
        let shape = serde_json::json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let definition = serde_json::json!({
            "metadata": {
                "name": format!("{plural}.{group}"),
                // The server wants to know that its makers agreed to a group of theirs.
                "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
            },
            "spec": {
                "group": group, "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": singular},
                "versions": [{
                    "name": version, "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": shape}}},
                }],
            },
        });
        serde_json::from_value(definition).context("a definition")
    });
    install_all(client, foreign.collect::<Result<_>>()?).await
}

async fn install_all(client: Client, definitions: Vec<CustomResourceDefinition>) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut names = Vec::new();
    for definition in definitions {
        let name = definition.metadata.name.clone().context("a definition has a name")?;
        let mut patch = serde_json::to_value(&definition)?;
        patch["apiVersion"] = "apiextensions.k8s.io/v1".into();
        patch["kind"] = "CustomResourceDefinition".into();
        api.patch(&name, &PatchParams::apply("test-api-server"), &Patch::Apply(patch))
            .await
            .with_context(|| format!("cannot install {name}"))?;
        names.push((name, definition));
    }
    for (name, definition) in names {
        established(&api, &name).await?;
        served(client.clone(), &name, &definition).await?;
    }
    Ok(())
}

async fn established(api: &Api<CustomResourceDefinition>, name: &str) -> Result<()> {
    let began = Instant::now();
    loop {
        let definition = api.get(name).await.with_context(|| format!("cannot read {name}"))?;
        let conditions = definition.status.and_then(|status| status.conditions).unwrap_or_default();
        if conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True") {
            return Ok(());
        }
        if began.elapsed() > USABLE {
            bail!("{name} is not established after {} s: {conditions:#?}", USABLE.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// An established definition is served a moment later.
async fn served(client: Client, name: &str, definition: &CustomResourceDefinition) -> Result<()> {
    let began = Instant::now();
    let version = definition.spec.versions.first().context("a definition has a version")?;
    let kind = GroupVersionKind::gvk(&definition.spec.group, &version.name, &definition.spec.names.kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, &definition.spec.names.plural);
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    loop {
        match api.list(&ListParams::default().limit(1)).await {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > USABLE => {
                return Err(error).with_context(|| format!("{name} is not served"));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
