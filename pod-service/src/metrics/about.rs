//! What a reader must know of each metric.

use fundbond_service_runtime::metrics::{About, Described, labelled, plain};

const STATUS: (&str, &str) = ("status", "a status of ours, or OTHER for those of other publishers");
const STEP: (&str, &str) = ("step", "a step of the store; `plain` for commands that are no script");

pub const STREAM_OPENS: About = labelled(
    "fund_stream_opens",
    "Stream requests by what the client got",
    &[(
        "outcome",
        "`start` of the log, `resumed` where the client left off, `reset` as that is gone, `done` as nothing will ever \
         come, `replaced`, `late` as a newer request came first, `shed` as the pod is full or drains, `failed` as the store is away",
    )],
);
pub const STREAM_ENDS: About = labelled(
    "fund_stream_ends",
    "Ended streams by reason",
    &[(
        "reason",
        "finished, replaced, closed, draining, `slow` as the client stopped reading, or client-left",
    )],
);
pub const STREAM_CATCH_UPS: About =
    plain("fund_stream_catch_ups", "Log pages read by streams that were behind");
pub const STREAM_RESETS: About = plain("fund_stream_resets", "Live streams told that history is gone");
pub const EVENTS_WRITTEN: About =
    labelled("fund_events_written", "Live events written to streams, by status", &[STATUS]);
pub const EVENT_LAG: About = plain(
    "fund_event_lag_seconds",
    "From the time in an event of a pod to its being written to its stream, with the difference of both clocks; of events \
     that arrive together the first is measured",
);
pub const FOREIGN_EVENTS: About = labelled(
    "fund_foreign_events",
    "Events of other publishers that were this pod's to take, by what became of them",
    &[("outcome", "logged, duplicate, after-final, not-held, dropped or failed")],
);
pub const FOREIGN_UNUSABLE: About = labelled(
    "fund_foreign_unusable",
    "Messages of other publishers that cannot become events, by what is wrong",
    &[("reason", "too-large, not-json, missing-field or bad-field")],
);
pub const USER_EVENTS: About = labelled(
    "fund_user_events",
    "Events for users that this pod took, repeated ones included",
    &[("delivery", "`local` or `remote` by the pod that holds the stream, `offline` where nobody does")],
);
pub const BUS_GAPS: About =
    plain("fund_bus_gaps", "Times messages from the store were or may have been missed");
pub const RENEWALS: About = plain("fund_pod_renewals", "Times the pod was declared dead and took a new id");
pub const TASKS_ACCEPTED: About = labelled(
    "fund_tasks_accepted",
    "Accepted tasks",
    &[("outcome", "`new`, or `repeated` where the same request came again")],
);
pub const TASKS_RUNNING: About = plain("fund_tasks_running", "Tasks running now");
pub const TASKS_WAITING: About =
    plain("fund_tasks_waiting", "Tasks accepted by this pod that nobody is known to run yet");
pub const TASK_RUNS_LEFT: About = plain(
    "fund_task_runs_left",
    "Runs that ended before their task, which goes on elsewhere: given back by a pod that drains, or run by another pod",
);
pub const TASK_SECONDS: About = labelled(
    "fund_task_duration_seconds",
    "From accepted to final event",
    &[("kind", "portfolio-valuation, steps, or other"), ("status", "COMPLETED, FAILED or CANCELLED")],
);
pub const HTTP_REQUESTS: About = labelled(
    "fund_http_requests",
    "Answered requests",
    &[
        ("route", "the pattern of the path, or `none`"),
        ("method", "GET, POST, PUT, DELETE, HEAD, OPTIONS, PATCH or OTHER"),
        ("class", "1xx to 5xx"),
    ],
);

pub const LIVE_SETTINGS: About = labelled(
    "fund_live_settings_changes",
    "Edits of the file of live settings",
    &[("outcome", "`applied`, or `refused` where it cannot be read or understood")],
);
pub const STORE_STEPS: About = labelled(
    "fund_store_steps",
    "Steps of the store on a Redis, by how they went",
    &[STEP, ("outcome", "`done`, `unreachable`, or `contract` where the answer made no sense")],
);
pub const STORE_STEP_SECONDS: About = labelled(
    "fund_store_step_duration_seconds",
    "Time to the answer of a step; steps that went in one write took as long as the write",
    &[STEP],
);
pub const STORE_CONNECTS: About =
    plain("fund_store_connects", "Connections made to the Redis for steps, the first included");
pub const STORE_DISCONNECTS: About =
    plain("fund_store_disconnects", "Connections to the Redis that broke or were given up");
pub const STORE_RESUBSCRIPTIONS: About =
    plain("fund_store_resubscriptions", "Times the subscription to the Redis had broken and was made again");

pub const LOCK_CONTENTIONS: About =
    plain("fund_lock_contentions", "Times a lock of the store was asked for while somebody had it");

pub const SWEEP_LEADS: About = plain("fund_sweep_leads", "1 while this pod leads its cluster's housekeeping");
pub const SWEEP_BREAKER: About = plain(
    "fund_sweep_breaker_open",
    "1 while this pod leads and buries nobody, as what looks dead may be a mistake",
);
pub const SWEEPS: About = labelled(
    "fund_sweeps",
    "Looks at the cluster's nodes",
    &[("outcome", "`done`, `waited` as the breaker was open, `late` as this pod leads no more, or `failed`")],
);
pub const SWEEP_SECONDS: About = plain("fund_sweep_duration_seconds", "Time that a sweep took");
pub const SWEEP_BURIED: About = plain("fund_sweep_buried_pods", "Pods declared dead");
pub const SWEEP_FORGOTTEN: About =
    plain("fund_sweep_forgotten_pods", "Dead pods of which nothing is left in the store");
pub const SWEEP_TASKS: About =
    plain("fund_sweep_handed_over_tasks", "Tasks of dead pods that others were given to run");
pub const SWEEP_REGISTRATIONS: About =
    plain("fund_sweep_deleted_registrations", "Registrations of dead pods that were deleted");
pub const SWEEP_STRAYS: About =
    plain("fund_sweep_deleted_strays", "Registrations of nobody that were deleted");

pub const STREAMS_OPEN: About = plain("fund_streams_open", "Open streams");
pub const STREAM_QUEUE_BYTES: About =
    plain("fund_stream_queue_bytes", "Bytes that wait for the clients of all open streams together");

/// What is read at each scrape.
pub const COLLECTED: [Described; 2] = [
    Described { about: STREAMS_OPEN, kind: "gauge" },
    Described { about: STREAM_QUEUE_BYTES, kind: "gauge" },
];
