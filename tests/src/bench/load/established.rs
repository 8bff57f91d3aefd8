//! What is sent over a connection that is there: requests in turns, and as much as gets through.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddrV4, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        dial::dial,
        protocol::{ASK, TAKE},
        statistics::Latency,
    },
    Clock,
};

/// Of requests and their answers.
const SIZE: usize = 64;

/// What is written at a time.
const CHUNK: usize = 256 << 10;

const MEGABYTE: u64 = 1_000_000;

/// What came of requests.
#[derive(Debug, Serialize, Deserialize)]
pub struct Requests {
    /// From a request to its answer.
    pub latency: Latency,
    /// How many were answered.
    pub per_second: f64,
    /// Of everybody, in microseconds for each.
    pub cpu: f64,
}

/// What came of much that was sent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Bulk {
    /// Gigabytes.
    pub per_second: f64,
    /// Of everybody, in seconds for each gigabyte.
    pub cpu: f64,
}

/// Sends a request when the one before is answered.
pub(super) fn ask(dials: SocketAddrV4, cgroup: &Path, count: u32) -> Result<Requests> {
    let mut stream = dial(dials).with_context(|| format!("cannot dial {dials}"))?.stream;
    stream.write_all(&[ASK])?;
    stream.read_exact(&mut [0]).context("no answer")?;
    for _ in 0..count.div_ceil(10) {
        request(&mut stream)?;
    }
    let clock = Clock::start(cgroup)?;
    let took = (0..count).map(|_| request(&mut stream)).collect::<Result<Vec<_>>>()?;
    let (seconds, worked) = clock.stop()?;
    let count = f64::from(count);
    Ok(Requests { latency: Latency::of(took), per_second: count / seconds, cpu: worked * 1e6 / count })
}

fn request(stream: &mut TcpStream) -> Result<Duration> {
    let (request, mut answer) = ([b'x'; SIZE], [0; SIZE]);
    let start = Instant::now();
    stream.write_all(&request)?;
    stream.read_exact(&mut answer).context("no answer")?;
    let took = start.elapsed();
    ensure!(answer == request, "the answer is another one");
    Ok(took)
}

/// Sends so much, after a tenth of it that does not count.
pub(super) fn send(dials: SocketAddrV4, cgroup: &Path, megabytes: u32) -> Result<Bulk> {
    let mut stream = dial(dials).with_context(|| format!("cannot dial {dials}"))?.stream;
    stream.write_all(&[TAKE])?;
    let bytes = u64::from(megabytes) * MEGABYTE;
    write(&mut stream, bytes / 10)?;
    let clock = Clock::start(cgroup)?;
    write(&mut stream, bytes)?;
    stream.shutdown(Shutdown::Write)?;
    // All has come.
    stream.read_exact(&mut [0]).context("what was sent is not acknowledged")?;
    let (seconds, worked) = clock.stop()?;
    let gigabytes = f64::from(megabytes) / 1000.0;
    Ok(Bulk { per_second: gigabytes / seconds, cpu: worked / gigabytes })
}

fn write(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    let chunk = vec![b'x'; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        stream.write_all(&chunk[..count])?;
        left -= count as u64;
    }
    Ok(())
}
