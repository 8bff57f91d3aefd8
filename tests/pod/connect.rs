//! A client that connects to some addresses without an end.

use std::{
    collections::BTreeMap,
    io::{self, Read as _},
    net::{SocketAddr, TcpStream},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use tcproute_tests::load::Seen;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where to connect to, and by which name that is told
    #[arg(long = "to", value_name = "NAME=ADDRESS:PORT", required = true)]
    destinations: Vec<Destination>,
    /// Connections per second to each of them, at most
    #[arg(long, default_value_t = 10)]
    rate: u32,
}

#[derive(Debug, Clone)]
struct Destination {
    name: String,
    address: SocketAddr,
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, address) = text.split_once('=').ok_or("must be NAME=ADDRESS:PORT")?;
        let address = address.parse().map_err(|error| format!("{address}: {error}"))?;
        Ok(Self { name: name.to_owned(), address })
    }
}

/// So long a connection may take, and so long an answer.
const PATIENCE: Duration = Duration::from_secs(10);

const TOLD_EACH: Duration = Duration::from_secs(1);

/// A thread for each destination, and one that tells.
pub(crate) fn start(options: &Options) {
    let all: Arc<Mutex<BTreeMap<String, Seen>>> = Arc::default();
    let pause = Duration::from_secs(1) / options.rate.max(1);
    for Destination { name, address } in options.destinations.clone() {
        let all = Arc::clone(&all);
        thread::spawn(move || {
            loop {
                let begin = Instant::now();
                let connected = connect(address);
                note(
                    all.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_default(),
                    connected,
                );
                thread::sleep(pause.saturating_sub(begin.elapsed()));
            }
        });
    }
    thread::spawn(move || {
        loop {
            let line = serde_json::to_string(&*all.lock().unwrap_or_else(PoisonError::into_inner));
            println!("{}", line.unwrap_or_default());
            thread::sleep(TOLD_EACH);
        }
    });
}

/// Who has answered, and the peer if that is not the dialled address.
fn connect(address: SocketAddr) -> io::Result<(String, Option<SocketAddr>)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    let peer = stream.peer_addr()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut name = String::new();
    stream.read_to_string(&mut name)?;
    Ok((name.trim_end().to_owned(), (peer != address).then_some(peer)))
}

fn note(seen: &mut Seen, connected: io::Result<(String, Option<SocketAddr>)>) {
    match connected {
        Ok((name, peer)) => {
            *seen.names.entry(name).or_default() += 1;
            if let Some(peer) = peer {
                *seen.other_peers.entry(peer.to_string()).or_default() += 1;
            }
        }
        Err(error) => *seen.failures.entry(error.to_string()).or_default() += 1,
    }
}
