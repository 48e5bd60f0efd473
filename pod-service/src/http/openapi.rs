//! `GET /api/openapi.json`: what is served, said by the code that serves it.
//!
//! Paths, parameters and bodies stand with their handlers; here is what all of them share: the errors, the headers,
//! and the parts of schemas that follow from how kinds of work are put together.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use fundbond_protocol::{
    ConnectionId, Problem, TaskEvent, TaskId,
    api::{OPENAPI_PATH, OpenStream},
    headers::{
        JSON, PROBLEM_JSON, QUERY_CLUSTER, X_CLUSTER_ROUTE_DISPLAY, X_POD_ID, X_REQUEST_ID, X_ROUTED_TO,
    },
};
use serde_json::{Value, json};
use utoipa::{
    IntoResponses, PartialSchema, ToSchema,
    openapi::{
        self, Content, ContentBuilder, HeaderBuilder, InfoBuilder, LicenseBuilder, ObjectBuilder,
        OneOfBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder, Schema,
        example::ExampleBuilder,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        schema::{AnyOfBuilder, Components, Object, Type},
    },
};

use super::{
    error::{ApiError, Kind, RETRY_AFTER},
    extract::Query,
};
use crate::work::{portfolio, steps};

/// What the whole document says first.
const DESCRIPTION: &str = "\
Starts fund calculations and streams what they find. Through the gateway a request names its cluster by the header \
`X-Cluster-Route` or the query parameter `cluster`.

Every error is `application/problem+json` (RFC 9457); `type` ends in a word that programs can switch on, `instance` \
repeats `x-request-id`, `errors` names the fields to blame. Besides the errors listed with each call: 404 \
`no-such-path`, 405 `method-not-allowed` with `Allow`, and the gateway's own.";

/// The document before any route was added to it.
pub fn base() -> OpenApi {
    let license = LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).build();
    let info = InfoBuilder::new()
        .title("Fundbond")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license))
        .build();
    OpenApiBuilder::new().info(info).build()
}

/// Adds to what the routes say of themselves what all of them share.
pub fn complete(mut document: OpenApi) -> OpenApi {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.head, &mut item.post, &mut item.put, &mut item.delete];
        operations.into_iter().flatten().for_each(complete_operation);
    }
    complete_schemas(document.components.get_or_insert_default());
    document
}

fn complete_operation(operation: &mut Operation) {
    let parameters = operation.parameters.get_or_insert_default();
    let cluster = "Which cluster answers, through the gateway; a pod ignores it.";
    parameters.push(parameter(X_CLUSTER_ROUTE_DISPLAY, ParameterIn::Header, cluster).into());
    parameters.push(parameter(QUERY_CLUSTER, ParameterIn::Query, cluster).into());
    let request_id = "Names the request in logs and answers; anything but an id is replaced by a new one.";
    parameters.push(parameter(X_REQUEST_ID, ParameterIn::Header, request_id).into());
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(response) = response else { continue };
        for (name, description) in [
            (X_REQUEST_ID, "Names the request: the caller's id, or a new one."),
            (X_POD_ID, "The pod that answered."),
            (
                X_ROUTED_TO,
                "Through the gateway: `cluster1/pod-a-9090`, or `cluster1` where no pod was reached.",
            ),
        ] {
            response.headers.insert(name.to_owned(), text_header(description).into());
        }
    }
}

fn parameter(name: &str, place: ParameterIn, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn text_header(description: &str) -> openapi::Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .description(Some(description))
        .build()
}

