//! The agent with snapshots from memory, and the real kernel: how soon a snapshot is in force.

use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tcproute::{
    agent::{self, Agent, Handle, Inputs, Settings, State},
    bpf::{
        linked::PinnedLinks,
        pins::{PinDirectory, SpareBpffs},
        requirements,
    },
    plan::{Room, Selection},
    resources::{Dataplane, MeshName, Resource, Resources},
    routing, sidecar,
    sources::{
        self, Sources,
        snapshot::{Latest, Snapshot},
    },
    workloads::{
        DataplaneName,
        cgroups::Cgroup2,
        named::{AllNamed, Named, NamedCgroups},
        together::Workloads,
    },
};
use tcproute_tests::{cgroup::TestCgroup, tcproute::Bpffs};
use tokio::sync::{oneshot, watch};

use crate::{
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

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_mins(2);

fn parse(text: &str) -> Result<Resources> {
    Ok(sources::parse(Path::new("bench.yaml"), text.as_bytes())?)
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

/// These with one document more, or in the place of another one.
fn with(resources: &Resources, document: &str) -> Result<Resources> {
    let mut all = resources.clone();
    let one = parse(document)?;
    one.dataplanes.values().for_each(|it| all.add(Resource::Dataplane(Arc::clone(it))));
    one.tcp_routes.values().for_each(|it| all.add(Resource::TcpRoute(Arc::clone(it))));
    Ok(all)
}

/// Starts an agent in this process, and changes its snapshots.
pub(crate) fn measure(size: Size) -> Result<Measured> {
    requirements::check()?;
    let resources = resources(size)?;
    let (parent, bpffs) = (TestCgroup::create(), Bpffs::mount());
    let cgroups: Vec<TestCgroup> =
        (0..size.workloads).map(|workload| parent.child(&format!("workload-{workload}"))).collect();
    let hierarchy = Cgroup2::find()?;
    let named = |dataplane: String, path: &Path| -> Result<Named> {
        let dataplane = DataplaneName { mesh: MeshName::default(), name: dataplane.into() };
        Ok(Named::by_path(&hierarchy, dataplane, path)?)
    };
    let mut all_named = (0..)
        .zip(&cgroups)
        .map(|(workload, cgroup)| named(input::dataplane(workload), cgroup.path()))
        .collect::<Result<Vec<Named>>>()?;
    all_named.push(named(input::dataplane(0), &parent.path().join("new-*"))?);
    let pins = PinDirectory::claim(bpffs.path(), SpareBpffs::mount())?;
    let links = PinnedLinks::new(pins.link_directories()?);
    let settings = Settings {
        routing: routing::Options::default(),
        goes_by_sources: false,
        log_decisions: false,
        selection: Selection::Random,
        ejection: None,
        drain: None,
        max_map_memory: 8 << 30,
        sockets: 1 << 20,
        quota: Room { routes: 1_000_000, endpoints: 1_000_000 },
        sidecar: sidecar::Settings::default(),
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let measured = runtime.block_on(async {
        let latest = |resources: &Resources| {
            Latest::first(Snapshot { resources: resources.clone(), ..Snapshot::default() })
        };
        let latest_first = latest(&resources);
        let first = Arc::clone(&latest_first.snapshot);
        let (told, stream) = watch::channel(latest_first);
        let (desk, handle) = agent::desk();
        let inputs = Inputs {
            first,
            sources: Some(Sources::new(vec![("memory", stream)])),
            dns_interval: PATIENCE,
            names: None,
            workloads: Workloads {
                named: Some(NamedCgroups::new(
                    hierarchy,
                    AllNamed::fixed(all_named),
                    Arc::new(move |it| links.cgroup(it)),
                )),
                pods: None,
            },
            fixed: Vec::new(),
        };
        let begun = Instant::now();
        let mut agent = Agent::start(settings, inputs, Some(&pins), desk).await?;
        let ready = begun.elapsed();
        let (done, until) = oneshot::channel();
        // On a thread of its own, which looks all the time.
        let parent = &parent;
        thread::scope(|scope| {
            let driver = scope.spawn(move || {
                let send = |resources: &Resources| {
                    told.send_replace(latest(resources));
                };
                let measured = changes(&handle, &resources, send, parent);
                let _ = done.send(());
                measured
            });
            let served = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(agent.serve_until(until))
            });
            served?.context("the changes were given up")?;
            let Ok(measured) = driver.join() else { bail!("the changes have failed") };
            let (weight, endpoint, workload) = measured?;
            Ok(Measured { ready, weight, endpoint, workload })
        })
    });
    runtime.shutdown_background();
    if let Some(error) = pins.remove().failures.into_iter().next() {
        return Err(error);
    }
    measured
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
