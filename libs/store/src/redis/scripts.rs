//! The steps as Lua scripts, and the names they are filled with.

use fundbond_protocol::keys;

use crate::{
    FENCE, RETENTION, TOMBSTONE,
    users::{LINES_REMEMBERED, NAMED_KEPT},
};

/// What the scripts share; [`Step::Emit`] alone does without, for it runs for each event.
const PRELUDE: &str = include_str!("scripts/prelude.lua");

/// What the orders of a leader share besides.
const FENCES: &str = include_str!("scripts/fence.lua");

/// Lifetimes are refreshed by the first event that finds less left than the retention without this: seldom
/// enough to cost nothing, often enough that nobody notices.
const FRESH_FOR: u64 = 60;

/// Each step: its name in the code, its name for people and metrics, its script.
macro_rules! steps {
    ($($step:ident $label:literal $script:literal)*) => {
        /// One atomic step of the store.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Step {
            $($step,)*
        }

        impl Step {
            /// All of them, in the order of their declaration.
            pub(super) const ALL: [Self; [$($label),*].len()] = [$(Self::$step),*];

            /// Its name for people and metrics.
            pub(super) const fn label(self) -> &'static str {
                match self {
                    $(Self::$step => $label,)*
                }
            }

            fn source(self) -> &'static str {
                match self {
                    $(Self::$step => include_str!(concat!("scripts/", $script)),)*
                }
            }
        }
    };
}

steps! {
    Heartbeat "heartbeat" "heartbeat.lua"
    Leave "leave" "leave.lua"
    Bury "bury" "bury.lua"
    Register "register" "register.lua"
    CatchUp "catch-up" "catch_up.lua"
    Finish "finish" "finish.lua"
    Close "close" "close.lua"
    Reassert "reassert" "reassert.lua"
    Held "held" "held.lua"
    Emit "emit" "emit.lua"
    EmitHomeless "emit-homeless" "emit_homeless.lua"
    Foreign "foreign" "foreign.lua"
    Submit "submit" "submit.lua"
    Claim "claim" "claim.lua"
    Hold "hold" "hold.lua"
    GiveBack "give-back" "give_back.lua"
    Restore "restore" "restore.lua"
    HandOver "hand-over" "hand_over.lua"
    Backlog "backlog" "backlog.lua"
    Task "task" "task.lua"
    List "list" "list.lua"
    User "user" "user.lua"
    UserSend "user-send" "user_send.lua"
    UserClose "user-close" "user_close.lua"
    LeaseRead "lease-read" "lease_read.lua"
    LeaseWrite "lease-write" "lease_write.lua"
    Lock "lock" "lock.lua"
    ExtendLock "lock-extend" "lock_extend.lua"
    Unlock "unlock" "unlock.lua"
    Nodes "nodes" "nodes.lua"
    BuryNodes "bury-nodes" "bury_nodes.lua"
    Sweep "sweep" "sweep.lua"
    Forget "forget" "forget.lua"
    Strays "strays" "strays.lua"
    SweepStrays "sweep-strays" "sweep_strays.lua"
    NoteSweep "note-sweep" "note_sweep.lua"
    FenceRead "fence-read" "fence_read.lua"
    Overrule "overrule" "overrule.lua"
}

/// The name of what is no script.
pub(super) const PLAIN: &str = "plain";

/// The names of all steps, as an [`Observer`](crate::Observer) hears them.
pub const STEPS: [&str; Step::ALL.len() + 1] = {
    let mut names = [PLAIN; Step::ALL.len() + 1];
    let mut at = 0;
    while at < Step::ALL.len() {
        names[at] = Step::ALL[at].label();
        at += 1;
    }
    names
};

/// The text of `step`, with its names and bounds filled in.
pub(super) fn text(step: Step, log_floor: usize, log_per_task: usize) -> String {
    let retention = RETENTION.as_secs();
    let names = [
        ("meta", keys::META_PREFIX.to_owned()),
        ("log", keys::LOG_PREFIX.to_owned()),
        ("tasks", keys::TASKS_PREFIX.to_owned()),
        ("connections", keys::CONNECTIONS_PREFIX.to_owned()),
        ("alias", keys::ALIAS_PREFIX.to_owned()),
        ("seen", keys::SEEN_PREFIX.to_owned()),
        ("state", keys::STATE_PREFIX.to_owned()),
        ("rows", keys::ROWS_PREFIX.to_owned()),
        ("accepted", keys::ACCEPTED_PREFIX.to_owned()),
        ("waiting", keys::WAITING_PREFIX.to_owned()),
        ("body", keys::BODY_PREFIX.to_owned()),
        ("claims", keys::CLAIMS_PREFIX.to_owned()),
        ("idle", keys::IDLE_PREFIX.to_owned()),
        ("held", keys::HELD_PREFIX.to_owned()),
        ("lines", keys::LINES_PREFIX.to_owned()),
        ("lines_remembered", LINES_REMEMBERED.as_secs().to_string()),
        ("named", NAMED_KEPT.to_string()),
        ("health", keys::HEALTH_PREFIX.to_owned()),
        ("dead", keys::DEAD_PREFIX.to_owned()),
        ("nodes", keys::NODES_PREFIX.to_owned()),
        ("fence", keys::FENCE_PREFIX.to_owned()),
        ("sweep", keys::SWEEP_PREFIX.to_owned()),
        ("lease", keys::LEASE_PREFIX.to_owned()),
        ("lock", keys::LOCK_PREFIX.to_owned()),
        ("lock_fence", keys::LOCK_FENCE_PREFIX.to_owned()),
        ("channel", keys::POD_CHANNEL_PREFIX.to_owned()),
        ("ttl", retention.to_string()),
        ("fresh", (retention - FRESH_FOR).to_string()),
        ("tombstone", TOMBSTONE.as_secs().to_string()),
        ("fence_life", FENCE.as_secs().to_string()),
        // What the tests must notice; see Cargo.toml.
        ("bug_plain_del", cfg!(feature = "bug-plain-del").to_string()),
        ("bug_no_tombstone", cfg!(feature = "bug-no-tombstone").to_string()),
        ("bug_blind_renewal", cfg!(feature = "bug-blind-renewal").to_string()),
        ("bug_early_ack", cfg!(feature = "bug-early-ack").to_string()),
        ("floor", log_floor.to_string()),
        ("per_task", log_per_task.to_string()),
    ];
    let shared = match step {
        Step::Emit => vec![],
        Step::BuryNodes
        | Step::HandOver
        | Step::Sweep
        | Step::Forget
        | Step::SweepStrays
        | Step::NoteSweep => vec![PRELUDE, FENCES],
        _ => vec![PRELUDE],
    };
    let unfilled = shared.concat() + step.source();
    names.iter().fold(unfilled, |text, (name, value)| text.replace(&format!("@{name}@"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_filled_in_and_every_step_has_its_place() {
        for (at, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, at);
            let text = text(step, 12, 8);
            assert!(!text.contains('@'), "{step:?}: {text}");
        }
    }
}
