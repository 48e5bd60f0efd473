//! How a server notices a client that vanished without a word.
//!
//! The contract gives 15 s from a client's disappearance to the end of what is held for it. Behind a proxy only
//! the hop that faces the client can notice, so every hop that may be that hop does it the same way.

use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};

/// Silence after which the kernel asks a client whether it is there.
pub const SILENCE: Duration = Duration::from_secs(5);

/// Time between the two questions it asks.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// How long sent bytes or questions may go unacknowledged. A client that vanishes is noticed after this long, or
/// after twice as long where a heartbeat was sent in between: 14 s at most. Longer than the 5 s after which a pod
/// itself cuts a client that does not read.
pub const UNACKNOWLEDGED: Duration = Duration::from_secs(7);

/// Lets the kernel end the connection of a client that vanished. Set on a listener, accepted sockets inherit it
/// (on Linux).
///
/// # Errors
/// Where the system refuses an option.
pub fn notice_absence<'socket, S>(socket: &'socket S) -> io::Result<()>
where
    SockRef<'socket>: From<&'socket S>,
{
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(SILENCE).with_interval(PROBE_INTERVAL).with_retries(2),
    )?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(())
}