fn complete_schemas(components: &mut Components) {
    let mut found = Vec::new();
    for add in [Problem::schemas, TaskEvent::schemas, portfolio::ValuationResult::schemas] {
        add(&mut found);
    }
    found.extend([
        (Problem::name().into_owned(), Problem::schema()),
        (TaskEvent::name().into_owned(), TaskEvent::schema()),
        (portfolio::ValuationResult::name().into_owned(), portfolio::ValuationResult::schema()),
        (portfolio::ChunkSummary::name().into_owned(), portfolio::ChunkSummary::schema()),
        (steps::Counted::name().into_owned(), steps::Counted::schema()),
    ]);
    components.schemas.extend(found);
    let name = |text: std::borrow::Cow<'static, str>| Ref::from_schema_name(text);
    let result: RefOr<Schema> = AnyOfBuilder::new()
        .item(name(portfolio::ValuationResult::name()))
        .item(name(portfolio::ChunkSummary::name()))
        .item(name(steps::Counted::name()))
        .item(ObjectBuilder::new().schema_type(openapi::schema::SchemaType::AnyValue))
        .description(Some(
            "What was found out, by kind of task and event; anything at all from a foreign publisher.",
        ))
        .into();
    for schema in ["TaskEvent", "TaskView"] {
        if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(schema) {
            object.properties.insert("result".to_owned(), result.clone());
        }
    }
}

/// The body of `POST /api/fund-api`: the fields of one kind of work, and those that address the task.
pub struct TaskRequest;

impl PartialSchema for TaskRequest {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(start_of::<fundbond_bonds::PortfolioRequest>(portfolio::KIND, false))
            .item(start_of::<steps::StepsRequest>(steps::KIND, true))
            .description(Some(
                "A task of one kind; without `kind` it is `portfolio-valuation`. The id is its own for ever.",
            ))
            .into()
    }
}

impl ToSchema for TaskRequest {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        fundbond_bonds::PortfolioRequest::schemas(schemas);
        schemas.extend([
            (TaskId::name().into_owned(), TaskId::schema()),
            (ConnectionId::name().into_owned(), ConnectionId::schema()),
        ]);
    }
}

fn start_of<Fields: PartialSchema>(kind: &str, must_name_kind: bool) -> Object {
    let RefOr::T(Schema::Object(mut fields)) = Fields::schema() else {
        unreachable!("a request is an object of fields")
    };
    fields.title = Some(kind.to_owned());
    let name = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([kind]));
    fields.properties.insert("kind".to_owned(), name.into());
    fields.properties.insert("correlationId".to_owned(), Ref::from_schema_name(TaskId::name()).into());
    let mut connection = Ref::from_schema_name(ConnectionId::name());
    "The stream of its events; else the id up to a last `-fund-<n>` or `-bond-<n>`, else the id itself."
        .clone_into(&mut connection.description);
    fields.properties.insert("connectionId".to_owned(), connection.into());
    fields.required.insert(0, "correlationId".to_owned());
    if must_name_kind {
        fields.required.push("kind".to_owned());
    }
    fields
}

/// The body of `POST /api/fund-events`, under both names of its id.
pub struct OpenByEitherName;

impl PartialSchema for OpenByEitherName {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(by_connection)) = OpenStream::schema() else {
            unreachable!("a request is an object of fields")
        };
        let mut by_correlation = by_connection.clone();
        if let Some(id) = by_correlation.properties.remove("connectionId") {
            by_correlation.properties.insert("correlationId".to_owned(), id);
        }
        by_correlation.required = vec!["correlationId".to_owned()];
        OneOfBuilder::new().item(by_connection).item(by_correlation).into()
    }
}

impl ToSchema for OpenByEitherName {
    fn name() -> std::borrow::Cow<'static, str> {
        OpenStream::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        OpenStream::schemas(schemas);
    }
}

macro_rules! errors {
    ($(#[$doc:meta])* $name:ident: $($kind:ident)*) => {
        $(#[$doc])*
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
                problems(&[$(Kind::$kind),*])
            }
        }
    };
}

