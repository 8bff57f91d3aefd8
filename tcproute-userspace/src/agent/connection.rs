//! What the programs remember of a socket, with the names of what it means.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use tcproute_common::ConnectionState;

use super::in_force::InForce;
use crate::{bpf::events, outcomes::timestamp, plan::RefName, trace::RoutedConnection};

/// Of the socket with this cookie; `None` if it was not routed, or keeps its state itself since its place is taken.
pub(super) fn routed(in_force: &InForce<'_>, cookie: u64) -> Result<Option<RoutedConnection>> {
    let Some(state) = in_force.datapath.state_of(cookie)? else { return Ok(None) };
    // What is not counted may be of any workload that dials this.
    let counted = in_force.layout.counted().find(|(.., at)| *at == state.outcomes && *at != 0);
    let Some((key, name, _)) = counted else { return Ok(None) };
    let Some((_, workload)) = in_force.workload(key.workload) else { return Ok(None) };
    let dialled: SocketAddr = state.dialled().into();
    let routes = workload.routes.as_ref();
    let route = routes.and_then(|routes| routes.routes.at(dialled));
    let destination = route.map(|route| &route.destination);
    let current = destination.is_some_and(|destination| {
        let names = RefName::of(destination).into_iter().zip(&destination.backends);
        let mut weighted = names.filter(|(_, backend)| backend.weight.get() > 0);
        weighted.any(|(other, _)| other == **name)
    });
    Ok(Some(RoutedConnection {
        cookie,
        mesh: routes.map(|routes| routes.mesh.to_string()).unwrap_or_default(),
        dataplane: routes.map(|routes| routes.dataplane.clone()).unwrap_or_default(),
        cgroup: workload.path.clone(),
        service: destination.map(|destination| destination.service.to_string()),
        dialled,
        endpoint: state.chosen().into(),
        backend: Some(name.target.clone()),
        policies: destination.map(|destination| destination.policies.clone()).unwrap_or_default(),
        current,
        started: started(&state)?,
    }))
}

fn started(state: &ConnectionState) -> Result<Option<jiff::Timestamp>> {
    if state.started == 0 {
        return Ok(None);
    }
    let now = Duration::from_nanos(events::now()?).as_micros();
    let age = (now as u32).wrapping_sub(state.started);
    Ok(Some(timestamp(SystemTime::now() - Duration::from_micros(age.into()))))
}
