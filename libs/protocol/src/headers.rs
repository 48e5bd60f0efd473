//! Header and query names. Lower case, as HTTP libraries compare them.

/// Chooses the cluster at the main gateway.
pub const X_CLUSTER_ROUTE: &str = "x-cluster-route";
/// The same header as people write it: for messages and documents.
pub const X_CLUSTER_ROUTE_DISPLAY: &str = "X-Cluster-Route";
/// Query twin of the route header: a browser's `EventSource` cannot set headers.
pub const QUERY_CLUSTER: &str = "cluster";
/// Names the cluster and, once one was reached, the pod that answered: `cluster1` or `cluster1/pod-a-9090`.
pub const X_ROUTED_TO: &str = "x-routed-to";
/// Names one request on every hop, in every log line and in every problem's `instance`.
pub const X_REQUEST_ID: &str = "x-request-id";
/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";
/// Where a client's reading ended.
pub const LAST_EVENT_ID: &str = "last-event-id";
/// Query twin of [`LAST_EVENT_ID`]; the header wins.
pub const QUERY_LAST_EVENT_ID: &str = "lastEventId";
/// The display id of the pod that answered, set by the pod; the cluster proxy puts it into [`X_ROUTED_TO`].
pub const X_POD_ID: &str = "x-pod-id";
/// The original client, as the outermost trusted hop saw it.
pub const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// The scheme the client used.
pub const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
/// The host the client asked for.
pub const X_FORWARDED_HOST: &str = "x-forwarded-host";
/// The client address in the form nginx made common.
pub const X_REAL_IP: &str = "x-real-ip";
/// RFC 7239.
pub const FORWARDED: &str = "forwarded";
/// Whom a request is for. A hint for routing; with `auth.mode: jwt` it is set from the verified token.
pub const USER_ID: &str = "user-id";
/// Says what a request does where its method does not: [`WRITE`] is one that changes something.
pub const OPERATION_TYPE: &str = "operation-type";
/// See [`OPERATION_TYPE`]; upper and lower case are the same.
pub const WRITE: &str = "write";
/// Tells nginx-like proxies not to buffer a stream.
pub const X_ACCEL_BUFFERING: &str = "x-accel-buffering";

/// Media type of a stream.
pub const EVENT_STREAM: &str = "text/event-stream";
/// Media type of an error.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// Media type of events for users, one JSON object a line, sent as they arise.
pub const NDJSON: &str = "application/x-ndjson";
/// Media type of everything else.
pub const JSON: &str = "application/json";

/// What a page of another origin may read of an answer's headers, beside those that browsers always show.
pub const EXPOSED: &str = "x-request-id, x-routed-to, retry-after";
