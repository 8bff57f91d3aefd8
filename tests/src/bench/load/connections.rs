//! Connections one after the other, by one thread or several: connect, send a byte, receive the answer, close.

use std::{
    io,
    net::{SocketAddr, SocketAddrV4},
    path::Path,
    sync::Barrier,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        dial::{Dialled, ask, dial},
        statistics::Latency,
    },
    Clock,
};

/// What came of them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Connections {
    /// How many were made.
    pub per_second: f64,
    /// How long connect() took.
    pub connect: Latency,
    /// From the call of connect() to the answer.
    pub first_byte: Latency,
    /// How many each has answered.
    pub by_backend: [u64; 2],
    /// Whether each showed the address that was dialled.
    pub shows_dialled: bool,
    /// Of everybody, in microseconds for each.
    pub cpu: f64,
}

/// One of them.
struct Made {
    connect: Duration,
    first_byte: Duration,
    backend: usize,
    /// What getpeername() answers, if it was asked.
    peer: Option<SocketAddr>,
}

/// Makes so many, in all, and a part of them before.
pub(super) fn make(dials: SocketAddrV4, cgroup: &Path, threads: u32, count: u32) -> Result<Connections> {
    let each = count.div_ceil(threads);
    let all = threads as usize + 1;
    let (ready, go) = (Barrier::new(all), Barrier::new(all));
    let run = || {
        let before = some(dials, each.div_ceil(10).max(20), true);
        ready.wait();
        go.wait();
        Ok((before?, some(dials, each, false)?))
    };
    let (results, clock) = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        ready.wait();
        let clock = Clock::start(cgroup);
        go.wait();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<(Vec<Made>, Vec<Made>)>>| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("it has panicked")))
        };
        let results = running.into_iter().map(join).collect::<Result<Vec<_>>>();
        // Before anything else is done.
        (results, clock.and_then(|clock| clock.stop()))
    });
    let (before, made): (Vec<_>, Vec<_>) =
        results.with_context(|| format!("cannot dial {dials}"))?.into_iter().unzip();
    let made: Vec<Made> = made.into_iter().flatten().collect();
    let (seconds, worked) = clock?;
    let mut by_backend = [0; 2];
    for backend in before.iter().flatten().chain(&made).map(|made| made.backend) {
        match by_backend.get_mut(backend) {
            Some(count) => *count += 1,
            None => bail!("there is no backend {backend}"),
        }
    }
    let number = f64::from(u32::try_from(made.len())?);
    Ok(Connections {
        per_second: number / seconds,
        connect: Latency::of(made.iter().map(|made| made.connect).collect()),
        first_byte: Latency::of(made.iter().map(|made| made.first_byte).collect()),
        by_backend,
        shows_dialled: before.iter().flatten().all(|made| made.peer == Some(dials.into())),
        cpu: worked * 1e6 / number,
    })
}

fn some(dials: SocketAddrV4, count: u32, ask_peer: bool) -> Result<Vec<Made>> {
    let made = (0..count).map(|_| one(dials, ask_peer)).collect::<io::Result<_>>();
    made.context("a connection failed")
}

fn one(dials: SocketAddrV4, ask_peer: bool) -> io::Result<Made> {
    let Dialled { mut stream, start, took } = dial(dials)?;
    let backend = ask(&mut stream)?;
    let first_byte = start.elapsed();
    let peer = if ask_peer { Some(stream.peer_addr()?) } else { None };
    Ok(Made { connect: took, first_byte, backend, peer })
}
