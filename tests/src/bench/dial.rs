//! One connection of a client, timed.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddrV4, TcpStream},
    os::fd::AsRawFd as _,
    time::{Duration, Instant},
};

use nix::{
    libc::linger,
    sys::socket::{
        AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, connect, setsockopt, socket, sockopt,
    },
};

use super::protocol::{ASK, FIRST};

/// It is reset when it is closed: so neither side is left with a socket in TIME_WAIT that takes a port.
pub struct Dialled {
    /// The connection.
    pub stream: TcpStream,
    /// When connect() was called.
    pub start: Instant,
    /// How long connect() took.
    pub took: Duration,
}

/// Makes one.
pub fn dial(address: SocketAddrV4) -> io::Result<Dialled> {
    let address = SockaddrIn::from(address);
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp)?;
    setsockopt(&socket, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 })?;
    let start = Instant::now();
    connect(socket.as_raw_fd(), &address)?;
    let took = start.elapsed();
    Ok(Dialled { stream: socket.into(), start, took })
}

/// Asks who is reached: the number of the backend, from 0 on.
pub fn ask(stream: &mut TcpStream) -> io::Result<usize> {
    stream.write_all(&[ASK])?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    let [digit] = answer;
    Ok(digit.wrapping_sub(FIRST).into())
}
