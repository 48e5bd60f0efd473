//! The operator against API servers: a real one, and a simulated one with every kind of trouble.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod clusters;
mod many;
mod reference;
mod server;
mod simulated;

/// A number that a person may make greater.
pub(crate) fn size(variable: &str, usual: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text:?} is not a number")),
        Err(_) => usual,
    }
}
