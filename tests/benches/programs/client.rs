//! The client: this program again, in the cgroup of a case.

use std::{
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    libc::linger,
    sys::socket::{setsockopt, sockopt},
    unistd::{Uid, setuid},
};

use crate::cases::Case;

/// Runs the client of a case to its end.
pub(crate) fn run(case: &Case<'_>, connections: u32) -> Result<()> {
    let program = std::env::current_exe().context("this program has no path")?;
    let mut command: Command = case.cgroup.command(&program.to_string_lossy());
    command.args(["--client", &case.dials.to_string(), "--connections", &connections.to_string()]);
    command.args(["--user", &case.user.to_string()]);
    let status = command.stdin(Stdio::null()).status().context("cannot start the client")?;
    ensure!(status.success(), "the client of {} failed: {status}", case.dials);
    Ok(())
}

/// In the client: dials one connection after the other as this user, and asks each for its peer.
pub(crate) fn dial_all(address: SocketAddr, connections: u32, user: u32) -> Result<()> {
    setuid(Uid::from_raw(user)).context("cannot become the user")?;
    for _ in 0..connections {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot dial {address}"))?;
        // Reset at close: neither side is left with a socket in TIME_WAIT that takes a port.
        setsockopt(&stream, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 })?;
        let peer = stream.peer_addr().context("the socket has no peer")?;
        ensure!(peer == address, "the peer of {address} is {peer}");
    }
    Ok(())
}
