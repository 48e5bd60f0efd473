//! Do pods start, do they stay, and do autoscalers know what they go by?

use std::collections::BTreeMap;

use k8s_openapi::api::{
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{ContainerStatus, Pod},
};

use super::{Finding, Level, Place, Seen, count, place, shown};

/// Reasons for which a container waits, that do not pass by themselves.
const STUCK: [&str; 9] = [
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

/// The exit code of a process whose settings are wrong.
const BAD_SETTINGS: i32 = 64;

pub(super) fn look(seen: &Seen) -> Vec<Finding> {
    let mut findings = match &seen.pods {
        Ok(pods) => {
            let found = pods.iter().filter_map(|pod| trouble(seen, pod)).collect();
            super::all_well("pods", alike(found), || match pods.len() {
                0 => "there are none".to_owned(),
                number => format!("none of {} crashes or hangs", count(number, "pod")),
            })
        }
        Err(blind) => vec![Finding::blind("pods", blind)],
    };
    findings.extend(match &seen.autoscalers {
        Ok(autoscalers) => {
            let found =
                autoscalers.iter().filter_map(|autoscaler| blind_autoscaler(seen, autoscaler)).collect();
            super::all_well("autoscalers", found, || match autoscalers.len() {
                0 => "there are none".to_owned(),
                number => format!("none of {} is without metrics", count(number, "autoscaler")),
            })
        }
        Err(blind) => vec![Finding::blind("autoscalers", blind)],
    });
    findings
}

/// A trouble, and what makes it the same as that of another pod.
struct Trouble {
    finding: Finding,
    group: (String, String),
    pod: Place,
}

/// Twenty pods of one Deployment that cannot pull their image are one finding.
fn alike(troubles: Vec<Trouble>) -> Vec<Finding> {
    let mut groups: BTreeMap<(String, String), Vec<Trouble>> = BTreeMap::new();
    for trouble in troubles {
        groups.entry(trouble.group.clone()).or_default().push(trouble);
    }
    let findings = groups.into_values().filter_map(|mut group| {
        let more = group.len() - 1;
        let first = group.drain(..).next()?;
        let mut finding = first.finding;
        if more > 0 {
            finding.object = format!("{} and {}", shown(&first.pod), count(more, "other"));
        }
        Some(finding)
    });
    findings.collect()
}

fn trouble(seen: &Seen, pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let (namespace, name) = place(pod);
    let found = status.container_statuses.iter().flatten().find_map(|container| {
        let (what, log) = waits(container).or_else(|| was_killed(container).map(|what| (what, false)))?;
        Some((container.image.clone(), what, log))
    });
    let (about, what, log) = if let Some(found) = found {
        found
    } else {
        let scheduled = status.conditions.iter().flatten().find(|it| it.type_ == "PodScheduled")?;
        if scheduled.status != "False" {
            return None;
        }
        let message = scheduled.message.clone().unwrap_or_default();
        (message.clone(), format!("has no machine to run on: {message}"), false)
    };
    let next = if log {
        format!("{} logs {name} -n {namespace} --previous --tail=20", seen.kubectl)
    } else {
        format!("{} describe pod {name} -n {namespace}", seen.kubectl)
    };
    let reason = what.split(':').next().unwrap_or_default().to_owned();
    let pod = (namespace, name);
    Some(Trouble {
        finding: Finding::new(Level::Fail, "pods", shown(&pod), what, next),
        group: (about, reason),
        pod,
    })
}

/// Why a container does not start, and whether its log says more.
fn waits(container: &ContainerStatus) -> Option<(String, bool)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().filter(|reason| STUCK.contains(reason))?;
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    if reason != "CrashLoopBackOff" {
        let message = waiting.message.clone().unwrap_or_default();
        return Some((format!("{reason} of {}: {message}", container.image), false));
    }
    let code = ended.map(|ended| ended.exit_code);
    let why = match code {
        Some(BAD_SETTINGS) => ": exit code 64, a setting is wrong, and its last line names it".to_owned(),
        Some(code) => format!(": exit code {code}, {} restarts", container.restart_count),
        None => String::new(),
    };
    Some((format!("CrashLoopBackOff{why}"), true))
}

/// A container that runs again, and was ended for its memory.
fn was_killed(container: &ContainerStatus) -> Option<String> {
    let ended = container.last_state.as_ref()?.terminated.as_ref()?;
    (ended.reason.as_deref() == Some("OOMKilled")).then(|| {
        format!(
            "OOMKilled: it took more memory than resources.limits.memory, {} restarts",
            container.restart_count
        )
    })
}

fn blind_autoscaler(seen: &Seen, autoscaler: &HorizontalPodAutoscaler) -> Option<Finding> {
    let conditions = autoscaler.status.as_ref()?.conditions.as_ref()?;
    let active = conditions.iter().find(|it| it.type_ == "ScalingActive" && it.status == "False")?;
    // It was switched off by a scale of zero: somebody wanted that.
    if active.reason.as_deref() == Some("ScalingDisabled") {
        return None;
    }
    let (namespace, name) = place(autoscaler);
    Some(Finding::new(
        Level::Warn,
        "autoscalers",
        shown(&(namespace.clone(), name)),
        format!(
            "has nothing to go by, and leaves the number of pods as it is: {}",
            active.message.as_deref().unwrap_or_default()
        ),
        format!("{} top pods -n {namespace}", seen.kubectl),
    ))
}
