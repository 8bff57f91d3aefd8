//! `tcproute run`: the daemon.

use std::{
    ffi::OsString, io, net::SocketAddr, path::PathBuf, process::ExitCode, str::FromStr, sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use nix::unistd::gethostname;
use tokio::{sync::watch, time::Instant};
use tracing::{info, warn};

use super::{
    BadUsage, Input, hosted, input::Followed, metrics::MetricsArguments, otlp::OtlpArguments, reload,
    selector::selector, signals::Signals, uncovered,
};
use crate::{
    admin::{Admin, remote::Opened},
    agent::{self, Agent, Inputs, Settings},
    bpf::{
        linked::PinnedLinks,
        pinned_namespaces,
        pins::{PinDirectory, SpareBpffs},
        requirements,
    },
    confined, drain, otlp,
    otlp::Exporter,
    plan::EjectionPolicy,
    privileges,
    resources::MeshName,
    service_manager,
    sidecar::Mode,
    sources::{
        dns,
        kubernetes::PodChoice,
        last_good::{LastGood, StateDirectory},
        snapshot::Stream,
    },
    workloads::{
        Confirm, DataplaneName,
        cgroups::Cgroup2,
        named::{AllNamed, Named, NamedCgroups},
        pods::{LocalPods, PodCgroups},
        together::Workloads,
    },
};

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Where flags are set that are neither given here nor by a variable of the environment, such as
    /// TCPROUTE_POLL_INTERVAL for --poll-interval [default: /etc/tcproute/config.yaml, if it is there]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(flatten)]
    input: Input,
    /// Refuse to start if anything cannot be used. Otherwise what cannot be used is told and left out.
    #[arg(long)]
    strict: bool,
    /// A local Dataplane and its cgroup: a path from the cgroup2 root or an absolute one. In it `*`, `?` and `[…]`
    /// stand for what they stand for in a shell; each cgroup that matches is a workload. One that is not there is
    /// waited for. auto stands for all Dataplanes with an address of this host whose label or tag tcproute.io/cgroup
    /// names a unit of systemd or a cgroup.
    #[arg(long = "workload", num_args = 1.., value_name = "DATAPLANE=CGROUP|auto")]
    workloads: Vec<WorkloadArgument>,
    /// The node whose pods are workloads [default: $NODE_NAME, or else the name of this host]
    #[arg(long, value_name = "NAME")]
    node_name: Option<String>,
    /// Which of its pods are workloads: meshed for those that Kuma has in a mesh or is to have, all, or those with
    /// labels as in app=web,tier!=cache.
    #[arg(long, default_value = "meshed", value_name = "PODS", value_parser = pod_choice)]
    pods: PodChoice,
    /// Whether to tell in the cluster, by events, which MeshTCPRoutes cannot be used and which pods are not attached.
    #[arg(long, value_enum, default_value_t, value_name = "WHETHER")]
    events: Events,
    /// Take an endpoint out for a while after so many connections to it in a row were refused, timed out or found no
    /// way.
    #[arg(long, value_name = "FAILURES", value_parser = clap::value_parser!(u32).range(1..))]
    eject_after: Option<u32>,
    /// For how many seconds at first; each time that it fails again soon, twice as long, up to 32 times.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = super::seconds, requires = "eject_after")]
    eject_for: Duration,
    /// Close the connections that still lead to an endpoint so many seconds after it has left its route, if it does not
    /// come back. Without this they are kept for as long as they like.
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    drain: Option<Duration>,
    /// Where bpffs is mounted: maps and links are pinned in its folder `tcproute`.
    #[arg(long, default_value = "/sys/fs/bpf", value_name = "DIR")]
    bpffs: PathBuf,
    /// Where the last good form of all that is in force is kept, for a start at which its source is away or holds
    /// something that cannot be used. Made if need be; one daemon only may use it.
    #[arg(long, default_value = "/var/lib/tcproute", value_name = "DIR", overrides_with = "state_dir")]
    state_dir: PathBuf,
    /// So long sources may keep a start waiting that do not answer and of which nothing was kept. Until then all stays
    /// in force that an earlier daemon has left.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = super::seconds)]
    start_timeout: Duration,
    #[command(flatten)]
    admin: super::AdminSocket,
    /// Serve the admin endpoint at this loopback address, too, such as 127.0.0.1:9901. Whoever is on this node may
    /// read it there.
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin_listen: Option<SocketAddr>,
    #[command(flatten)]
    metrics: MetricsArguments,
    #[command(flatten)]
    otlp: OtlpArguments,
    /// All arguments, with what is set elsewhere.
    #[arg(skip)]
    pub(super) taken: Vec<OsString>,
    /// Where links are pinned a second time.
    #[arg(skip = Err(io::ErrorKind::Unsupported.into()))]
    spare: io::Result<SpareBpffs>,
    /// Where metrics are served to others.
    #[arg(skip)]
    opened: Option<Opened>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Events {
    /// They are written.
    #[default]
    On,
    /// They are not.
    Off,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum WorkloadArgument {
    /// The Dataplanes of this host.
    Auto,
    /// One Dataplane and its cgroups.
    Named { mesh: Option<MeshName>, dataplane: String, cgroup: PathBuf },
}

impl FromStr for WorkloadArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let wrong = "must be auto or DATAPLANE=CGROUP, such as frontend-1=/system.slice/frontend.service";
        let (name, cgroup) = text.split_once('=').ok_or(wrong)?;
        // No name has a slash.
        let (mesh, dataplane) = match name.split_once('/') {
            Some((mesh, dataplane)) => (Some(mesh.parse().map_err(|_| wrong)?), dataplane),
            None => (None, name),
        };
        if dataplane.is_empty() || cgroup.is_empty() {
            return Err(wrong.to_owned());
        }
        Ok(Self::Named { mesh, dataplane: dataplane.to_owned(), cgroup: cgroup.into() })
    }
}

