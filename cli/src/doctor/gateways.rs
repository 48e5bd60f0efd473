//! Are gateways ready, and do they have the routes?

use fundbond_crds::labels;

use super::{
    Finding, Level, Place, Seen, label,
    operator::{deployment, variable},
    place, shown, standings,
};

const CHECK: &str = "gateways";

/// What the label `name` of them says.
const PROGRAM: &str = "gateway";

pub(super) fn look(seen: &Seen) -> Vec<Finding> {
    let mut findings = run(seen);
    findings.extend(acknowledged(seen));
    findings.extend(tables(seen));
    findings
}

fn run(seen: &Seen) -> Vec<Finding> {
    // That Deployments cannot be listed, the check of the operator has said.
    let Ok(deployments) = &seen.deployments else { return Vec::new() };
    let gateways: Vec<_> = deployments.iter().filter(|it| label(*it, labels::NAME) == PROGRAM).collect();
    if gateways.is_empty() {
        return vec![Finding::new(
            Level::Warn,
            CHECK,
            "",
            "there is none: FundClusters are reached by their proxies alone",
            "helm upgrade fundbond charts/fundbond --namespace fundbond --reuse-values --set gateway.enabled=true",
        )];
    }
    gateways.into_iter().map(|gateway| deployment(seen, CHECK, gateway)).collect()
}

/// What the operator was told by the gateways.
fn acknowledged(seen: &Seen) -> Vec<Finding> {
    let Ok(clusters) = &seen.clusters else { return Vec::new() };
    let behind = standings(clusters).into_iter().filter_map(|it| {
        let told = it.gateways.as_ref().filter(|told| told.acknowledged < told.gateways)?;
        let what = format!(
            "{} of {} gateways have generation {} of its route",
            told.acknowledged, told.gateways, told.generation
        );
        let next =
            format!("{} route --user 1 --cluster {} -n {}", seen.program, it.route.value, it.namespace);
        Some(Finding::new(Level::Warn, CHECK, it.place(), what, next).see("FundbondRoutesRefused"))
    });
    behind.collect()
}

/// What the gateways say themselves.
fn tables(seen: &Seen) -> Vec<Finding> {
    let routes = seen.routes.as_deref().unwrap_or_default();
    let mut found = Vec::new();
    let mut asked = 0;
    for (pod, table) in &seen.tables {
        let object = shown(pod);
        let table = match table {
            Ok(table) => table,
            Err(blind) => {
                let what = format!("its routes cannot be looked at: {}", blind.why);
                found.push(Finding::new(Level::Unknown, "tables", object, what, blind.next.clone()));
                continue;
            }
        };
        asked += 1;
        let log = format!("{} logs {} -n {}", seen.kubectl, pod.1, pod.0);
        let refused = table.refused.iter().map(|(route, why)| {
            let what = format!("refuses the route of {route}: {why}");
            let finding = Finding::new(Level::Warn, "tables", object.clone(), what, log.clone());
            finding.see("FundbondRoutesRefused")
        });
        found.extend(refused);
        // Where routes are refused by name, the last error is one of them.
        if let Some(error) = table.last_error.as_ref().filter(|_| table.refused.is_empty()) {
            let what = format!("refused a change of its routes: {error}");
            let finding = Finding::new(Level::Warn, "tables", object.clone(), what, log.clone());
            found.push(finding.see("FundbondRoutesRefused"));
        }
        let watched = watched_by(seen, pod);
        let missing: Vec<_> = routes
            .iter()
            .filter(|route| watched.as_ref().is_none_or(|watched| watched.contains(&place(*route).0)))
            .filter(|route| {
                let matching = &route.spec.matching;
                let same = |header: &str| header.eq_ignore_ascii_case(&matching.header);
                !table.routes.iter().any(|known| known.value == matching.value && same(&known.header))
            })
            .map(|route| shown(&place(route)))
            .filter(|route| !table.refused.contains_key(route))
            .collect();
        if !missing.is_empty() {
            let what = format!(
                "does not have the route of {}: does it watch that namespace (watchNamespaces of its release)?",
                missing.join(", ")
            );
            found.push(Finding::new(Level::Warn, "tables", object, what, log));
        }
    }
    match asked {
        // There is no gateway, which was said.
        0 if found.is_empty() => Vec::new(),
        _ => super::all_well("tables", found, || "every gateway has every route".to_owned()),
    }
}

/// The namespaces whose routes a gateway follows, by the variables of its Deployment; none where it follows all.
fn watched_by(seen: &Seen, (namespace, pod): &Place) -> Option<Vec<String>> {
    let deployments = seen.deployments.as_deref().unwrap_or_default().iter();
    let of_pod = deployments.filter(|deployment| {
        let (its, name) = place(*deployment);
        its == *namespace && pod.strip_prefix(&name).is_some_and(|rest| rest.starts_with('-'))
    });
    // Of `a` and `a-b`, the pods of the second begin with both.
    let deployment = of_pod.max_by_key(|deployment| place(*deployment).1.len())?;
    let names = variable(deployment, "FUND_WATCH_NAMESPACES").filter(|names| !names.is_empty())?;
    Some(names.split(',').map(|name| name.trim().to_owned()).collect())
}
