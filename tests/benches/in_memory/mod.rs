//! An agent within this process, for benchmarks: with snapshots from memory, as those of an API server are, and the
//! real kernel.

use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tcproute::{
    agent::{self, Agent, Handle, Inputs, Settings},
    bpf::{
        linked::PinnedLinks,
        pins::{PinDirectory, SpareBpffs},
        requirements,
    },
    plan::{Room, Selection},
    resources::{MeshName, Resource, Resources},
    routing,
    sidecar::{self, Mode},
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
use tcproute_tests::tcproute::Bpffs;
use tokio::sync::{oneshot, watch};

/// Longer than anything takes.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// What is in some documents.
pub(crate) fn parse(text: &str) -> Result<Resources> {
    Ok(sources::parse(Path::new("bench.yaml"), text.as_bytes())?)
}

/// These with one document more, or in the place of another one.
pub(crate) fn with(resources: &Resources, document: &str) -> Result<Resources> {
    let mut all = resources.clone();
    let one = parse(document)?;
    one.dataplanes.values().for_each(|it| all.add(Resource::Dataplane(Arc::clone(it))));
    one.tcp_routes.values().for_each(|it| all.add(Resource::TcpRoute(Arc::clone(it))));
    Ok(all)
}

/// What an agent hears of.
pub(crate) struct Input<'a> {
    pub(crate) resources: &'a Resources,
    /// Dataplanes and the cgroups, or patterns of cgroups, of their workloads.
    pub(crate) workloads: &'a [(String, &'a Path)],
    pub(crate) sidecar: Mode,
}

/// Starts an agent, and tells how long that took until its routes were in force. Then something is done on a thread of
/// its own, with what shows how the agent is and what hands it a snapshot.
pub(crate) fn run<T: Send>(
    input: &Input<'_>,
    drive: impl FnOnce(&Handle, &dyn Fn(&Resources)) -> Result<T> + Send,
) -> Result<(Duration, T)> {
    requirements::check()?;
    let bpffs = Bpffs::mount();
    let hierarchy = Cgroup2::find()?;
    let named = |(dataplane, path): &(String, &Path)| -> Result<Named> {
        let dataplane = DataplaneName { mesh: MeshName::default(), name: dataplane.as_str().into() };
        Ok(Named::by_path(&hierarchy, dataplane, path)?)
    };
    let all_named = input.workloads.iter().map(named).collect::<Result<Vec<Named>>>()?;
    let pins = PinDirectory::claim(bpffs.path(), SpareBpffs::mount())?;
    let links = PinnedLinks::new(pins.link_directories()?);
    let settings = settings(input.sidecar);
    let runtime = tokio::runtime::Runtime::new()?;
    let done = runtime.block_on(async {
        let latest = |resources: &Resources| {
            Latest::first(Snapshot { resources: resources.clone(), ..Snapshot::default() })
        };
        let latest_first = latest(input.resources);
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
        // On a thread of its own, which may look all the time.
        thread::scope(|scope| {
            let driver = scope.spawn(move || {
                let send = |resources: &Resources| {
                    told.send_replace(latest(resources));
                };
                let driven = drive(&handle, &send);
                let _ = done.send(());
                driven
            });
            let served = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(agent.serve_until(until))
            });
            served?.context("the changes were given up")?;
            let Ok(driven) = driver.join() else { bail!("the changes have failed") };
            Ok((ready, driven?))
        })
    });
    runtime.shutdown_background();
    if let Some(error) = pins.remove().failures.into_iter().next() {
        return Err(error);
    }
    done
}

/// With room for all.
fn settings(mode: Mode) -> Settings {
    Settings {
        routing: routing::Options::default(),
        goes_by_sources: false,
        log_decisions: false,
        selection: Selection::Random,
        ejection: None,
        drain: None,
        max_map_memory: 8 << 30,
        sockets: 1 << 20,
        quota: Room { routes: 1_000_000, endpoints: 1_000_000 },
        sidecar: sidecar::Settings { mode, ..sidecar::Settings::default() },
    }
}
