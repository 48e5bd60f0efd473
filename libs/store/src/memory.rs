//! (in progress)
/// The in-memory twin.
#[derive(Debug, Default)]
pub struct MemoryStore;