errors! {
    /// Of every call.
    AnyError: INVALID INTERNAL
}
errors! {
    /// Of opening a stream, which never answers 503: that would end an `EventSource` for good.
    StreamErrors: NOT_ACCEPTABLE INVALID INTERNAL
}
errors! {
    /// Of opening a stream with a body.
    StreamBodyErrors: NOT_JSON BODY NOT_ACCEPTABLE STALLED TOO_LARGE MEDIA_TYPE INVALID INTERNAL
}
errors! {
    /// Of starting a task.
    StartErrors: NOT_JSON BODY STALLED CONFLICT TOO_LARGE MEDIA_TYPE INVALID INTERNAL DRAINING QUEUE_FULL CROWDED STORE
}
errors! {
    /// Of sending to people.
    SendErrors: NOT_JSON BODY STALLED TOO_LARGE MEDIA_TYPE INVALID INTERNAL STORE
}
errors! {
    /// Of reading what the store has.
    ReadErrors: INVALID INTERNAL STORE
}
errors! {
    /// Of calls about one task.
    TaskErrors: NO_TASK INVALID INTERNAL STORE
}
errors! {
    /// Of calls about the rows of one task.
    RowErrors: NO_TASK NO_ROWS INVALID INTERNAL STORE
}

/// One response a status, with an example of each kind of error it stands for.
fn problems(kinds: &[Kind]) -> BTreeMap<String, RefOr<openapi::Response>> {
    let mut by_status: BTreeMap<String, Vec<&Kind>> = BTreeMap::new();
    for kind in kinds {
        by_status.entry(kind.status.as_str().to_owned()).or_default().push(kind);
    }
    by_status.into_iter().map(|(status, kinds)| (status, problem(&kinds).into())).collect()
}

fn problem(kinds: &[&Kind]) -> openapi::Response {
    let examples = kinds.iter().map(|kind| {
        let problem =
            Problem::new(kind.status.as_u16(), kind.slug, kind.title, kind.title).with_instance("r-1");
        (kind.slug, ExampleBuilder::new().value(Some(json!(problem))).build())
    });
    let content: Content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .examples_from_iter(examples)
        .build();
    let names: Vec<String> = kinds.iter().map(|kind| format!("`{}`", kind.slug)).collect();
    let response = ResponseBuilder::new().description(names.join(", ")).content(PROBLEM_JSON, content);
    if kinds.iter().any(|kind| kind.is_retryable()) {
        let description = format!("Seconds after which to try again: {RETRY_AFTER}.");
        response.header(header::RETRY_AFTER.as_str(), text_header(&description)).build()
    } else {
        response.build()
    }
}

/// An example request, for the document.
pub fn start_example() -> Value {
    json!({
        "correlationId": "desk7-fund-1",
        "valuationDate": "2026-06-15",
        "settlementDays": 2,
        "holdings": [{
            "instrument": {
                "id": "NOTE-3.875-2028-05", "type": "fixed", "datedDate": "2025-05-15",
                "maturityDate": "2028-05-15", "couponRate": 0.03875, "frequency": 2, "dayCount": "ACT/ACT ICMA"
            },
            "face": 2_500_000,
            "quote": {"cleanPrice": 100.21875}
        }],
        "cash": "125000.50",
        "unitsOutstanding": 20_000,
        "shocksBp": [-100, 100],
        "limits": [{"kind": "maxModifiedDuration", "value": 5}]
    })
}

/// The document as it is served: the same for every pod of one build.
static DOCUMENT: LazyLock<Result<Bytes, String>> =
    LazyLock::new(|| super::document().to_json().map(Bytes::from).map_err(|error| error.to_string()));

/// This document.
#[utoipa::path(
    get,
    path = OPENAPI_PATH,
    tag = "about",
    operation_id = "readOpenApi",
    responses((status = 200, description = "OpenAPI 3.1", body = Object), AnyError)
)]
pub async fn serve(request: Request) -> Result<Response, ApiError> {
    Query::of(request.uri(), &[QUERY_CLUSTER])?;
    let document = DOCUMENT.clone().map_err(|error| ApiError::Internal(format!("the document: {error}")))?;
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, HeaderValue::from_static(JSON))], document).into_response())
}
