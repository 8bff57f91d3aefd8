//! What stands for Envoy: a proxy that does as little as a proxy can, one connection at a time.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    process::Stdio,
    thread,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    libc::linger,
    sys::socket::{getsockopt, setsockopt, sockopt},
    unistd::{Uid, setuid},
};
use tcproute_tests::{
    process::Process,
    sidecar::{OUTBOUND, Pod, SIDECAR},
};

use crate::client;

/// Starts it in a pod, where all that is redirected comes to it. It ends with this process.
pub(crate) fn start(pod: &Pod, to: SocketAddrV4) -> Result<Process> {
    let mut command = pod.command(None, 0, &client::this_program()?);
    command.args(["--relay", &to.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start the relay")?;
    let output = child.stdout.take().context("its output is piped")?;
    let process = Process(child);
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    ensure!(line == "ready\n", "the relay has failed");
    Ok(process)
}

/// The relay itself, which chooses this endpoint for all.
pub(crate) fn run(to: SocketAddrV4) -> Result<()> {
    // Not by setpriv, since no other user may get at this program.
    setuid(Uid::from_raw(SIDECAR)).context("cannot become the sidecar's user")?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, OUTBOUND)).context("cannot listen")?;
    println!("ready");
    thread::spawn(move || listener.incoming().flatten().for_each(|client| drop(relay(client, to))));
    // Until nobody holds the other end any more.
    io::copy(&mut io::stdin(), &mut io::sink()).context("cannot read")?;
    Ok(())
}

fn relay(mut client: TcpStream, to: SocketAddrV4) -> io::Result<()> {
    // It chooses by what was dialled.
    getsockopt(&client, sockopt::OriginalDst)?;
    let mut server = TcpStream::connect(to)?;
    setsockopt(&server, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 })?;
    let mut bytes = [0; 4096];
    let count = server.read(&mut bytes)?;
    client.write_all(&bytes[..count])?;
    // It goes first, so that neither side is left in TIME_WAIT.
    client.read(&mut bytes).map(drop)
}
