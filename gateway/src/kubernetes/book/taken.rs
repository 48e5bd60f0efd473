//! Who has what no two routes may both have. Pure.

use std::collections::HashMap;

use fundbond_crds::claim::{Claim, claims};

use super::Key;
use crate::{decide::Route, route_file::RouteFileError};

/// What routes that are in the table already have.
pub(super) struct Taken<'a>(HashMap<Claim<&'a str>, &'a Key>);

impl<'a> Taken<'a> {
    /// For so many routes.
    pub(super) fn of(routes: usize) -> Self {
        Self(HashMap::with_capacity(routes))
    }

    /// Gives a route all that it wants, or nothing where somebody has a part of it.
    pub(super) fn take(&mut self, key: &'a Key, route: &'a Route) -> Result<(), RouteFileError> {
        let wanted = || claims(Some(&*route.value), route.default);
        if let Some((claim, older)) = wanted().find_map(|claim| Some((claim, self.0.get(&claim)?))) {
            return Err(RouteFileError::Shape(format!("{claim} is that of {older}, which is older")));
        }
        self.0.extend(wanted().map(|claim| (claim, key)));
        Ok(())
    }
}
