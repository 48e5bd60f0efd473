//! Which routes a gateway has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Path of the routes that are applied, on the admin port. Its answer has an `ETag`, so that who asks often is told
/// only what is new.
pub const APPLIED_ROUTES_PATH: &str = "/routes/applied";

/// Answer of `GET /routes/applied`. Routes are named by their objects: `namespace/name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppliedRoutes {
    /// The generation of each route that requests are sent by.
    pub routes: BTreeMap<String, i64>,
    /// The routes that are not as they are asked for, each with the reason. One that was good before is above as well.
    pub refused: BTreeMap<String, String>,
}
