//! Everything the crate promises, checked from outside.

mod errors;
mod portfolio;
mod properties;
mod vectors;
