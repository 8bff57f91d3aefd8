//! The client of the demo: a process of its own that dials one address again and again, and says who answered.
//! It knows nothing of tcproute.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    io::Read as _,
    net::{SocketAddr, TcpStream},
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Error, Result, bail, ensure};
use clap::Args;

/// The name of the hidden subcommand.
pub(super) const SUBCOMMAND: &str = "demo-client";

/// The client that `demo` runs
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where to connect to
    address: SocketAddr,
    /// How many times
    count: u32,
}

/// Connects, and prints the [`Tally`].
pub(crate) fn run(options: &Options) -> Result<()> {
    let Options { address, count } = *options;
    let mut tally = Tally::default();
    let start = Instant::now();
    for number in 1..=count {
        let name = ask(address).with_context(|| format!("connection {number} of {count} to {address}"))?;
        *tally.answers.entry(name).or_default() += 1;
    }
    tally.took = start.elapsed();
    print!("{tally}");
    Ok(())
}

/// The name of the server that is behind the address this time.
fn ask(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(address).context("cannot connect")?;
    // A client must not notice that it has been sent elsewhere: TLS and logs go by this address.
    let peer = stream.peer_addr().context("no peer address")?;
    ensure!(peer == address, "getpeername() says {peer} instead");
    let mut name = String::new();
    stream.read_to_string(&mut name).context("cannot read the answer")?;
    Ok(name.trim().to_owned())
}

/// Who answered how often, and how long all of it took. Written as lines, since it crosses a pipe.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    answers: BTreeMap<String, u32>,
    took: Duration,
}

/// Begins the line that holds the time.
const TOOK: &str = "microseconds";

impl Tally {
    /// How many connections the server of that name answered.
    pub(super) fn of(&self, name: &str) -> u32 {
        self.answers.get(name).copied().unwrap_or(0)
    }

    /// How many connections these answered together.
    pub(super) fn sum<'a>(&self, names: impl Iterator<Item = &'a str>) -> u32 {
        names.map(|name| self.of(name)).sum()
    }

    /// The names of all that answered.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.answers.keys().map(String::as_str)
    }

    /// How many connections there were.
    pub(super) fn total(&self) -> u32 {
        self.answers.values().sum()
    }

    /// The mean time of a connection, from connect() to the end of the answer.
    pub(super) fn per_connection(&self) -> Duration {
        self.took.checked_div(self.total()).unwrap_or_default()
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in &self.answers {
            writeln!(f, "{name} {count}")?;
        }
        writeln!(f, "{TOOK} {}", self.took.as_micros())
    }
}

impl FromStr for Tally {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut tally = Self::default();
        for line in text.lines() {
            let Some((name, number)) = line.rsplit_once(' ') else { bail!("unexpected line {line:?}") };
            let unexpected = || format!("unexpected line {line:?}");
            if name == TOOK {
                tally.took = Duration::from_micros(number.parse().with_context(unexpected)?);
            } else {
                tally.answers.insert(name.to_owned(), number.parse().with_context(unexpected)?);
            }
        }
        Ok(tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_survives_the_pipe() {
        let tally =
            Tally { answers: [("a".into(), 3), ("b".into(), 1)].into(), took: Duration::from_micros(100) };
        assert_eq!(tally.to_string(), "a 3\nb 1\nmicroseconds 100\n");
        let read: Tally = tally.to_string().parse().unwrap();
        assert_eq!(read, tally);
        assert_eq!((read.of("a"), read.of("c"), read.total()), (3, 0, 4));
        assert_eq!(read.per_connection(), Duration::from_micros(25));
    }

    #[test]
    fn other_output_is_no_tally() {
        for text in ["a\n", "a b\n", "microseconds x\n"] {
            assert!(text.parse::<Tally>().is_err(), "{text}");
        }
        assert_eq!(Tally::default().per_connection(), Duration::ZERO);
    }
}
