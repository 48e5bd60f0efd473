//! Which routes are applied, for whoever waits for it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, header};
use serde::{Serialize, Serializer};

use crate::{decide::RouteTable, gateway::Gateway};

/// The routes of the table; nothing but a word where the one who asks has heard of just these.
pub(super) async fn applied(State(gateway): State<Arc<Gateway>>, asked: HeaderMap) -> Response {
    let live = gateway.live.load_full();
    let tag = &live.applied_tag;
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|known| known == tag);
    let headers = [(header::ETAG, tag.clone())];
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, Json(View { routes: Generations(&live.table), refused: live.table.refused() })).into_response()
}

/// [`AppliedRoutes`](fundbond_protocol::api::AppliedRoutes) as it lies in a table.
#[derive(Serialize)]
struct View<'a> {
    routes: Generations<'a>,
    refused: &'a BTreeMap<String, String>,
}

struct Generations<'a>(&'a RouteTable);

impl Serialize for Generations<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let origins = self.0.routes().iter().filter_map(|route| route.origin.as_ref());
        serializer.collect_map(origins.map(|origin| (&*origin.object, origin.generation)))
    }
}
