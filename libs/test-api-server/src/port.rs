//! Ports that stay one's own from before a program listens on them until after it is gone.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use socket2::{Domain, Socket, Type};

/// A port of the loopback address that nobody else is given.
///
/// A free port that is looked up and let go may be somebody else's by the time the program starts; and while the program
/// is stopped, any connection of this machine may be given it. So the socket stays bound. It does not listen, so who
/// connects is refused; and Linux lets another socket listen on the same port where both ask for it, as Go's do.
pub(crate) struct Port {
    number: u16,
    /// Elsewhere nobody could listen beside it.
    _held: Option<Socket>,
}

impl Port {
    pub(crate) fn free() -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).context("cannot make a socket")?;
        socket.set_reuse_address(true).context("cannot share a port")?;
        socket
            .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
            .context("there is no free port on loopback")?;
        let address = socket.local_addr()?.as_socket().context("a socket of the internet has a port")?;
        Ok(Self { number: address.port(), _held: cfg!(target_os = "linux").then_some(socket) })
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}
