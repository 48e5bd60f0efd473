//! What can go wrong, as data.

use std::{net::SocketAddr, num::NonZeroU64, path::PathBuf, time::Duration};

/// Where connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// A TCP server.
    Tcp(SocketAddr),
    /// A server on a socket in the file system.
    Unix(PathBuf),
}

/// Which connections are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Every one.
    All,
    /// Those whose client has sent the mark.
    Marked,
    /// Those whose client has not (yet).
    Unmarked,
}

impl Which {
    pub(crate) fn includes(self, marked: bool) -> bool {
        match self {
            Self::All => true,
            Self::Marked => marked,
            Self::Unmarked => !marked,
        }
    }
}

/// What becomes of the bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carry {
    /// They arrive.
    #[default]
    Pass,
    /// They wait until the weather changes, and then arrive: a partition that TCP outlives by repeating.
    Hold,
    /// They are taken and vanish, and so does the end of the conversation: a half-open connection. What a connection
    /// lost it never makes up for: it stays silent in this direction also when the weather is fine again.
    Swallow,
}

/// How the bytes of one direction travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Whether they arrive.
    pub carry: Carry,
    /// How much later.
    pub latency: Duration,
    /// At most how many a second; none for as fast as it goes.
    pub bytes_per_second: Option<NonZeroU64>,
}

/// How bytes travel on a connection. The default is a network in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// From the client to the server.
    pub to_server: Flow,
    /// And back.
    pub to_client: Flow,
}

impl Weather {
    /// The same flow both ways.
    pub fn both(flow: Flow) -> Self {
        Self { to_server: flow, to_client: flow }
    }

    /// Everything vanishes.
    pub fn swallowing() -> Self {
        Self::both(Flow { carry: Carry::Swallow, ..Flow::default() })
    }

    /// Nothing arrives for now.
    pub fn holding() -> Self {
        Self::both(Flow { carry: Carry::Hold, ..Flow::default() })
    }

    /// Everything arrives `latency` later, each way.
    pub fn slow(latency: Duration) -> Self {
        Self::both(Flow { latency, ..Flow::default() })
    }

    /// At most so many bytes a second arrive, each way.
    pub fn narrow(bytes_per_second: NonZeroU64) -> Self {
        Self::both(Flow { bytes_per_second: Some(bytes_per_second), ..Flow::default() })
    }
}

/// What strikes open connections, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// Both sides are closed in order, as by a server that stops.
    Close,
    /// Both sides are reset (a socket in the file system is closed), as by a server that is killed.
    Reset,
    /// From now on nothing arrives in either direction, and nobody is told: a router that forgot the connection.
    Silence,
}

/// What becomes of new connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// They are taken.
    #[default]
    Open,
    /// They are taken and reset at once. Each one is counted.
    Resetting,
    /// Nobody listens, so they are refused; the port stays reserved. They cannot be counted.
    Closed,
}

/// What has happened since the start, except where it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that came, whatever became of them.
    pub arrived: u64,
    /// Of these, reset at the door.
    pub reset_at_the_door: u64,
    /// Of these, given up because the server could not be reached.
    pub without_server: u64,
    /// Of these, that sent the mark.
    pub marked: u64,
    /// Open now.
    pub open: u64,
    /// Bytes that vanished.
    pub swallowed: u64,
    /// Bytes that reached the server.
    pub to_server: u64,
    /// Bytes that reached clients.
    pub to_client: u64,
}