impl Run {
    pub(super) const fn logs_decisions(&self) -> bool {
        self.input.log_decisions
    }

    /// Does what takes more privileges than the daemon needs, and gives those up. To be called while this process has
    /// one thread.
    pub(super) fn prepare(&mut self) -> Result<()> {
        requirements::raise_limits();
        self.opened = self.metrics.open()?;
        self.spare = SpareBpffs::mount();
        let visits = self.visits_namespaces();
        privileges::keep_needed(visits)?;
        confined::confine(visits)
    }

    /// Whether there may be anything to be done in other network namespaces: also to end what an earlier daemon has
    /// begun there.
    fn visits_namespaces(&self) -> bool {
        let is_left = || {
            // It is told again when it matters.
            pinned_namespaces(&PinDirectory::place(&self.bpffs, "namespaces"))
                .is_ok_and(|keys| !keys.is_empty())
        };
        self.drain.is_some() || self.input.sidecar.sidecar != Mode::Off || is_left()
    }

    pub(super) async fn run(mut self) -> Result<ExitCode> {
        if let Some(address) = self.admin_listen
            && !address.ip().is_loopback()
        {
            return Err(BadUsage(format!(
                "--admin-listen {address}: only a loopback address will do, since whoever reaches it may read it"
            ))
            .into());
        }
        let in_cluster = self.input.sources.in_cluster()?;
        if self.workloads.is_empty() && !in_cluster {
            return Err(
                BadUsage("without a cluster there must be a --workload DATAPLANE=CGROUP".to_owned()).into()
            );
        }
        let node = in_cluster.then(|| self.node()).transpose()?;
        let otlp = self.otlp.options(node.clone())?;
        let told = otlp.as_ref().map(|options| otlp::Told::new(options.access.target()));
        let remote = self.opened.take().map(Opened::prepare).transpose()?;
        let ejection = self.eject_after.map(|after| EjectionPolicy { after, back_off: self.eject_for });
        requirements::check()?;
        if self.drain.is_some() {
            drain::check().context("--drain does not work here; without it connections are kept")?;
        }
        let hierarchy = Cgroup2::find()?;
        let named = self.named(&hierarchy)?;
        refuse_overlap(&named)?;

        let patience = Instant::now() + self.start_timeout;
        let state = StateDirectory::open(&self.state_dir);
        let compat = self.input.routing.compat;
        let Followed { mut sources, pods: local_pods, complaints, streams } = self.input.sources.follow(
            &state,
            node.as_deref(),
            &self.pods,
            compat,
            self.events == Events::On,
            &self.input.meshes,
        )?;
        let named = self.followed(named, streams, &hierarchy);
        sources.answered(patience, false).await;
        if self.strict && !sources.snapshot().rejected.is_empty() {
            return Err(sources.snapshot().errors().into());
        }

        let pins = PinDirectory::claim(&self.bpffs, self.spare)?;
        service_manager::starting();
        let mut signals = Signals::listen()?;
        let (desk, handle) = agent::desk();
        let (socket, extent) = (&self.admin.admin_socket, self.metrics.extent());
        let admin = Admin::open(socket, self.admin_listen, remote, extent, &handle, told.as_ref())?;
        let is_first = pins.layout()?.is_none() && pins.cgroups()?.is_empty();
        // What is in force is not taken back before it is known what takes its place.
        let answered = tokio::select! {
            answered = sources.answered(patience, !is_first) => answered,
            () = signals.stop() => return stopped_early(admin).await,
        };
        if !answered {
            let seconds = self.start_timeout.as_secs();
            warn!("not all sources have answered within {seconds} s: going on with what there is of them");
        }
        let routing = self.input.routing.options(sources.snapshot().compat, in_cluster);
        let settings = Settings { ejection, drain: self.drain, ..self.input.settings(routing) };
        let links = PinnedLinks::new(pins.link_directories()?);
        if let (Some(pods), Some(complaints)) = (local_pods.clone(), complaints) {
            tokio::spawn(uncovered::tell(handle.clone(), pods, complaints));
        }
        let workloads = workloads(hierarchy, named, local_pods, Arc::new(move |cgroup| links.cgroup(cgroup)));
        let inputs = Inputs {
            first: Arc::clone(sources.snapshot()),
            sources: Some(sources),
            dns_interval: self.input.dns_interval,
            names: Some(LastGood::open(state.as_ref(), dns::NAME)),
            workloads,
            fixed: Vec::new(),
        };
        let started = Agent::start(settings, inputs, Some(&pins), desk).await;
        let mut agent = match started {
            Ok(agent) => agent,
            Err(error) if is_first => {
                // Half of it is worse than nothing. What an earlier daemon has left stays, on the other hand.
                pins.remove().failures.iter().for_each(super::report);
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        info!(workloads = agent.workloads(), "routes in force");
        let exporter = otlp.zip(told).map(|(options, told)| Exporter::start(options, handle.clone(), told));
        let exporter = exporter.transpose().context("cannot send spans")?;
        service_manager::ready(agent.workloads());
        tokio::spawn(service_manager::watch(handle.clone()));
        let look = || {
            service_manager::reloading();
            reload::look(&self.taken);
            service_manager::ready(handle.state().workloads.len());
        };
        agent.serve_until(signals.stop_or(look)).await?;
        stop(agent, admin, exporter).await;
        Ok(ExitCode::SUCCESS)
    }

    fn named(&self, hierarchy: &Cgroup2) -> Result<Vec<Named>, BadUsage> {
        let named = |argument: &WorkloadArgument| match argument {
            WorkloadArgument::Auto => None,
            WorkloadArgument::Named { mesh, dataplane, cgroup } => {
                let mesh = mesh.clone().unwrap_or_else(|| self.input.mesh());
                let name = DataplaneName { mesh, name: dataplane.as_str().into() };
                let named = Named::by_path(hierarchy, name, cgroup);
                Some(named.map_err(|error| BadUsage(format!("--workload {dataplane}: {error}"))))
            }
        };
        self.workloads.iter().filter_map(named).collect()
    }

    /// The cgroups that are named, as they change if Dataplanes name them; none without a name.
    fn followed(
        &self,
        named: Vec<Named>,
        streams: Vec<Stream>,
        hierarchy: &Cgroup2,
    ) -> Option<watch::Receiver<AllNamed>> {
        if self.workloads.contains(&WorkloadArgument::Auto) {
            return Some(hosted::follow(streams, hierarchy.clone(), named));
        }
        (!named.is_empty()).then(|| AllNamed::fixed(named))
    }

    /// The node that this runs on, as the cluster calls it.
    fn node(&self) -> Result<String> {
        let of_environment = || std::env::var("NODE_NAME").ok().filter(|name| !name.is_empty());
        match self.node_name.clone().or_else(of_environment) {
            Some(name) => Ok(name),
            // As kubelet does unless told otherwise.
            None => {
                let name = gethostname().context("cannot tell the name of this host: use --node-name")?;
                Ok(name.to_string_lossy().to_lowercase())
            }
        }
    }
}

/// Those that were named, and the pods of the node.
fn workloads(
    hierarchy: Cgroup2,
    named: Option<watch::Receiver<AllNamed>>,
    pods: Option<watch::Receiver<LocalPods>>,
    confirm: Confirm,
) -> Workloads {
    let pods = pods.map(|pods| PodCgroups::new(hierarchy.clone(), pods, Arc::clone(&confirm)));
    let named = named.map(|named| NamedCgroups::new(hierarchy, named, confirm));
    Workloads { named, pods }
}

/// Leaves the routes as they are.
async fn stop(agent: Agent<'_>, admin: Admin, exporter: Option<Exporter>) {
    service_manager::stopping();
    agent.log_counters();
    let unpinned = agent.unpinned();
    // Listeners to events hear that there are no more.
    drop(agent);
    if let Some(exporter) = exporter {
        exporter.close().await;
    }
    admin.close().await;
    match unpinned {
        None => info!("stopping: the routes stay in force until `tcproute detach`"),
        Some(why) => {
            warn!("stopping: the routes may end with this daemon, since not all is pinned: {why}");
        }
    }
}

async fn stopped_early(admin: Admin) -> Result<ExitCode> {
    admin.close().await;
    Ok(ExitCode::SUCCESS)
}

fn pod_choice(text: &str) -> Result<PodChoice, String> {
    match text {
        "meshed" => Ok(PodChoice::Meshed),
        "all" => Ok(PodChoice::All),
        "" => Err("must be meshed, all or a selector of labels".to_owned()),
        labels => {
            selector(labels)?;
            // The API server takes it as it is written.
            Ok(PodChoice::Selected(labels.to_owned()))
        }
    }
}

/// A workload inside another one would be routed twice: its choice could be the outer one's destination.
/// Those of patterns are only known when they are there.
fn refuse_overlap(named: &[Named]) -> Result<(), BadUsage> {
    let mut paths: Vec<PathBuf> = named.iter().filter_map(Named::path).collect();
    paths.sort();
    // Sorted by components, a path stands right before those below it.
    match paths.windows(2).find(|pair| pair[1].starts_with(&pair[0])) {
        Some(pair) => Err(BadUsage(format!(
            "two workloads overlap: the cgroup {} is inside {}",
            pair[1].display(),
            pair[0].display()
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_api_server_would_take_as_a_selector_of_pods_is_refused_at_once() {
        let labels = "app in (web,db),tier!=cache";
        assert_eq!(pod_choice(labels), Ok(PodChoice::Selected(labels.to_owned())));
        assert_eq!(pod_choice("all"), Ok(PodChoice::All));
        assert!(pod_choice("app in web").is_err() && pod_choice("").is_err());
    }
}
