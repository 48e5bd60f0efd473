//! Are FundClusters ready, do their routes lead to somebody, and is there what they name?

use std::collections::BTreeMap;

use fundbond_crds::{GatewayRoute, fund_cluster::condition, labels};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{ResourceExt as _, api::DynamicObject};
use serde_json::Value;

use super::{Blind, Finding, Level, Place, Seen, label, operator::many, place, shown, standings};
use crate::status::{Attention, Standing};

/// The reason of those that may not have their route.
const CONFLICT: &str = "RouteConflict";

pub(super) fn look(seen: &Seen) -> Vec<Finding> {
    let clusters = match &seen.clusters {
        Ok(clusters) => clusters,
        Err(blind) => return vec![Finding::blind("FundClusters", blind)],
    };
    let standings = standings(clusters);
    let mut findings = ready(seen, &standings);
    findings.extend(conflicts(seen, &standings));
    findings.extend(secrets(seen, clusters));
    findings.extend(routes(seen, &standings));
    findings
}

fn ready(seen: &Seen, standings: &[Standing]) -> Vec<Finding> {
    let mut found = Vec::new();
    for it in standings.iter().filter(|it| it.reason != CONFLICT) {
        let next = format!("{} status {} -n {}", seen.program, it.name, it.namespace);
        let finding =
            |level, what: String| Finding::new(level, "FundClusters", it.place(), what, next.clone());
        let what = format!("{}: {}", it.reason, it.message);
        match it.attention() {
            Attention::None if it.is(condition::PAUSED) => {
                found.push(finding(Level::Warn, "is paused: nothing of it is changed".to_owned()));
            }
            Attention::None => {}
            Attention::Underway => found.push(finding(Level::Warn, what)),
            Attention::Degraded | Attention::Stalled => found.push(finding(Level::Fail, what)),
        }
    }
    let well = standings.iter().filter(|it| it.attention() == Attention::None).count();
    super::all_well("FundClusters", found, || many(well, "FundCluster"))
}

fn conflicts(seen: &Seen, standings: &[Standing]) -> Vec<Finding> {
    let conflicts = standings.iter().filter(|it| it.reason == CONFLICT);
    let found = conflicts.map(|it| {
        Finding::new(
            Level::Fail,
            "conflicts",
            it.place(),
            it.message.clone(),
            // To delete one of two is somebody's decision, and no command to copy.
            format!("{} status {} -n {}", seen.program, it.name, it.namespace),
        )
    });
    super::all_well("conflicts", found.collect(), || "no two want the same route".to_owned())
}

/// The Secret that a FundCluster names for its Redis.
pub fn secret_of(cluster: &DynamicObject) -> Option<Place> {
    let name = cluster.data.pointer("/spec/redis/credentialsSecret/name").and_then(Value::as_str)?;
    Some((cluster.namespace().unwrap_or_default(), name.to_owned()))
}

fn secrets(seen: &Seen, clusters: &[DynamicObject]) -> Vec<Finding> {
    let mut users: BTreeMap<Place, Vec<String>> = BTreeMap::new();
    for cluster in clusters {
        if let Some(secret) = secret_of(cluster) {
            users.entry(secret).or_default().push(cluster.name_any());
        }
    }
    let mut found = Vec::new();
    // One refusal is that of all in its namespace.
    let mut blind: BTreeMap<&str, &Blind> = BTreeMap::new();
    for (secret, users) in &users {
        match seen.secrets.get(secret) {
            Some(Ok(true)) | None => {}
            Some(Ok(false)) => found.push(Finding::new(
                Level::Fail,
                "secrets",
                shown(secret),
                format!("is not there, and pods of {} do not start without it", users.join(", ")),
                format!(
                    "{} create secret generic {} -n {} --from-file=password",
                    seen.kubectl, secret.1, secret.0
                ),
            )),
            Some(Err(why)) => {
                blind.entry(&secret.0).or_insert(why);
            }
        }
    }
    found.extend(blind.values().map(|blind| Finding::blind("secrets", blind)));
    super::all_well("secrets", found, || match users.len() {
        0 => "no FundCluster names one".to_owned(),
        _ => "those that FundClusters name are there".to_owned(),
    })
}

fn routes(seen: &Seen, standings: &[Standing]) -> Vec<Finding> {
    let routes = match &seen.routes {
        Ok(routes) => routes,
        Err(blind) => return vec![Finding::blind("routes", blind)],
    };
    let mut found: Vec<_> = standings
        .iter()
        .filter(|it| it.attention() == Attention::None)
        .filter(|it| !routes.iter().any(|route| place(route) == (it.namespace.clone(), it.name.clone())))
        .map(|it| {
            let next = format!("{} status {} -n {}", seen.program, it.name, it.namespace);
            Finding::new(Level::Fail, "routes", it.place(), "is ready and has no GatewayRoute", next)
        })
        .collect();
    match &seen.slices {
        Ok(slices) => found.extend(routes.iter().flat_map(|route| deserted(seen, route, slices))),
        Err(blind) => found.push(Finding::blind("endpoints", blind)),
    }
    super::all_well("routes", found, || match routes.len() {
        0 => "there are none".to_owned(),
        _ => "each leads to a proxy and to pods that are ready".to_owned(),
    })
}

/// The Services of a route behind which nobody is ready.
fn deserted(seen: &Seen, route: &GatewayRoute, slices: &[EndpointSlice]) -> Vec<Finding> {
    let (namespace, name) = place(route);
    let pods = route.spec.pods.iter().map(|pods| (&pods.service.name, "pods"));
    let services = std::iter::once((&route.spec.proxy.name, "proxy")).chain(pods);
    let deserted = services.filter(|(service, _)| ready_behind(&namespace, service, slices) == 0);
    deserted
        .map(|(service, what)| {
            Finding::new(
                Level::Fail,
                "routes",
                shown(&(namespace.clone(), name.clone())),
                format!("nobody is ready behind the Service {service} of its {what}"),
                format!(
                    "{} get pods -n {namespace} -l app.kubernetes.io/part-of=fundbond,app.kubernetes.io/instance={name}",
                    seen.kubectl
                ),
            )
            .see("FundbondRouteWithoutEndpoints")
        })
        .collect()
}

fn ready_behind(namespace: &str, service: &str, slices: &[EndpointSlice]) -> usize {
    let own = slices.iter().filter(|slice| {
        slice.namespace().as_deref() == Some(namespace) && label(*slice, labels::SERVICE) == service
    });
    let endpoints = own.flat_map(|slice| &slice.endpoints);
    // Unknown counts as ready, says the API.
    endpoints.filter(|it| it.conditions.as_ref().and_then(|it| it.ready).unwrap_or(true)).count()
}
