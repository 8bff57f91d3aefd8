//! The client: this program again, inside the cgroup of a contender.

use std::{
    fmt,
    io::{self, Read as _},
    net::SocketAddrV4,
    process::Stdio,
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::{TimeVal, TimeValLike as _},
};
use tcproute_tests::bench::dial::{self, Dialled};

use crate::{interrupt, site::Contender};

/// Dialled before the clock runs.
const WARM_UP: u32 = 200;

/// What a client does with each connection, beside dialling it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Then {
    /// Nothing.
    Close,
    /// Asks the socket for its peer.
    Getpeername,
    /// Waits for the first byte.
    Read,
}

/// What a client found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Answer {
    /// The median of connect().
    pub(crate) p50: Duration,
    /// All but one in a hundred take no longer.
    pub(crate) p99: Duration,
    /// The median of connect() and what is done then.
    pub(crate) whole: Duration,
    /// socket() to close(), one after the other.
    pub(crate) per_second: f64,
    /// What the processors have worked for a connection. As a client says it that is its own part, and [`run`] adds
    /// that of the listener.
    pub(crate) cpu: Duration,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for took in [self.p50, self.p99, self.whole, self.cpu] {
            write!(f, "{} ", took.as_nanos())?;
        }
        write!(f, "{}", self.per_second)
    }
}

impl FromStr for Answer {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let numbers: Vec<&str> = line.split_whitespace().collect();
        let [p50, p99, whole, cpu, per_second] = *numbers else { bail!("not five numbers") };
        let nanos = |number: &str| number.parse().map(Duration::from_nanos);
        let (p50, p99, whole, cpu) = (nanos(p50)?, nanos(p99)?, nanos(whole)?, nanos(cpu)?);
        Ok(Self { p50, p99, whole, per_second: per_second.parse()?, cpu })
    }
}

/// How all clients of a benchmark dial.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialling {
    /// How many are measured.
    pub(crate) connections: u32,
    /// Where they run, if they have one of their own.
    pub(crate) processor: Option<usize>,
}

/// Runs a contender's client to its end.
pub(crate) fn run(contender: &Contender<'_>, dialling: Dialling, then: Then) -> Result<Answer> {
    interrupt::check()?;
    let Dialling { connections, processor } = dialling;
    let address = contender.dials;
    let mut command = contender.command(&this_program()?);
    command.args(["--client", &address.to_string(), "--connections", &connections.to_string()]);
    if let Some(processor) = processor {
        command.args(["--processor", &processor.to_string()]);
    }
    if let Some(then) = then.to_possible_value() {
        command.args(["--then", then.get_name()]);
    }
    let before = cpu_time()?;
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cannot start the client")?;
    if !output.status.success() {
        bail!("the client of {address} failed: {}", output.status);
    }
    let answer = String::from_utf8_lossy(&output.stdout);
    let mut answer: Answer = answer.parse().with_context(|| format!("the client answers {answer:?}"))?;
    answer.cpu += cpu_time()?.saturating_sub(before) / all_of(connections);
    Ok(answer)
}

/// So many connections a client makes that is to measure this number of them.
pub(crate) const fn all_of(connections: u32) -> u32 {
    connections + WARM_UP
}

/// The path of this program.
pub(crate) fn this_program() -> Result<String> {
    let program = std::env::current_exe().context("this program has no path")?;
    program.into_os_string().into_string().ok().context("the path of this program is not UTF-8")
}

/// In the client: dials one connection after the other.
pub(crate) fn dial_all(address: SocketAddrV4, connections: u32, then: Then) -> Result<Answer> {
    let dial = || dial(address, then).with_context(|| format!("cannot dial {address}"));
    for _ in 0..WARM_UP {
        dial()?;
    }
    let (start, before) = (Instant::now(), cpu_time()?);
    let took = (0..connections).map(|_| dial()).collect::<Result<Vec<[Duration; 2]>>>()?;
    let per_second = f64::from(connections) / start.elapsed().as_secs_f64();
    let cpu = cpu_time()?.saturating_sub(before) / connections;
    let [connect, whole] = [0, 1].map(|part| {
        let mut part: Vec<Duration> = took.iter().map(|took| took[part]).collect();
        part.sort_unstable();
        part
    });
    let p50 = |took: &[Duration]| took[took.len() / 2];
    let p99 = connect[connect.len() * 99 / 100];
    Ok(Answer { p50: p50(&connect), p99, whole: p50(&whole), per_second, cpu })
}

/// What this process has made the processors work, what the kernel has done for it included.
fn cpu_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).context("cannot tell the CPU time")?;
    let duration = |time: TimeVal| Duration::from_micros(time.num_microseconds().unsigned_abs());
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}

/// One connection: the time of connect() alone, and with what is done then.
fn dial(address: SocketAddrV4, then: Then) -> io::Result<[Duration; 2]> {
    let Dialled { mut stream, start, took } = dial::dial(address)?;
    match then {
        Then::Close => {}
        Then::Getpeername => {
            stream.peer_addr()?;
        }
        Then::Read => {
            if stream.read(&mut [0; 16])? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
    Ok([took, start.elapsed()])
}
