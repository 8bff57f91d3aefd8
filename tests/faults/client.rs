//! A client: a process in a workload's cgroup that connects all the time and tells who answered.

use std::{
    fmt,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    str::FromStr,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use nix::{
    libc,
    sys::socket::{setsockopt, sockopt::Linger},
};
use tcproute_tests::{
    clock::{self, Time},
    interrupt,
};

/// Connects until its standard input is closed.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What is dialled
    dialled: SocketAddr,
}

/// A connection, and who answered or what went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) begin: Time,
    pub(crate) end: Time,
    pub(crate) answer: String,
}

/// Between the beginnings of two connections.
const PAUSE: Duration = Duration::from_millis(8);
/// Longer than anything on loopback takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(options: &Options) -> Result<()> {
    let stop = interrupt::of_input();
    let mut output = io::stdout().lock();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let begin = clock::now()?;
        let answer = ask(options.dialled).unwrap_or_else(|error| format!("error: {error}"));
        let connection = Connection { begin, end: clock::now()?, answer };
        writeln!(output, "{connection}")?;
        output.flush()?;
        thread::sleep(PAUSE.saturating_sub(begun.elapsed()));
    }
    Ok(())
}

fn ask(dialled: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&dialled, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    // Else the ports would run out.
    setsockopt(&stream, Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?;
    Ok(said.trim().to_owned())
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { begin, end, answer } = self;
        write!(f, "{begin} {end} {answer}")
    }
}

impl FromStr for Connection {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let read = || {
            let mut fields = line.splitn(3, ' ');
            let (begin, end) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            Some(Self { begin, end, answer: fields.next()?.to_owned() })
        };
        read().ok_or_else(|| format!("a client said {line:?}"))
    }
}
