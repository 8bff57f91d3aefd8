//! Closing the connections to endpoints that have left, where that is asked for.
//!
//! - `departures`: which endpoints have left, and when their connections are due. Pure.
//! - `closing`: which sockets that are, and ending them.
//! - `sockets`: the kernel's list of sockets, and its way to end one.

mod closing;
mod departures;
mod sockets;

use std::{collections::BTreeMap, future, path::PathBuf, time::Duration};

use anyhow::{Result, bail};
use caps::Capability;
use tokio::{
    task::{JoinError, JoinHandle, spawn_blocking},
    time::{Instant, sleep_until},
};

use crate::{bpf::RoutedSockets, privileges, workloads::cgroups::CgroupId};
use closing::{Gone, close};
use departures::Departures;
use sockets::SockDiag;

pub use closing::Closed;
pub use departures::{Departed, Routes};
pub use sockets::Unsupported;

/// Fails, with the remedy, if this process cannot close connections.
pub fn check() -> Result<()> {
    probe()?;
    if !privileges::effective()?.contains(&Capability::CAP_NET_ADMIN) {
        bail!("closing connections needs CAP_NET_ADMIN: give it to this process");
    }
    Ok(())
}

/// Whether this kernel can close connections.
pub fn probe() -> Result<(), Unsupported> {
    SockDiag::open()?.probe()
}

/// Endpoints that have left, by a clock of their own, and the connections that are being closed.
pub struct Draining {
    begin: Instant,
    departures: Departures,
    running: Option<Running>,
    closed: u64,
}

struct Running {
    gone: Gone,
    task: JoinHandle<Closed>,
}

/// What is next.
#[derive(Debug)]
pub enum Step {
    /// Connections are due.
    Due,
    /// Connections were closed.
    Done(Result<Closed, JoinError>),
}

impl Draining {
    /// Connections are kept for so long.
    pub fn new(grace: Duration) -> Self {
        Self { begin: Instant::now(), departures: Departures::new(grace), running: None, closed: 0 }
    }

    /// To be called before these routes are in force: the connections of endpoints that come back are closed no more.
    pub fn prepare(&self, routes: &Routes) {
        if let Some(Running { gone, .. }) = &self.running {
            gone.keep(routes);
        }
    }

    /// Takes which routes are in force.
    pub fn observe(&mut self, routes: Routes) {
        self.departures.observe(self.begin.elapsed(), routes);
    }

    /// Takes where an earlier daemon's routes led.
    pub fn inherit(&mut self, before: &[Departed]) {
        self.departures.inherit(self.begin.elapsed(), before);
    }

    /// Waits for what is next. Can be dropped while waiting.
    pub async fn step(&mut self) -> Step {
        if let Some(Running { task, .. }) = &mut self.running {
            let done = task.await;
            self.running = None;
            self.closed += done.as_ref().map_or(0, |closed| closed.connections.values().sum());
            return Step::Done(done);
        }
        match self.departures.next() {
            Some(due) => sleep_until(self.begin + due).await,
            None => future::pending().await,
        }
        Step::Due
    }

    /// Closes the connections that are due, of workloads in these cgroups, off the threads that serve.
    pub fn start(&mut self, cgroups: BTreeMap<CgroupId, PathBuf>, sockets: RoutedSockets) {
        let gone = Gone::new(self.departures.due(self.begin.elapsed()));
        let theirs = gone.clone();
        let task = spawn_blocking(move || close(&theirs, &cgroups, &sockets));
        self.running = Some(Running { gone, task });
    }

    /// Keeps the connections that are due.
    pub fn give_up(&mut self) {
        self.departures.due(self.begin.elapsed());
    }

    /// How long connections are kept.
    pub const fn grace(&self) -> Duration {
        self.departures.grace()
    }

    /// How many endpoints have left whose connections are still kept.
    pub fn waiting(&self) -> usize {
        self.departures.waiting()
    }

    /// How many connections were closed.
    pub const fn closed(&self) -> u64 {
        self.closed
    }
}
