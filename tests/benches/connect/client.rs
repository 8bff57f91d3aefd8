//! The client: this program again, inside the cgroup of a contender.

use std::{
    fmt, io,
    net::SocketAddrV4,
    os::fd::AsRawFd,
    process::Stdio,
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    libc::linger,
    sys::{
        resource::{UsageWho, getrusage},
        socket::{
            AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, connect, getpeername, setsockopt,
            socket, sockopt,
        },
        time::{TimeVal, TimeValLike as _},
    },
};
use tcproute_tests::cgroup::TestCgroup;

use crate::interrupt;

/// Dialled before the clock runs.
const WARM_UP: u32 = 200;

/// What a client found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Answer {
    /// The median of connect().
    pub(crate) p50: Duration,
    /// socket() to close(), one after the other.
    pub(crate) per_second: f64,
    /// What the processors have worked for a connection. As a client says it that is its own part, and [`Client::run`]
    /// adds that of the listener.
    pub(crate) cpu: Duration,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.p50.as_nanos(), self.per_second, self.cpu.as_nanos())
    }
}

impl FromStr for Answer {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let mut numbers = line.split_whitespace();
        let (Some(p50), Some(per_second), Some(cpu)) = (numbers.next(), numbers.next(), numbers.next())
        else {
            bail!("not three numbers");
        };
        let nanos = |number: &str| number.parse().map(Duration::from_nanos);
        Ok(Self { p50: nanos(p50)?, per_second: per_second.parse()?, cpu: nanos(cpu)? })
    }
}

/// A client yet to be started.
pub(crate) struct Client<'a> {
    /// Where it runs.
    pub(crate) cgroup: &'a TestCgroup,
    /// What it dials.
    pub(crate) address: SocketAddrV4,
}

impl Client<'_> {
    /// Runs it to its end.
    pub(crate) fn run(&self, connections: u32, getpeername: bool) -> Result<Answer> {
        interrupt::check()?;
        let program = std::env::current_exe().context("this program has no path")?;
        let program = program.to_str().context("the path of this program is not UTF-8")?;
        let mut command = self.cgroup.command(program);
        command.args(["--client", &self.address.to_string(), "--connections", &connections.to_string()]);
        if getpeername {
            command.arg("--getpeername");
        }
        let before = cpu_time()?;
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start the client")?;
        if !output.status.success() {
            bail!("the client of {} failed: {}", self.address, output.status);
        }
        let answer = String::from_utf8_lossy(&output.stdout);
        let mut answer: Answer = answer.parse().with_context(|| format!("the client answers {answer:?}"))?;
        answer.cpu += cpu_time()?.saturating_sub(before) / (connections + WARM_UP);
        Ok(answer)
    }
}

/// In the client: dials one connection after the other.
pub(crate) fn dial_all(address: SocketAddrV4, connections: u32, getpeername: bool) -> Result<Answer> {
    let dial = || dial(address, getpeername).with_context(|| format!("cannot dial {address}"));
    for _ in 0..WARM_UP {
        dial()?;
    }
    let (start, before) = (Instant::now(), cpu_time()?);
    let mut took = (0..connections).map(|_| dial()).collect::<Result<Vec<Duration>>>()?;
    let per_second = f64::from(connections) / start.elapsed().as_secs_f64();
    let cpu = cpu_time()?.saturating_sub(before) / connections;
    took.sort_unstable();
    Ok(Answer { p50: took[took.len() / 2], per_second, cpu })
}

/// What this process has made the processors work, what the kernel has done for it included.
fn cpu_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).context("cannot tell the CPU time")?;
    let duration = |time: TimeVal| Duration::from_micros(time.num_microseconds().unsigned_abs());
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}

/// One connection; the time is that of connect() alone.
fn dial(address: SocketAddrV4, names_peer: bool) -> io::Result<Duration> {
    let address = SockaddrIn::from(address);
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp)?;
    // Reset at close: neither side is left with a socket in TIME_WAIT that takes a port.
    setsockopt(&socket, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 })?;
    let start = Instant::now();
    connect(socket.as_raw_fd(), &address)?;
    let took = start.elapsed();
    if names_peer {
        getpeername::<SockaddrIn>(socket.as_raw_fd())?;
    }
    Ok(took)
}
