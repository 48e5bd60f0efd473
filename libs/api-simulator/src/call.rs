//! A request, understood: what is wanted of which objects.

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header};

use crate::{failure::Failure, object::Place, resources::Resources, select::Selector};

/// What is done, in the words of RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// One object is read.
    Get,
    /// Many are.
    List,
    /// What happens to them is told.
    Watch,
    /// One is made.
    Create,
    /// One is replaced.
    Update,
    /// One is changed, or applied.
    Patch,
    /// One is deleted.
    Delete,
}

impl Verb {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    /// Whether it can change anything.
    pub fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

impl std::fmt::Display for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a patch is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patch {
    Apply,
    Merge,
}

/// What came behind the question mark.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the address")]
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) selector: Selector,
    pub(crate) limit: Option<usize>,
    pub(crate) next: Option<String>,
    pub(crate) revision: String,
    pub(crate) exact: bool,
    pub(crate) timeout: Option<u64>,
    pub(crate) bookmarks: bool,
    pub(crate) dry_run: bool,
    pub(crate) manager: String,
    pub(crate) force: bool,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) verb: Verb,
    pub(crate) kind: usize,
    /// Whether it is about the status alone.
    pub(crate) status: bool,
    /// Where; the namespace is empty for all of them, and the name where many are meant or one that is not there yet.
    pub(crate) place: Place,
    pub(crate) query: Query,
    pub(crate) patch: Patch,
    /// Whether only metadata is wanted.
    pub(crate) metadata_only: bool,
    pub(crate) body: Bytes,
}

impl Call {
    /// Understands a request.
    pub(crate) fn parse(
        resources: &Resources,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Self, Failure> {
        let (kind, namespace, name, subresource) =
            path(resources, uri.path()).ok_or_else(Failure::no_such_path)?;
        let status = match subresource.as_deref() {
            None => false,
            Some("status") if resources.all()[kind].status => true,
            Some(_) => return Err(Failure::no_such_path()),
        };
        let mut watch = false;
        let query = query(uri.query().unwrap_or_default(), headers, &mut watch)?;
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let verb = match (method, name.is_empty()) {
            (&Method::GET, false) => Verb::Get,
            (&Method::GET, true) if watch => Verb::Watch,
            (&Method::GET, true) => Verb::List,
            (&Method::POST, true) if !namespace.is_empty() => Verb::Create,
            (&Method::PUT, false) => Verb::Update,
            (&Method::PATCH, false) => Verb::Patch,
            (&Method::DELETE, false) if !status => Verb::Delete,
            _ => {
                let message = "the server does not allow this method on the requested resource";
                return Err(Failure::new(405, "MethodNotAllowed", message));
            }
        };
        let patch = match text(header::CONTENT_TYPE).split(';').next().unwrap_or_default() {
            "application/apply-patch+yaml" => Patch::Apply,
            "application/merge-patch+json" => Patch::Merge,
            other if verb == Verb::Patch => {
                let message = format!("the body of the request was in an unknown format: {other}");
                return Err(Failure::new(415, "UnsupportedMediaType", message));
            }
            _ => Patch::Merge,
        };
        let metadata_only = text(header::ACCEPT).contains("as=PartialObjectMetadata");
        let place = Place::new(&namespace, &name);
        Ok(Self { verb, kind, status, place, query, patch, metadata_only, body })
    }
}

/// `/apis/apps/v1/namespaces/funds/deployments/one/status`: the kind, `funds`, `one`, `status`.
fn path(resources: &Resources, path: &str) -> Option<(usize, String, String, Option<String>)> {
    let decoded = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
    let mut parts = path.trim_matches('/').split('/').map(decoded).collect::<Vec<_>>().into_iter();
    let group = match parts.next()?.as_str() {
        "api" => String::new(),
        "apis" => parts.next()?,
        _ => return None,
    };
    let version = parts.next()?;
    let mut plural = parts.next()?;
    let mut namespace = String::new();
    if plural == "namespaces" {
        namespace = parts.next()?;
        plural = parts.next()?;
    }
    let kind = resources.of_path(&group, &version, &plural)?;
    let name = parts.next().unwrap_or_default();
    // An object is in a namespace, and all of them have none.
    if namespace.is_empty() && !name.is_empty() {
        return None;
    }
    Some((kind, namespace, name, parts.next()))
}

fn query(text: &str, headers: &HeaderMap, watch: &mut bool) -> Result<Query, Failure> {
    let mut query = Query::default();
    let (mut labels, mut fields) = (String::new(), String::new());
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let yes = value == "true" || value == "1";
        match &*name {
            "labelSelector" => labels = value.into_owned(),
            "fieldSelector" => fields = value.into_owned(),
            "limit" => query.limit = value.parse().ok().filter(|limit| *limit > 0),
            "continue" => query.next = Some(value.into_owned()).filter(|next| !next.is_empty()),
            "resourceVersion" => query.revision = value.into_owned(),
            "resourceVersionMatch" => query.exact = value == "Exact",
            "timeoutSeconds" => query.timeout = value.parse().ok(),
            "allowWatchBookmarks" => query.bookmarks = yes,
            "dryRun" => query.dry_run = true,
            "fieldManager" => query.manager = value.into_owned(),
            "force" => query.force = yes,
            "watch" => *watch = yes,
            "sendInitialEvents" if yes => {
                let message =
                    "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
                return Err(Failure::bad_request(message));
            }
            _ => {}
        }
    }
    query.selector = Selector::parse(&labels, &fields)?;
    if query.manager.is_empty() {
        // The first word of the agent, as the server takes it.
        let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        agent.split('/').next().unwrap_or_default().clone_into(&mut query.manager);
    }
    Ok(query)
}
