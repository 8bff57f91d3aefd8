//! Endpoints that do not answer are taken out for a while, where that is asked for.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Agent, state::EjectedState};
use crate::plan::{EjectedMember, EjectionPolicy, Ejections};

/// Dead endpoints, by a clock of their own.
pub(super) struct Ejecting {
    begin: Instant,
    ejections: Ejections,
}

impl Ejecting {
    pub(super) fn new(policy: EjectionPolicy) -> Self {
        Self { begin: Instant::now(), ejections: Ejections::new(policy) }
    }

    pub(super) const fn ejections(&mut self) -> &mut Ejections {
        &mut self.ejections
    }
}

impl Agent<'_> {
    /// Takes out who has failed often enough, and puts in again whose time is over.
    pub(super) fn look_after_endpoints(&mut self) {
        match self.ejected_or_back() {
            Ok(false) => {}
            Ok(true) => self.bring_in_step(Instant::now(), "an endpoint was taken out or put in again"),
            Err(error) => warn!("cannot tell which endpoints fail: {error:#}"),
        }
    }

    /// Whether there are any.
    fn ejected_or_back(&mut self) -> Result<bool> {
        let Some(ejecting) = &mut self.ejecting else { return Ok(false) };
        let now = ejecting.begin.elapsed();
        let after = ejecting.ejections.policy().after;
        let back = ejecting.ejections.put_in(now);
        let failing: Vec<_> = self.datapath.failing(after)?;
        if back.is_empty() && failing.is_empty() {
            return Ok(false);
        }
        let names: BTreeMap<u32, _> =
            self.layout.slots().map(|(key, name, slot)| (slot, (*key, name.clone()))).collect();
        let mut changed = !back.is_empty();
        for EjectedMember { key, name, endpoint } in &back {
            let (target, endpoint) = (&name.target, SocketAddr::from(*endpoint));
            info!("{endpoint} of {target} is tried again");
            if let Some(slot) = self.layout.slot(key, name) {
                self.datapath.forgive(endpoint.into(), slot)?;
            }
        }
        for failing in failing {
            self.datapath.forgive(failing.endpoint, failing.outcomes)?;
            let Some((key, name)) = names.get(&failing.outcomes).cloned() else { continue };
            let target = name.target.clone();
            let member = EjectedMember { key, name, endpoint: failing.endpoint };
            if ejecting.ejections.eject(member, now) {
                let endpoint = SocketAddr::from(failing.endpoint);
                warn!("{endpoint} of {target} is taken out: {after} connections in a row have failed");
                changed = true;
            }
        }
        Ok(changed)
    }

    /// Who is out, for others to see.
    pub(super) fn show_ejected(&mut self) {
        let Some(ejecting) = &self.ejecting else { return };
        let now = ejecting.begin.elapsed();
        let workloads: BTreeMap<u32, String> =
            self.workloads().map(|workload| (workload.id.get(), workload.routes.dataplane.clone())).collect();
        let out = ejecting.ejections.out().map(|(member, until)| EjectedState {
            dataplane: workloads.get(&member.key.workload).cloned().unwrap_or_default(),
            dialled: member.key.dialled.into(),
            backend: member.name.target.clone(),
            endpoint: member.endpoint.into(),
            until: SystemTime::now() + until.saturating_sub(now),
        });
        self.state.ejected = out.collect();
        self.state.ejections = Some(ejecting.ejections.total());
    }
}

/// How often failures are looked at.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);
