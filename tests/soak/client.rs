//! A client: a process in a workload's cgroup, or elsewhere, that connects all the time and tells what came of it.

use std::{
    collections::VecDeque,
    io::{self, BufWriter, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use nix::{
    libc,
    sys::socket::{setsockopt, sockopt::Linger},
};
use tcproute_tests::{
    clock::{self, Time},
    interrupt,
};

use crate::connection::{Connection, Ended, Line, WrongPeer};

/// Connects until its standard input is closed.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Connections per second, at most
    #[arg(long)]
    rate: u32,
    #[arg(long)]
    seed: u64,
    /// What is dialled
    #[arg(required = true)]
    destinations: Vec<SocketAddr>,
}

/// Longer than anything on loopback takes.
const PATIENCE: Duration = Duration::from_secs(30);
const FLUSH: Duration = Duration::from_millis(50);
/// So many connections are kept open for a while.
const KEPT: usize = 16;

/// An open connection, to look at its peer once more.
struct Kept {
    stream: TcpStream,
    destination: usize,
    dialled: SocketAddr,
    begin: Time,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let stop = interrupt::of_input();
    let mut rng = Rng::with_seed(options.seed);
    let mut output = BufWriter::new(io::stdout().lock());
    let mut flushed = Instant::now();
    let mut kept: VecDeque<Kept> = VecDeque::new();
    let pause = Duration::from_secs(1) / options.rate.max(1);
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let destination = rng.usize(0..options.destinations.len());
        let dialled = form(options.destinations[destination], &mut rng);
        let begin = clock::now()?;
        let stream = connect(dialled, &mut rng);
        let end = clock::now()?;
        let (ended, stream) = match stream {
            Ok(stream) => (name(&stream), Some(stream)),
            Err(error) => (failure("connect", &error), None),
        };
        writeln!(output, "{}", Line::Connection(Connection { destination, begin, end, ended }))?;
        if let Some(stream) = stream {
            // Else the ports would run out.
            let reset = libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(&stream, Linger, &reset).context("cannot set SO_LINGER")?;
            let connection = Kept { stream, destination, dialled, begin };
            if let Some(line) = connection.wrong_peer()? {
                writeln!(output, "{line}")?;
            }
            kept.push_back(connection);
        }
        while kept.len() > rng.usize(0..=KEPT) {
            if let Some(line) =
                kept.pop_front().map(|connection| connection.wrong_peer()).transpose()?.flatten()
            {
                writeln!(output, "{line}")?;
            }
        }
        if flushed.elapsed() >= FLUSH {
            output.flush()?;
            flushed = Instant::now();
        }
        thread::sleep(pause.saturating_sub(begun.elapsed()));
    }
    output.flush()?;
    Ok(())
}

impl Kept {
    /// What getpeername() shows, if that is not what was dialled.
    fn wrong_peer(&self) -> Result<Option<Line>> {
        let Self { stream, destination, dialled, begin } = self;
        let peer = stream.peer_addr().context("cannot ask for the peer")?;
        let at = clock::now()?;
        let line = WrongPeer { destination: *destination, begin: *begin, at, peer };
        Ok((peer != *dialled).then_some(Line::WrongPeer(line)))
    }
}

/// IPv4 addresses are dialled by IPv6 sockets, too.
fn form(address: SocketAddr, rng: &mut Rng) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if rng.u32(0..4) == 0 => (ip.to_ipv6_mapped(), address.port()).into(),
        _ => address,
    }
}

/// Blocking, or by poll().
fn connect(address: SocketAddr, rng: &mut Rng) -> io::Result<TcpStream> {
    let stream = if rng.bool() {
        TcpStream::connect(address)?
    } else {
        TcpStream::connect_timeout(&address, PATIENCE)?
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// What the server says that it is.
fn name(mut stream: &TcpStream) -> Ended {
    let mut said = String::new();
    match stream.read_to_string(&mut said) {
        Ok(_) => {
            said.trim().parse().map_or_else(|_| Ended::Otherwise(format!("heard {said:?}")), Ended::Reached)
        }
        Err(error) => failure("read", &error),
    }
}

fn failure(call: &str, error: &io::Error) -> Ended {
    match error.raw_os_error() {
        Some(errno) if call == "connect" => Ended::Failed(errno),
        _ => Ended::Otherwise(format!("{call}: {error}")),
    }
}
