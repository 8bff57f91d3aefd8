//! Endpoints that do not answer are taken out for a while, where that is asked for.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use tcproute_common::RouteKey;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{in_force::InForce, settle::Out, state::EjectedState};
use crate::plan::{EjectedMember, EjectionPolicy, Ejections, RefName};

/// Dead endpoints, by a clock of their own.
pub(super) struct Ejecting {
    begin: Instant,
    ejections: Ejections,
}

impl Ejecting {
    pub(super) fn new(policy: EjectionPolicy) -> Self {
        Self { begin: Instant::now(), ejections: Ejections::new(policy) }
    }

    /// Takes out who has failed often enough, and puts in again whose time is over. Whether there are any.
    pub(super) fn look(&mut self, in_force: &mut InForce<'_>) -> Result<bool> {
        let now = self.begin.elapsed();
        let after = self.ejections.policy().after;
        let back = self.ejections.put_in(now);
        let failing = in_force.datapath.failing(after)?;
        if back.is_empty() && failing.is_empty() {
            return Ok(false);
        }
        let mut changed = !back.is_empty();
        for EjectedMember { key, name, endpoint } in &back {
            let (target, endpoint) = (&name.target, SocketAddr::from(*endpoint));
            info!("{endpoint} of {target} is tried again");
            if let Some(slot) = in_force.layout.slot(key, name) {
                in_force.datapath.forgive(endpoint.into(), slot)?;
            }
        }
        if failing.is_empty() {
            return Ok(changed);
        }
        let names: BTreeMap<u32, (RouteKey, RefName)> = in_force
            .layout
            .slots()
            .filter(|(.., slot)| failing.iter().any(|failing| failing.outcomes == *slot))
            .map(|(key, name, slot)| (slot, (*key, RefName::clone(name))))
            .collect();
        for failing in failing {
            in_force.datapath.forgive(failing.endpoint, failing.outcomes)?;
            let Some((key, name)) = names.get(&failing.outcomes).cloned() else { continue };
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

/// How often failures are looked at.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);
