//! The operator against API servers: a real one, and a simulated one with every kind of trouble.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod server;
