//! Does an operator run, and does one of them lead?

use fundbond_crds::labels;
use jiff::SignedDuration;
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease};

use super::{Finding, Level, Look, Place, Seen, count, label, place, shown};

const CHECK: &str = "operator";

/// What the label `name` of it says.
const PROGRAM: &str = "operator";

/// What its Lease is called where nothing else is said.
const LEASE: &str = "fundbond-operator";

/// A Lease that is renewed every few seconds is not late by so little; clocks are told to the second.
const GRACE: SignedDuration = SignedDuration::from_secs(5);

pub(super) fn look(seen: &Seen) -> Vec<Finding> {
    let deployments = match &seen.deployments {
        Ok(deployments) => deployments,
        Err(blind) => return vec![Finding::blind(CHECK, blind)],
    };
    let operators: Vec<_> = deployments.iter().filter(|it| label(*it, labels::NAME) == PROGRAM).collect();
    if operators.is_empty() {
        let next = "helm install fundbond charts/fundbond --namespace fundbond --create-namespace";
        let what = "there is none: FundClusters stay as they are";
        return vec![Finding::new(Level::Fail, CHECK, "", what, next).see("FundbondOperatorAbsent")];
    }
    let mut findings = Vec::new();
    for operator in operators {
        findings.push(runs(seen, operator));
        findings.extend(age(operator));
        findings.push(leads(seen, operator));
    }
    findings
}

fn runs(seen: &Seen, operator: &Deployment) -> Finding {
    let finding = deployment(seen, CHECK, operator);
    if finding.level == Level::Ok { finding } else { finding.see("FundbondOperatorAbsent") }
}

/// How a Deployment stands: all, some or none of its pods are ready.
pub(super) fn deployment(seen: &Seen, check: &'static str, it: &Deployment) -> Finding {
    let wanted = it.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = it.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default();
    let (namespace, name) = place(it);
    let what = format!("{ready} of {wanted} pods are ready");
    if ready >= wanted && ready > 0 {
        return Finding { object: shown(&(namespace, name)), ..Finding::ok(check, what) };
    }
    let level = if ready > 0 { Level::Warn } else { Level::Fail };
    let next = format!("{} describe deployment {name} -n {namespace}", seen.kubectl);
    Finding::new(level, check, shown(&(namespace, name)), what, next)
}

/// An operator of another version makes other objects than this program says.
fn age(operator: &Deployment) -> Option<Finding> {
    let version = label(operator, "app.kubernetes.io/version");
    let own = env!("CARGO_PKG_VERSION");
    (!version.is_empty() && version != own).then(|| {
        let (namespace, name) = place(operator);
        Finding::new(
            Level::Warn,
            CHECK,
            shown(&(namespace.clone(), name)),
            format!(
                "is of version {version}, and this program of {own}: what it says may be about something else"
            ),
            format!("helm list -n {namespace}"),
        )
    })
}

fn leads(seen: &Seen, operator: &Deployment) -> Finding {
    let lease_place = lease_of(operator);
    let object = format!("Lease {}", shown(&lease_place));
    let lease: &Look<Option<Lease>> = match seen.leases.get(&lease_place) {
        Some(lease) => lease,
        None => return Finding::new(Level::Unknown, "leader", object, "was not looked at", ""),
    };
    let (namespace, name) = &lease_place;
    let next = format!("{} get lease {name} -n {namespace} -o yaml", seen.kubectl);
    let nobody = |what: &str| {
        Finding::new(Level::Fail, "leader", object.clone(), what, next.clone())
            .see("FundbondOperatorWithoutLeader")
    };
    let lease = match lease {
        Err(blind) => return Finding::blind("leader", blind),
        Ok(None) => return nobody("is not there: no operator leads"),
        Ok(Some(lease)) => lease,
    };
    let spec = lease.spec.clone().unwrap_or_default();
    let holder = spec.holder_identity.unwrap_or_default();
    if holder.is_empty() {
        return nobody("has no holder: no operator leads");
    }
    let lasts = SignedDuration::from_secs(i64::from(spec.lease_duration_seconds.unwrap_or_default()));
    let Some(renewed) = spec.renew_time else {
        return nobody("was never renewed: no operator leads");
    };
    let since = seen.now().duration_since(renewed.0);
    if since > lasts + GRACE {
        return nobody(&format!("is held by {holder}, who has not renewed it for {} s", since.as_secs()));
    }
    Finding { object, ..Finding::ok("leader", format!("is held by {holder}")) }
}

/// Where the Lease of an operator is, by its variables.
pub fn lease_of(operator: &Deployment) -> Place {
    let (namespace, _) = place(operator);
    (
        variable(operator, "FUND_NAMESPACE").unwrap_or(namespace),
        variable(operator, "FUND_LEASE_NAME").unwrap_or_else(|| LEASE.to_owned()),
    )
}

/// What a variable of its containers says.
pub(super) fn variable(deployment: &Deployment, name: &str) -> Option<String> {
    let containers =
        deployment.spec.iter().filter_map(|spec| spec.template.spec.as_ref()).flat_map(|pod| &pod.containers);
    let mut variables = containers.flat_map(|container| container.env.iter().flatten());
    variables.find(|variable| variable.name == name).and_then(|variable| variable.value.clone())
}

/// What is said where all is well.
pub(super) fn many(number: usize, what: &str) -> String {
    match number {
        0 => format!("there are no {what}s"),
        1 => format!("1 {what} is ready"),
        number => format!("{} are ready", count(number, what)),
    }
}
