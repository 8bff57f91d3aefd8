//! Ports of loopback that stay ours while nobody listens at them.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::net::{TcpListener, TcpSocket};

/// A free port. Until this is dropped the kernel gives it to nobody who asks for any, and whoever asks for this one may
/// listen there, as Go and tokio do it.
pub(super) struct Port {
    address: SocketAddr,
    /// Bound, and never listening: who connects to it is refused.
    _reservation: TcpSocket,
}

impl Port {
    pub(super) fn claim() -> Self {
        let reservation = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port is free");
        let address = reservation.local_addr().expect("a bound socket has an address");
        Self { address, _reservation: reservation }
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Within a runtime.
    pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
        bound(address)?.listen(1024)
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
