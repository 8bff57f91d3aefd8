//! Endpoints that do not answer are taken out for a while, where that is asked for.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use rustc_hash::{FxHashMap, FxHashSet};
use tcproute_common::{FailingKey, RouteKey};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{in_force::InForce, settle::Out, state::EjectedState};
use crate::plan::{EjectedMember, EjectionPolicy, Ejections, RefName};

/// Dead endpoints, by a clock of their own.
pub(super) struct Ejecting {
    begin: Instant,
    ejections: Ejections,
    /// Whether failures may be counted of endpoints that have left.
    routes_changed: bool,
}

impl Ejecting {
    pub(super) fn new(policy: EjectionPolicy) -> Self {
        Self { begin: Instant::now(), ejections: Ejections::new(policy), routes_changed: false }
    }

    /// Takes out who has failed often enough, and puts in again whose time is over. Whether there are any.
    pub(super) fn look(&mut self, in_force: &mut InForce<'_>) -> Result<bool> {
        let now = self.begin.elapsed();
        let after = self.ejections.policy().after;
        let back = self.ejections.put_in(now);
        let mut failing = in_force.datapath.failing()?;
        if std::mem::take(&mut self.routes_changed) && !failing.is_empty() {
            failing = forget_departed(failing, in_force)?;
        }
        failing.retain(|(_, count)| *count >= after);
        if back.is_empty() && failing.is_empty() {
            return Ok(false);
        }
        let mut changed = !back.is_empty();
        for EjectedMember { key, name, endpoint } in &back {
            let (target, endpoint) = (&name.target, SocketAddr::from(*endpoint));
            info!("{endpoint} of {target} is tried again");
            if let Some(at) = in_force.layout.counted_at(key, name) {
                let failing = FailingKey { endpoint: endpoint.into(), outcomes: at };
                in_force.datapath.forgive(failing, key.workload)?;
            }
        }
        if failing.is_empty() {
            return Ok(changed);
        }
        let names = names(&failing, in_force);
        for (failing, _) in failing {
            let Some((key, name)) = names.get(&failing.outcomes).cloned() else { continue };
            in_force.datapath.forgive(failing, key.workload)?;
            let target = name.target.clone();
            let member = EjectedMember { key, name, endpoint: failing.endpoint };
            if self.ejections.eject(member, now) {
                let endpoint = SocketAddr::from(failing.endpoint);
                warn!("{endpoint} of {target} is taken out: {after} connections in a row have failed");
                changed = true;
            }
        }
        Ok(changed)
    }

    /// Endpoints may have left.
    pub(super) const fn routes_changed(&mut self) {
        self.routes_changed = true;
    }

    /// The endpoints that are out, by route. Those that have left their route are forgotten.
    pub(super) fn out(&mut self, in_force: &InForce<'_>) -> BTreeMap<RouteKey, Out> {
        self.ejections.retain(|member| in_force.has_endpoint(&member.key, &member.name, &member.endpoint));
        self.ejections.by_route()
    }

    /// Who is out, for others to see, and how often anybody was taken out.
    pub(super) fn shown(&self, in_force: &InForce<'_>) -> (Vec<EjectedState>, u64) {
        let now = self.begin.elapsed();
        let out = self.ejections.out().map(|(member, until)| {
            let workload = in_force.workload(member.key.workload);
            let routes = workload.and_then(|(_, workload)| workload.routes.as_ref());
            EjectedState {
                dataplane: routes.map(|routes| routes.dataplane.clone()).unwrap_or_default(),
                dialled: member.key.dialled.into(),
                backend: member.name.target.clone(),
                endpoint: member.endpoint.into(),
                until: SystemTime::now() + until.saturating_sub(now),
            }
        });
        (out.collect(), self.ejections.total())
    }
}

/// The backendRefs of these failures, by their entry of `outcomes`.
fn names(failing: &[(FailingKey, u32)], in_force: &InForce<'_>) -> FxHashMap<u32, (RouteKey, RefName)> {
    let wanted: FxHashSet<u32> = failing.iter().map(|(failing, _)| failing.outcomes).collect();
    let named = in_force.layout.counted().filter(|(.., at)| wanted.contains(at));
    named.map(|(key, name, at)| (at, (*key, RefName::clone(name)))).collect()
}

/// Forgets the failures of endpoints that are in their backendRef no more, or whose route or workload has gone. Answers
/// with the others.
fn forget_departed(
    failing: Vec<(FailingKey, u32)>,
    in_force: &mut InForce<'_>,
) -> Result<Vec<(FailingKey, u32)>> {
    let names = names(&failing, in_force);
    let mut wanted = BTreeMap::<RouteKey, FxHashSet<&RefName>>::new();
    for (key, name) in names.values() {
        wanted.entry(*key).or_default().insert(name);
    }
    let endpoints: BTreeMap<RouteKey, _> =
        wanted.iter().map(|(key, names)| (*key, in_force.endpoints(key, names))).collect();
    let (mut there, mut departed) = (Vec::new(), Vec::new());
    for entry in failing {
        let Some((key, name)) = names.get(&entry.0.outcomes) else { continue };
        let of_route = endpoints.get(key).and_then(|of_route| of_route.get(name));
        if of_route.is_some_and(|endpoints| endpoints.contains(&entry.0.endpoint)) {
            there.push(entry);
        } else {
            departed.push((entry.0, key.workload));
        }
    }
    departed.into_iter().try_for_each(|(failing, workload)| in_force.datapath.forgive(failing, workload))?;
    Ok(there)
}

/// How often failures are looked at.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);
