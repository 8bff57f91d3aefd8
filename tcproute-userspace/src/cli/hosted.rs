//! Tells which Dataplanes of the sources are of this host, as they and its addresses come and go.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use anyhow::{Context, Result};
use futures_util::future::select_all;
use nix::ifaddrs::getifaddrs;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};
use tracing::warn;

use crate::{
    resources::Dataplane,
    sources::snapshot::{Latest, Stream},
    workloads::{
        cgroups::Cgroup2,
        hosted::hosted,
        named::{AllNamed, Named},
    },
};

/// How often the addresses are looked at: nothing tells when they change.
const INTERVAL: Duration = Duration::from_secs(5);

/// So long changes are gathered.
const TOGETHER: Duration = Duration::from_millis(1);

/// The workloads that were named, and the Dataplanes of this host, followed for as long as somebody listens.
pub(super) fn follow(
    streams: Vec<Stream>,
    hierarchy: Cgroup2,
    named: Vec<Named>,
) -> watch::Receiver<AllNamed> {
    let mut following = Following { streams, hierarchy, named, addresses: BTreeSet::new(), was_whole: false };
    let (sender, told) = watch::channel(following.look(&AllNamed::default()));
    tokio::spawn(async move {
        while !sender.is_closed() {
            let until = Instant::now() + INTERVAL;
            let changes = following.streams.iter_mut().map(|stream| Box::pin(stream.changed()));
            // A source that has ended says nothing any more.
            if let Ok((Err(_), _, _)) = timeout_at(until, select_all(changes)).await {
                return;
            }
            sleep(TOGETHER).await;
            let now = following.look(&sender.borrow());
            sender.send_if_modified(|before| {
                let differs = *before != now;
                *before = now;
                differs
            });
        }
    });
    told
}

struct Following {
    streams: Vec<Stream>,
    hierarchy: Cgroup2,
    named: Vec<Named>,
    /// Those that were known last.
    addresses: BTreeSet<IpAddr>,
    /// Whether each source has said all once.
    was_whole: bool,
}

impl Following {
    fn look(&mut self, before: &AllNamed) -> AllNamed {
        let mut named = self.named.clone();
        let mut doubts = Vec::new();
        match addresses() {
            Ok(addresses) => self.addresses = addresses,
            Err(error) => doubts.push(format!("{error:#}")),
        }
        let mut is_whole = doubts.is_empty();
        for stream in &mut self.streams {
            let Latest { snapshot, kept, .. } = &*stream.borrow_and_update();
            is_whole &= snapshot.health.answers() || kept.stale > 0;
            for dataplane in snapshot.resources.dataplanes.values() {
                match hosted(dataplane, &self.addresses, &self.hierarchy) {
                    // What was said on the command line stands.
                    Some(Ok(new)) if named.iter().all(|named| named.dataplane != new.dataplane) => {
                        named.push(new);
                    }
                    Some(Err(why)) if self.named.iter().all(|named| !is_of(named, dataplane)) => {
                        doubts.push(why);
                    }
                    _ => {}
                }
            }
        }
        self.was_whole |= is_whole;
        doubts.iter().filter(|why| !before.doubts.contains(why)).for_each(|why| warn!("{why}"));
        AllNamed { named: named.into(), doubts: doubts.into(), complete: self.was_whole }
    }
}

fn is_of(named: &Named, dataplane: &Dataplane) -> bool {
    named.dataplane.mesh == dataplane.mesh && *named.dataplane.name == *dataplane.name.to_string()
}

/// The addresses of this host by which others know it.
fn addresses() -> Result<BTreeSet<IpAddr>> {
    let all = getifaddrs().context("cannot tell the addresses of this host")?;
    let ip = |address: nix::sys::socket::SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    Ok(all.filter_map(|interface| interface.address.and_then(ip)).filter(|ip| !ip.is_loopback()).collect())
}
