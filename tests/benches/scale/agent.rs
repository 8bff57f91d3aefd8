//! The agent with snapshots from memory, and the real kernel: how soon a snapshot is in force.

use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tcproute::{
    agent::{self, Handle, State},
    resources::{Dataplane, Resource, Resources},
    sidecar::Mode,
};
use tcproute_tests::cgroup::TestCgroup;

use crate::{
    in_memory::{Input, PATIENCE, parse, run, with},
    input::{self, Size},
    latency::{Latencies, TRIES},
};

/// What was measured.
pub(crate) struct Measured {
    pub(crate) ready: Duration,
    pub(crate) weight: Latencies,
    pub(crate) endpoint: Latencies,
    pub(crate) workload: Latencies,
}

/// All resources. The local Dataplanes differ by name only, so one is read and the others are copies.
fn resources(size: Size) -> Result<Resources> {
    let mut text = size.endpoints();
    text.push_str(&input::endpoint(0, 0, false));
    text.push_str(&size.policies(90));
    text.push_str(&input::policy(0, 90));
    text.push_str(&size.local(0));
    let mut all = parse(&text)?;
    let local = all.dataplanes.values().find(|dataplane| !dataplane.outbounds.is_empty());
    let local = Arc::clone(local.context("there is a local Dataplane")?);
    for workload in 1..size.workloads {
        let mut copy = Dataplane::clone(&local);
        copy.name.name = input::dataplane(workload).into();
        all.add(Resource::Dataplane(Arc::new(copy)));
    }
    Ok(all)
}

/// Starts an agent in this process, and changes its snapshots.
pub(crate) fn measure(size: Size) -> Result<Measured> {
    let resources = resources(size)?;
    let parent = TestCgroup::create();
    let cgroups: Vec<TestCgroup> =
        (0..size.workloads).map(|workload| parent.child(&format!("workload-{workload}"))).collect();
    let new = parent.path().join("new-*");
    let mut workloads: Vec<(String, &Path)> =
        (0..).zip(&cgroups).map(|(workload, cgroup)| (input::dataplane(workload), cgroup.path())).collect();
    workloads.push((input::dataplane(0), &new));
    let input = Input { resources: &resources, workloads: &workloads, sidecar: Mode::Auto };
    let (ready, (weight, endpoint, workload)) =
        run(&input, |handle, send| changes(handle, &resources, send, &parent))?;
    Ok(Measured { ready, weight, endpoint, workload })
}

/// Of a weight, an endpoint and a workload.
fn changes(
    handle: &Handle,
    resources: &Resources,
    send: impl Fn(&Resources),
    parent: &TestCgroup,
) -> Result<(Latencies, Latencies, Latencies)> {
    let many = |document: &dyn Fn(usize) -> String| -> Result<Latencies> {
        let mut times = Vec::new();
        for number in 0..TRIES {
            let changed = with(resources, &document(number))?;
            times.push(until_applied(handle, || send(&changed), |_| true)?);
        }
        Ok(Latencies::new(times))
    };
    let weight = many(&|number| input::policy(0, 50 + u32::try_from(number).unwrap_or(0)))?;
    let endpoint = many(&|number| input::endpoint(0, 0, number % 2 == 0))?;
    let (mut times, mut new) = (Vec::new(), Vec::new());
    for number in 0..TRIES {
        let before = handle.state().workloads.len();
        let make = || new.push(parent.child(&format!("new-{number}")));
        times.push(until_applied(handle, make, |state| state.workloads.len() > before)?);
    }
    Ok((weight, endpoint, Latencies::new(times)))
}

/// From a change until the agent has told that something new is in force.
fn until_applied(
    handle: &Handle,
    change: impl FnOnce(),
    is_there: impl Fn(&State) -> bool,
) -> Result<Duration> {
    let before = handle.state().last.map(|last| last.at);
    let begun = Instant::now();
    change();
    loop {
        let state = handle.state();
        let applied = state.last.filter(|last| Some(last.at) != before);
        if applied.is_some_and(|last| last.result == agent::Reconciled::Applied) && is_there(&state) {
            return Ok(begun.elapsed());
        }
        ensure!(begun.elapsed() < PATIENCE, "a change does not come in force: {:?}", state.kernel_error);
        thread::sleep(Duration::from_micros(50));
    }
}
