//! Ending the connections that the programs have sent to endpoints that have left, and no others.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use tcproute_common::{ConnectionState, SocketAddress};

use super::{
    departures::{Departed, Routes, departed_from},
    sockets::{Connection, FAMILIES, SockDiag},
};
use crate::{
    bpf::RoutedSockets,
    known::Known,
    netns::{self, Namespaces},
    workloads::cgroups::CgroupId,
};

/// The list of sockets is no snapshot: one may be missed while others come and go, and is found the next time.
const LOOKS: usize = 3;

/// Endpoints whose connections are being closed, unless they come back. Copies share them.
#[derive(Debug, Clone)]
pub(super) struct Gone(Arc<Mutex<BTreeSet<Departed>>>);

impl Gone {
    pub(super) fn new(departed: BTreeSet<Departed>) -> Self {
        Self(Arc::new(Mutex::new(departed)))
    }

    /// Keeps the connections to endpoints that these routes lead to. From then on none is closed.
    pub(super) fn keep(&self, routes: &Routes) {
        let mut gone = self.lock();
        *gone = departed_from(routes, gone.iter()).copied().collect();
    }

    /// Does something to a connection, if its endpoint does not come back meanwhile.
    fn while_gone<T>(&self, departed: &Departed, work: impl FnOnce() -> T) -> Option<T> {
        let gone = self.lock();
        gone.contains(departed).then(work)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Departed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct Closed {
    /// How many connections to each endpoint, except those that have come back meanwhile.
    pub connections: BTreeMap<Departed, u64>,
    /// What went wrong.
    pub failures: BTreeSet<String>,
}

/// Whose sockets are looked for.
struct Wanted<'a> {
    gone: &'a Gone,
    /// The workload of each cgroup.
    workloads: BTreeMap<u64, CgroupId>,
    endpoints: BTreeSet<SocketAddress>,
    sockets: &'a RoutedSockets,
}

/// Closes the connections to these endpoints, of workloads in these cgroups.
pub(super) fn close(gone: &Gone, cgroups: &BTreeMap<CgroupId, PathBuf>, sockets: &RoutedSockets) -> Closed {
    let departed = gone.lock().clone();
    let mut closed = Closed::default();
    let mut workloads = BTreeMap::new();
    let mut namespaces = Namespaces::new();
    let concerned: BTreeSet<CgroupId> = departed.iter().map(|departed| departed.workload).collect();
    // Another cgroup may have taken the place of one that is gone.
    let is_meant = |(workload, path): &(&CgroupId, &PathBuf)| {
        let is_there = || matches!(CgroupId::of(path), Known::There(id) if id == **workload);
        concerned.contains(workload) && is_there()
    };
    for (&workload, path) in cgroups.iter().filter(is_meant) {
        for directory in netns::tree(path) {
            match CgroupId::of(&directory) {
                Known::There(cgroup) => drop(workloads.insert(cgroup.get(), workload)),
                Known::Gone => {}
                Known::Unknown(error) => {
                    closed
                        .failures
                        .insert(format!("cannot look at the cgroup {}: {error}", directory.display()));
                }
            }
            let added = netns::add(&directory, &mut namespaces);
            closed.failures.extend(added.err().map(|error| format!("{error:#}")));
        }
    }
    let endpoints = departed.iter().map(|departed| departed.endpoint).collect();
    let wanted = Wanted { gone, workloads, endpoints, sockets };
    for namespace in namespaces.values() {
        let inside = netns::within(&namespace.file, || wanted.close(&mut closed.connections));
        closed.failures.extend(inside.err().map(|error| format!("{error:#}")));
    }
    for departed in gone.lock().iter() {
        closed.connections.entry(*departed).or_default();
    }
    closed
}

impl Wanted<'_> {
    /// In the network namespace of this thread.
    fn close(&self, closed: &mut BTreeMap<Departed, u64>) -> Result<()> {
        let diag = SockDiag::open().context("cannot ask the kernel for sockets")?;
        for _ in 0..LOOKS {
            let mut any = false;
            for (departed, connection) in self.find(&diag)? {
                let done = self.gone.while_gone(&departed, || diag.destroy(&connection));
                if done.transpose().context("cannot close a connection")?.unwrap_or(false) {
                    *closed.entry(departed).or_default() += 1;
                    any = true;
                }
            }
            if !any {
                break;
            }
        }
        Ok(())
    }

    fn find(&self, diag: &SockDiag) -> Result<Vec<(Departed, Connection)>> {
        let mut candidates = Vec::new();
        for family in FAMILIES {
            diag.connections(family, self.sockets.overflow(), |connection| {
                let workload = self.workloads.get(&connection.cgroup);
                if let Some(&workload) = workload.filter(|_| self.endpoints.contains(&connection.peer())) {
                    candidates.push((workload, connection));
                }
            })
            .context("cannot list sockets")?;
        }
        let mut found = Vec::new();
        for (workload, connection) in candidates {
            let state = match self.sockets.state(connection.cookie())? {
                None => connection.stored,
                state => state,
            };
            if let Some(departed) = state.and_then(|state| decided(workload, &state, connection.peer())) {
                found.push((departed, connection));
            }
        }
        Ok(found)
    }
}

/// To whom the programs have sent a connection; `None` if it leads elsewhere by now.
fn decided(workload: CgroupId, state: &ConnectionState, peer: SocketAddress) -> Option<Departed> {
    (state.chosen() == peer).then_some(Departed {
        workload,
        dialled: state.dialled(),
        endpoint: state.chosen(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn address(port: u16) -> SocketAddress {
        SocketAddr::from(([127, 0, 0, 1], port)).into()
    }

    #[test]
    fn a_state_counts_as_long_as_the_socket_has_the_peer_that_was_chosen() {
        let workload = CgroupId::new(1);
        let state = ConnectionState::new(&address(1), &address(10), 0);
        let departed = Departed { workload, dialled: address(1), endpoint: address(10) };
        assert_eq!(decided(workload, &state, address(10)), Some(departed));
        assert_eq!(decided(workload, &state, address(11)), None);
    }

    #[test]
    fn nothing_is_done_to_connections_of_who_has_come_back() {
        let departed = Departed { workload: CgroupId::new(1), dialled: address(1), endpoint: address(10) };
        let gone = Gone::new([departed].into());
        assert_eq!(gone.while_gone(&departed, || "closed"), Some("closed"));
        // The workload is gone with all its routes.
        gone.keep(&Routes::new());
        assert_eq!(gone.while_gone(&departed, || "closed"), None);
    }
}
