//! `cargo xtask seeded-bugs`: puts mistakes into the product on purpose, one at a time, and insists that the tests notice.
//!
//! A mistake is a cargo feature that no release build accepts. A test that fails for another reason proves nothing, so each
//! mistake names the tests that are there for it, and every one of them must fail.

use crate::{process, say, tools};
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::time::Instant;

/// A mistake, and who must notice it.
struct Bug {
    feature: &'static str,
    package: &'static str,
    /// What it does, for people.
    does: &'static str,
    /// Tests to run: all whose names begin with one of these.
    run: &'static [&'static str],
    /// Those of them that must fail.
    told_by: &'static [&'static str],
}

const BUGS: [Bug; 7] = [
    Bug {
        feature: "bug-plain-del",
        package: "fundbond-store",
        does: "the sweep deletes a registration without asking whose it is",
        run: &["races::", "sweeps::no_living_registration_is_swept_whatever_happens"],
        told_by: &[
            "races::streams::r11_a_registration_that_lapsed_and_was_made_anew_is_not_its_old_owners",
            "races::streams::r16_a_scan_that_repeats_or_misses_does_no_harm",
            "sweeps::no_living_registration_is_swept_whatever_happens",
        ],
    },
    Bug {
        feature: "bug-no-tombstone",
        package: "fundbond-store",
        does: "the sweep does not ask whether the pod is buried",
        run: &["races::", "sweeps::no_living_registration_is_swept_whatever_happens"],
        told_by: &[
            "races::leaders::r05_a_leader_that_slept_before_it_deletes_spares_who_spoke_meanwhile",
            "races::leaders::r12_a_failover_that_rolls_back_a_tombstone_spares_who_went_on",
            "races::nodes::r17_pods_whose_health_is_lost_keep_what_they_hold_until_they_are_buried",
            "sweeps::no_living_registration_is_swept_whatever_happens",
        ],
    },
    Bug {
        feature: "bug-blind-renewal",
        package: "fundbond-store",
        does: "a lease is written whatever stands there",
        run: &["races::", "memory::leases", "redis::leases"],
        told_by: &[
            "races::leases::r13_a_lease_that_is_deleted_in_the_middle_of_a_sweep_ends_the_sweep_or_its_successor_does",
            "races::leases::r15_a_renewal_that_arrives_after_the_lease_was_given_back_takes_it_from_nobody",
            "memory::leases::a_lease_is_written_over_what_was_seen_and_nothing_else",
            "redis::leases::a_lease_is_written_over_what_was_seen_and_nothing_else",
        ],
    },
    Bug {
        feature: "bug-early-ack",
        package: "fundbond-store",
        does: "a claim is over before the final event is in the log",
        run: &["memory::queue::", "redis::queue::"],
        told_by: &[
            "memory::queue::a_claim_lasts_until_the_final_event_is_logged",
            "memory::queue::a_pod_that_leaves_gives_back_what_it_runs",
            "memory::queue::the_tasks_of_a_dead_pod_wait_for_others_before_newer_ones",
            "redis::queue::a_claim_lasts_until_the_final_event_is_logged",
            "redis::queue::a_pod_that_leaves_gives_back_what_it_runs",
            "redis::queue::the_tasks_of_a_dead_pod_wait_for_others_before_newer_ones",
        ],
    },
    Bug {
        feature: "bug-blind-renewal",
        package: "fundbond-lease",
        does: "a lease in Kubernetes is written whatever stands there",
        run: &["contract::", "failures::"],
        told_by: &[
            "contract::in_kubernetes_a_lease_is_written_over_what_was_seen_and_nothing_else",
            "failures::a_renewal_is_one_request_that_says_over_what_it_is_written",
            "failures::a_write_whose_answer_was_lost_is_found_as_it_was_done",
        ],
    },
    Bug {
        feature: "bug-blind-delete",
        package: "fundbond-operator",
        does: "the operator deletes without saying which version it means",
        run: &["simulated::faults::a_delete"],
        told_by: &["simulated::faults::a_delete_that_comes_late_does_not_hit_what_is_wanted_again"],
    },
    Bug {
        feature: "bug-early-status",
        package: "fundbond-operator",
        does: "a FundCluster is told that all is applied before it is",
        run: &["simulated::crashes::"],
        told_by: &["simulated::crashes::a_death_at_any_call_changes_nothing_in_the_end"],
    },
];

/// Tries every mistake.
pub fn run() -> Result<()> {
    tools::redis_server()?;
    let mut unnoticed = Vec::new();
    for bug in &BUGS {
        say::section(&format!("seeded bugs: {} ({})", bug.feature, bug.does));
        let began = Instant::now();
        process::run(&mut cargo_test(bug, &["--no-run"]))?;
        let arguments: Vec<&str> = std::iter::once("--").chain(bug.run.iter().copied()).collect();
        let (passed, said) = process::outcome(&mut cargo_test(bug, &arguments))?;
        let failed = failures(&said);
        if passed != failed.is_empty() {
            bail!("the tests with {} ended without saying which failed:\n{said}", bug.feature);
        }
        for name in &failed {
            say::line(&format!("noticed by {name}"));
        }
        say::line(&format!("{:.0} s", began.elapsed().as_secs_f64()));
        unnoticed.extend(missing(bug, &failed));
    }
    if unnoticed.is_empty() {
        return Ok(());
    }
    bail!("not noticed:\n{}", unnoticed.join("\n"))
}

fn cargo_test(bug: &Bug, arguments: &[&str]) -> std::process::Command {
    let mut command =
        process::cargo(["test", "--package", bug.package, "--features", bug.feature, "--test", "it"]);
    command.args(process::lock_flag()).args(arguments);
    command
}

/// The tests that failed, out of what the test program says.
fn failures(said: &str) -> BTreeSet<&str> {
    said.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED")).collect()
}

fn missing(bug: &Bug, failed: &BTreeSet<&str>) -> Vec<String> {
    let silent = bug.told_by.iter().filter(|test| !failed.contains(*test));
    silent.map(|test| format!("{} by {test}", bug.feature)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_that_one_test_does_not_notice_is_told() {
        let said =
            "running 3 tests\ntest a::b ... FAILED\ntest a::c ... ok\ntest a::d - should panic ... ok\n";
        assert_eq!(failures(said), BTreeSet::from(["a::b"]));
        let bug = Bug { feature: "f", package: "p", does: "", run: &[], told_by: &["a::b", "a::c"] };
        assert_eq!(missing(&bug, &failures(said)), ["f by a::c"]);
    }
}
