//! What a JSON log line may say. The reference page of logs is made from this, and `cargo xtask tidy` holds every
//! line of the code to it.

/// A field of log lines.
#[derive(Clone, Copy, Debug)]
pub struct LogField {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

const fn field(name: &'static str, meaning: &'static str) -> LogField {
    LogField { name, meaning }
}

/// What every reader may count on: the first three are in each line, the others where they apply.
pub const COMMON: [LogField; 9] = [
    field("level", "`error`, `warn`, `info`, `debug` or `trace`"),
    field("ts", "when, RFC 3339 in UTC with microseconds"),
    field("msg", "what happened; the same words each time, so that lines can be counted by them"),
    field(
        "traceId",
        "the trace of the request, 32 hexadecimal digits, the same on every hop and in the run of a task",
    ),
    field("correlationId", "the task"),
    field("userId", "who opened the stream, where the client said so"),
    field("tradeId", "the trade, in lines about one"),
    field("symbol", "the instrument, in lines about one"),
    field("error", "what went wrong, with all its causes, parted by `: `"),
];

/// What lines say beyond that.
pub const MORE: [LogField; 50] = [
    field("target", "the part of the program that speaks; `--log` filters by it"),
    field("address", "where something listens or connects to"),
    field("admin", "where probes and metrics are"),
    field("backtrace", "where a panic came from, with `RUST_BACKTRACE=1`"),
    field("bytesIn", "bytes of the request body"),
    field("bytesOut", "bytes of the answer"),
    field("client", "the address of who asks; behind trusted proxies as they tell it"),
    field("cluster", "the cluster"),
    field("condition", "a condition of readiness"),
    field("connectionId", "the stream"),
    field("connections", "how many connections"),
    field("dead", "the pod id that was declared dead"),
    field("deaths", "how many pods died while they ran the task"),
    field("end", "how a request ended: `complete`, the problem it was answered with, or who broke off"),
    field("endpoint", "the endpoint of a route"),
    field("endpoints", "endpoints, by name or by number"),
    field("events", "how many events"),
    field("failures", "failures in a row so far"),
    field("generation", "the generation of the route table"),
    field("holder", "the candidate for a lease"),
    field("lease", "a lease in Kubernetes, with its namespace"),
    field("kind", "the kind of task, or of problem"),
    field("location", "file and line of a panic"),
    field("method", "the HTTP method"),
    field("millis", "how long, in milliseconds"),
    field("name", "the name of an endpoint"),
    field("new", "the pod id that takes its place"),
    field("path", "the path of a request, without its query; or of a file"),
    field("peer", "the address of the client"),
    field("pod", "the pod id"),
    field("pollSeconds", "how often a file is looked at, in seconds"),
    field("program", "which program"),
    field("ready", "whether an endpoint takes requests"),
    field("requestId", "the request, as in `x-request-id` and in a problem's `instance`"),
    field("route", "the route"),
    field("routes", "how many routes"),
    field("run", "the life of the Redis server"),
    field("seconds", "how long, in seconds"),
    field("settings", "the settings that hold from now on"),
    field("signal", "the signal"),
    field("standing", "how a condition of readiness stands: ok, degraded or failing"),
    field("state", "what the breaker of an endpoint came to"),
    field("status", "the status of an answer, or of a final event"),
    field("streams", "how many streams"),
    field("suppressed", "how many such lines were not written since the last one"),
    field("system", "which system opened the stream, where the client said so"),
    field("tasks", "how many tasks"),
    field("token", "which leadership: greater than every one before"),
    field("what", "the step that failed"),
    field("why", "the reason, where it is no error"),
];
