//! Both backends of a contender: one socket for all addresses, so that the same threads are woken whoever is reached.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, TcpListener, TcpStream},
    os::fd::{AsFd as _, OwnedFd},
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail};
use nix::sys::{
    prctl::set_pdeathsig,
    signal::Signal,
    socket::{Backlog, listen},
};

use super::protocol::{ASK, TAKE};

/// As many connections are served at a time. More than clients have, since a proxy may close late.
const THREADS: usize = 16;

/// What is read at a time.
const BUFFER: usize = 256 << 10;

/// Starts it by a command that runs this program in the right place.
pub fn start(mut command: Command, listener: TcpListener) -> Result<Child> {
    command.arg("--serve").stdin(Stdio::from(OwnedFd::from(listener)));
    command.spawn().context("cannot start the server")
}

/// The server itself. It does not return.
pub fn run() -> Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("cannot be killed with its parent")?;
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned().context("no socket")?);
    // The kernel drops requests for connections beyond it.
    listen(&listener, Backlog::MAXALLOWABLE).context("cannot listen")?;
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut buffer = vec![0; BUFFER];
                // A client that has gone away is none of the server's business.
                listener.incoming().flatten().for_each(|stream| drop(serve(stream, &mut buffer)));
            });
        }
    });
    bail!("it accepts no longer")
}

fn serve(mut stream: TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    let mut first = [0];
    stream.read_exact(&mut first)?;
    match first {
        [ASK] => {
            stream.write_all(&[number(&stream)?])?;
            loop {
                match stream.read(buffer)? {
                    0 => return Ok(()),
                    count => stream.write_all(&buffer[..count])?,
                }
            }
        }
        [TAKE] => {
            while stream.read(buffer)? > 0 {}
            stream.write_all(b".")
        }
        _ => Ok(()),
    }
}

/// The last digit of the address that was reached.
fn number(stream: &TcpStream) -> io::Result<u8> {
    match stream.local_addr()?.ip() {
        IpAddr::V4(address) => Ok(b'0' + address.octets()[3] % 10),
        IpAddr::V6(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}
