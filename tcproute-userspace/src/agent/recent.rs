//! How many connections routes have had in the last minutes: what they had counted is kept for so long, a minute apart.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use anyhow::Result;
use rustc_hash::FxHashMap;
use tcproute_common::{RouteKey, SocketAddress};
use tokio::time::Instant;

use super::in_force::InForce;
use crate::{
    outcomes::{RecentConnections, RecentRoute},
    plan::RefName,
    resources::MeshName,
    routing::{Action, ResolvedRoute},
};

/// How often counts are kept,
const INTERVAL: Duration = Duration::from_mins(1);

/// and how many of them.
const KEPT: usize = 5;

/// The counts of more routes would take too long to read.
const MOST: usize = 20_000;

/// How often any backendRef of a route was chosen.
type Chosen = FxHashMap<RouteKey, u64>;

/// What routes had counted.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<(Instant, Chosen)>);

impl Recent {
    /// Keeps what is counted now, if that was not done within the last minute.
    pub(super) fn look(&mut self, in_force: &InForce<'_>, now: Instant) -> Result<()> {
        let routes = in_force.workloads.values().filter_map(|workload| workload.routes.as_ref());
        if routes.map(|routes| routes.routes.len()).sum::<usize>() > MOST {
            self.0.clear();
        } else if self.is_due(now) {
            self.keep(chosen(in_force)?, now);
        }
        Ok(())
    }

    fn is_due(&self, now: Instant) -> bool {
        self.0.back().is_none_or(|(at, _)| *at + INTERVAL <= now)
    }

    fn keep(&mut self, chosen: Chosen, now: Instant) {
        while self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back((now, chosen));
    }

    /// Since when, and how many each route has had from then on. Counts that have begun anew count from there.
    fn since(&self, chosen: &Chosen, now: Instant) -> Option<(Duration, Chosen)> {
        let (at, before) = self.0.front()?;
        let more = |(key, now): (&RouteKey, &u64)| {
            let before = before.get(key).copied().filter(|before| before <= now).unwrap_or(0);
            (*key, now - before)
        };
        Some((now - *at, chosen.iter().map(more).collect()))
    }
}

/// What routes have had in the last minutes; `None` if that is not kept.
pub(super) fn connections(
    recent: &Recent,
    in_force: &InForce<'_>,
    now: Instant,
) -> Result<Option<RecentConnections>> {
    if recent.0.is_empty() {
        return Ok(None);
    }
    let Some((time, chosen)) = recent.since(&chosen(in_force)?, now) else { return Ok(None) };
    // A Dataplane may have several cgroups.
    let mut routes: BTreeMap<(&MeshName, &str, SocketAddr), u64> = BTreeMap::new();
    for workload in in_force.workloads.values() {
        let Some(resolved) = &workload.routes else { continue };
        for route in &resolved.routes {
            if let Some(connections) = chosen.get(&key(workload.id.get(), route)) {
                *routes.entry((&resolved.mesh, &resolved.dataplane, route.dialled)).or_default() +=
                    connections;
            }
        }
    }
    let routes = routes.into_iter().map(|((mesh, dataplane, dialled), connections)| RecentRoute {
        mesh: mesh.to_string(),
        dataplane: dataplane.to_owned(),
        address: dialled.ip(),
        port: dialled.port(),
        connections,
    });
    Ok(Some(RecentConnections { seconds: time.as_secs_f64(), routes: routes.collect() }))
}

fn chosen(in_force: &InForce<'_>) -> Result<Chosen> {
    let mut all = Chosen::default();
    for workload in in_force.workloads.values() {
        let Some(resolved) = &workload.routes else { continue };
        for route in resolved.routes.iter().filter(|route| route.destination.action == Action::Route) {
            let key = key(workload.id.get(), route);
            let mut sum = 0;
            for name in RefName::of(&route.destination).iter().chain([&RefName::nobody()]) {
                sum += in_force.counted(&key, name)?.map_or(0, |counted| counted.chosen());
            }
            all.insert(key, sum);
        }
    }
    Ok(all)
}

fn key(workload: u32, route: &ResolvedRoute) -> RouteKey {
    RouteKey { dialled: SocketAddress::from(route.dialled), workload }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn chosen(counts: &[u64]) -> Chosen {
        let key = |port| RouteKey {
            dialled: SocketAddress::from(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            workload: 1,
        };
        (1..).zip(counts).map(|(port, count)| (key(port), *count)).collect()
    }

    #[test]
    fn what_has_come_in_the_last_minutes_is_told() {
        let start = Instant::now();
        let mut recent = Recent::default();
        assert_eq!(recent.since(&chosen(&[7]), start), None, "nothing is kept yet");
        for minute in 0..8_u32 {
            let now = start + INTERVAL * minute;
            assert!(recent.is_due(now));
            recent.keep(chosen(&[u64::from(minute) * 60]), now);
            assert!(!recent.is_due(now + INTERVAL / 2));
        }
        // Kept at minutes 3 to 7. The second route is new.
        let now = start + INTERVAL * 7 + Duration::from_secs(30);
        let (time, since) = recent.since(&chosen(&[450, 9]), now).unwrap();
        assert_eq!(time, Duration::from_secs(270));
        assert_eq!(since, chosen(&[270, 9]));
        // One that has begun to count anew.
        assert_eq!(recent.since(&chosen(&[5]), now).unwrap().1, chosen(&[5]));
    }
}
