//! Is there a server, is it new enough, and what time is it there?

use jiff::SignedDuration;

use super::{Finding, Level, Seen, Version};

/// The oldest Kubernetes that the charts take (`kubeVersion`).
const OLDEST: (u32, u32) = (1, 30);

/// A `Date` is told to the second, and takes a moment to come; more than this is another time.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(5);

pub(super) fn look(seen: &Seen) -> Vec<Finding> {
    let version = match &seen.version {
        Ok(version) => version,
        Err(blind) => {
            let why = blind.why.clone();
            return vec![Finding::new(Level::Fail, "server", seen.server.clone(), why, blind.next.clone())];
        }
    };
    let mut findings =
        vec![Finding::ok("server", format!("{} answers: Kubernetes {}", seen.server, version.whole))];
    findings.extend(age(version));
    findings.push(clock(seen));
    findings
}

fn age(version: &Version) -> Option<Finding> {
    // A provider may add a sign: `29+`.
    let number = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().ok();
    let (major, minor) = OLDEST;
    match (number(&version.major), number(&version.minor)) {
        (Some(its), Some(its_minor)) if (its, its_minor) < OLDEST => Some(Finding::new(
            Level::Fail,
            "server",
            version.whole.clone(),
            format!("this Kubernetes is older than {major}.{minor}, the oldest that is supported"),
            "upgrade Kubernetes, one minor version at a time",
        )),
        (Some(_), Some(_)) => None,
        _ => Some(Finding::new(
            Level::Unknown,
            "server",
            version.whole.clone(),
            "it spells its version in a way that cannot be read",
            "kubectl version",
        )),
    }
}

fn clock(seen: &Seen) -> Finding {
    let Some(there) = seen.there else {
        return Finding::new(
            Level::Unknown,
            "clock",
            "",
            "the API server does not say what time it is there (no Date header)",
            "date -u",
        );
    };
    let ahead = seen.here.duration_since(there);
    if ahead.abs() <= CLOCKS_DIFFER {
        return Finding::ok("clock", "this machine and the API server have the same time");
    }
    let side = if ahead.is_negative() { "behind" } else { "ahead of" };
    Finding::new(
        Level::Warn,
        "clock",
        "",
        format!(
            "this machine is {} s {side} the API server; ages that are shown here are wrong by as much, and where machines of \
             the cluster differ like that, leases change hands",
            ahead.abs().as_secs()
        ),
        "timedatectl timesync-status",
    )
}
