//! Everything the crate promises, checked from outside.

mod vectors;
