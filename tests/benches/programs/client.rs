//! The client: this program again, in the cgroup of a case.

use std::{
    net::{SocketAddr, TcpStream},
    panic::resume_unwind,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    libc::linger,
    sys::socket::{setsockopt, sockopt},
    unistd::{Uid, setuid},
};

use crate::cases::Case;

/// How much a client dials.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialling {
    /// Each thread.
    pub(crate) connections: u32,
    pub(crate) threads: u32,
}

/// Runs the client of a case to its end.
pub(crate) fn run(case: &Case<'_>, dialling: Dialling) -> Result<()> {
    let program = std::env::current_exe().context("this program has no path")?;
    let mut command: Command = case.cgroup.command(&program.to_string_lossy());
    let Dialling { connections, threads } = dialling;
    command.args(["--client", &case.dials.to_string(), "--user", &case.user.to_string()]);
    command.args(["--connections", &connections.to_string(), "--threads", &threads.to_string()]);
    let status = command.stdin(Stdio::null()).status().context("cannot start the client")?;
    ensure!(status.success(), "the client of {} failed: {status}", case.dials);
    Ok(())
}

/// In the client: as this user.
pub(crate) fn dial_all(address: SocketAddr, dialling: Dialling, user: u32) -> Result<()> {
    setuid(Uid::from_raw(user)).context("cannot become the user")?;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..dialling.threads)
            .map(|_| scope.spawn(|| dial_in_turn(address, dialling.connections)))
            .collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(dialled) => dialled,
            Err(panic) => resume_unwind(panic),
        })
    })
}

/// Dials one connection after the other, and asks each for its peer.
fn dial_in_turn(address: SocketAddr, connections: u32) -> Result<()> {
    for _ in 0..connections {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot dial {address}"))?;
        // Reset at close: neither side is left with a socket in TIME_WAIT that takes a port.
        setsockopt(&stream, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 })?;
        let peer = stream.peer_addr().context("the socket has no peer")?;
        ensure!(peer == address, "the peer of {address} is {peer}");
    }
    Ok(())
}
