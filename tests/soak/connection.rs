//! What a client tells of its connections: a line each.

use std::{fmt, net::SocketAddr, str::FromStr};

use tcproute_tests::clock::Time;

/// One connect() and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    /// Index in the list of what can be dialled.
    pub(crate) destination: usize,
    pub(crate) begin: Time,
    pub(crate) end: Time,
    pub(crate) ended: Ended,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The server named itself.
    Reached(SocketAddr),
    /// connect() failed with this error.
    Failed(i32),
    /// Anything else, in words.
    Otherwise(String),
}

/// getpeername() showed another address than the dialled one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrongPeer {
    pub(crate) destination: usize,
    /// When the connection began.
    pub(crate) begin: Time,
    /// When the peer was asked for.
    pub(crate) at: Time,
    pub(crate) peer: SocketAddr,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    Connection(Connection),
    WrongPeer(WrongPeer),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(Connection { destination, begin, end, ended }) => {
                write!(f, "connection {destination} {begin} {end} ")?;
                match ended {
                    Ended::Reached(address) => write!(f, "reached {address}"),
                    Ended::Failed(errno) => write!(f, "failed {errno}"),
                    Ended::Otherwise(what) => write!(f, "otherwise {}", what.replace('\n', " ")),
                }
            }
            Self::WrongPeer(WrongPeer { destination, begin, at, peer }) => {
                write!(f, "peer {destination} {begin} {at} is {peer}")
            }
        }
    }
}

impl FromStr for Line {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        read(line).ok_or_else(|| format!("a client said {line:?}"))
    }
}

fn read(line: &str) -> Option<Line> {
    let mut fields = line.splitn(6, ' ');
    let kind = fields.next()?;
    let destination = fields.next()?.parse().ok()?;
    let (begin, end) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let (how, what) = (fields.next()?, fields.next()?);
    let ended = match (kind, how) {
        ("peer", "is") => {
            let peer = what.parse().ok()?;
            return Some(Line::WrongPeer(WrongPeer { destination, begin, at: end, peer }));
        }
        ("connection", "reached") => Ended::Reached(what.parse().ok()?),
        ("connection", "failed") => Ended::Failed(what.parse().ok()?),
        ("connection", "otherwise") => Ended::Otherwise(what.to_owned()),
        _ => return None,
    };
    Some(Line::Connection(Connection { destination, begin, end, ended }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written() {
        let address: SocketAddr = "[::1]:80".parse().unwrap();
        let endings =
            [Ended::Reached(address), Ended::Failed(111), Ended::Otherwise("read: timed out".to_owned())];
        let mut lines: Vec<Line> = endings
            .into_iter()
            .map(|ended| Line::Connection(Connection { destination: 3, begin: 5, end: 7, ended }))
            .collect();
        lines.push(Line::WrongPeer(WrongPeer { destination: 3, begin: 5, at: 7, peer: address }));
        for line in lines {
            assert_eq!(line.to_string().parse(), Ok(line));
        }
        assert!("connection 3 5".parse::<Line>().is_err());
    }
}
