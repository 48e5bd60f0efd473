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

pub(crate) async fn install(client: Client) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut names = Vec::new();
    for file in FILES {
        let definition: CustomResourceDefinition = yaml_serde::from_str(file).context("a definition")?;
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
