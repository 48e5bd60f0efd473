//! Who has what no two routes may both have. Pure.

use std::collections::HashMap;

use super::Key;
use crate::{decide::Route, route_file::RouteFileError};

/// What routes that are in the table already have.
pub(super) struct Taken<'a> {
    values: HashMap<(&'a str, &'a str), &'a Key>,
    names: HashMap<&'a str, &'a Key>,
    default: Option<&'a Key>,
}

impl<'a> Taken<'a> {
    /// For so many routes.
    pub(super) fn of(routes: usize) -> Self {
        Self { values: HashMap::with_capacity(routes), names: HashMap::with_capacity(routes), default: None }
    }

    /// Gives a route all that it wants, or nothing where somebody has a part of it.
    pub(super) fn take(&mut self, key: &'a Key, route: &'a Route) -> Result<(), RouteFileError> {
        let older = |older: &Key, what: String| {
            Err(RouteFileError::Shape(format!("{what} is that of {older}, which is older")))
        };
        let value = (route.header.as_str(), &*route.value);
        if let Some(other) = self.values.get(&value) {
            return older(other, format!("match `{}: {}`", value.0, value.1));
        }
        if let Some(other) = self.names.get(&*route.name) {
            return older(other, format!("the name {:?}", route.name));
        }
        if let Some(other) = self.default.filter(|_| route.default) {
            return older(other, "the default".to_owned());
        }
        self.values.insert(value, key);
        self.names.insert(&route.name, key);
        if route.default {
            self.default = Some(key);
        }
        Ok(())
    }
}
