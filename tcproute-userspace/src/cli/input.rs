//! Where a command has its resources from: files, a cluster, a control plane, or several of them.

use std::{mem, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use tokio::{sync::watch, time::Instant};
use tracing::warn;

use super::{BadUsage, ReadingArguments, control_plane::ControlPlaneArguments};
use crate::{
    policy::Compat,
    resources::{MeshName, Resources},
    sources::{
        self, Sources,
        control_plane::{self, Meshes},
        files,
        kubernetes::{self, Access, Cluster, Complaint, PodChoice},
        last_good::{LastGood, StateDirectory},
        snapshot::{Health, Snapshot, Stream},
    },
    workloads::pods::LocalPods,
};

/// Where resources come from.
#[derive(Debug, Args)]
pub(super) struct SourceArguments {
    /// Where resources come from. May be given several times: what two have is the earlier one's [default: files, if
    /// there are --resources, or else control-plane, if there is a --url, or else kubernetes]
    #[arg(long = "source", value_enum, value_name = "SOURCE")]
    sources: Vec<SourceKind>,
    /// YAML or JSON files, or directories of them.
    #[arg(short = 'f', long, visible_alias = "filename", num_args = 1.., value_name = "PATH")]
    resources: Vec<PathBuf>,
    #[command(flatten)]
    reading: ReadingArguments,
    /// How the API server is reached [default: by the service account of the pod that this runs in, or else as kubectl
    /// does]
    #[arg(long, value_name = "PATH")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The namespace of Kuma's control plane.
    #[arg(long, default_value = "kuma-system", value_name = "NAME")]
    system_namespace: String,
    #[command(flatten)]
    control_plane: ControlPlaneArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SourceKind {
    /// Those of --resources.
    Files,
    /// What an API server has.
    Kubernetes,
    /// What a control plane of Kuma has.
    ControlPlane,
}

/// What was read once.
pub(super) struct Loaded {
    pub(super) resources: Resources,
    /// Whose rules a control plane goes by, if it tells.
    pub(super) compat: Option<Compat>,
    /// Whether some of it is of a cluster.
    pub(super) in_cluster: bool,
}

/// What is followed.
pub(super) struct Followed {
    pub(super) sources: Sources,
    /// The pods of the node, if there is a cluster.
    pub(super) pods: Option<watch::Receiver<LocalPods>>,
    /// Takes what is wrong with pods.
    pub(super) complaints: Option<watch::Sender<Vec<Complaint>>>,
    /// Each source by itself.
    pub(super) streams: Vec<Stream>,
}

/// So long a server may take to be read once.
const PATIENCE: Duration = Duration::from_mins(1);

impl SourceArguments {
    /// How files are read.
    pub(super) const fn strictness(&self) -> sources::Strictness {
        self.reading.strictness()
    }

    /// In the order of their rank.
    fn kinds(&self) -> Result<Vec<SourceKind>, BadUsage> {
        let mut kinds = Vec::new();
        for kind in &self.sources {
            if !kinds.contains(kind) {
                kinds.push(*kind);
            }
        }
        if kinds.is_empty() {
            kinds.push(match (self.resources.is_empty(), self.control_plane.is_given()) {
                (false, _) => SourceKind::Files,
                (true, true) => SourceKind::ControlPlane,
                (true, false) => SourceKind::Kubernetes,
            });
        }
        if self.control_plane.is_given() && !kinds.contains(&SourceKind::ControlPlane) {
            return Err(BadUsage(
                "--url is asked only with --source control-plane beside the others".to_owned(),
            ));
        }
        match (kinds.contains(&SourceKind::Files), self.resources.is_empty()) {
            (true, true) => Err(BadUsage("--source files needs --resources PATH".to_owned())),
            (false, false) => {
                Err(BadUsage("--resources are read only with --source files beside the others".to_owned()))
            }
            _ => Ok(kinds),
        }
    }

    /// Whether anything but files that are named without it is read.
    pub(super) fn is_given(&self) -> bool {
        !self.sources.is_empty() || self.control_plane.is_given()
    }

    /// Whether it is said in any way where resources come from.
    pub(super) fn is_named(&self) -> bool {
        let of_cluster = self.kubeconfig.is_some() || self.context.is_some();
        self.is_given() || of_cluster || !self.resources.is_empty()
    }

    /// Takes the files that are named, unless they are a source: then they are what is looked at.
    pub(super) fn take_files(&mut self) -> Vec<PathBuf> {
        if self.sources.contains(&SourceKind::Files) { Vec::new() } else { mem::take(&mut self.resources) }
    }

    /// Whether a server is asked, which has all that there is of a mesh.
    pub(super) fn has_server(&self) -> Result<bool, BadUsage> {
        Ok(self.kinds()?.iter().any(|kind| *kind != SourceKind::Files))
    }

    /// Whether the routes are of a cluster.
    pub(super) fn in_cluster(&self) -> Result<bool, BadUsage> {
        Ok(self.kinds()?.contains(&SourceKind::Kubernetes))
    }

    fn cluster(
        &self,
        node: Option<String>,
        pods: PodChoice,
        compat: Option<Compat>,
        events: bool,
    ) -> Cluster {
        kubernetes::follow(kubernetes::Options {
            access: Access { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() },
            node,
            pods,
            system_namespace: self.system_namespace.clone(),
            compat,
            events,
        })
    }

    /// Reads all of it once. What is wrong with files is an error; what a cluster has that cannot be used is left out.
    pub(super) async fn load(&self, compat: Option<Compat>, meshes: Meshes) -> Result<Loaded> {
        let snapshot = self.snapshot(compat, meshes).await?;
        Ok(Loaded { compat: snapshot.compat, resources: snapshot.resources, in_cluster: self.in_cluster()? })
    }

    /// As [`Self::load`], with what is rejected.
    pub(super) async fn snapshot(&self, compat: Option<Compat>, meshes: Meshes) -> Result<Snapshot> {
        let kinds = self.kinds()?;
        let mut parts = Vec::new();
        for kind in &kinds {
            match kind {
                SourceKind::Files => {
                    let resources = sources::load(&self.resources, self.reading.strictness())?;
                    parts.push((files::NAME, Snapshot { resources, ..Snapshot::default() }.into()));
                }
                SourceKind::Kubernetes => {
                    let cluster = self.cluster(None, PodChoice::Meshed, compat, false);
                    let snapshot = read_once(cluster.stream, "the cluster").await?;
                    parts.push((kubernetes::NAME, snapshot.into()));
                }
                SourceKind::ControlPlane => {
                    let options = self.control_plane.options(meshes.clone(), compat, false)?;
                    let stream = control_plane::follow(options, LastGood::none())?;
                    let snapshot = read_once(stream, "the control plane").await?;
                    parts.push((control_plane::NAME, snapshot.into()));
                }
            }
        }
        let merged = sources::merge::merge(&parts, &Snapshot::default(), std::time::SystemTime::now());
        Ok(Snapshot::clone(&merged))
    }

    /// Follows all of it; of a control plane these meshes. Without a directory for what is in force, the daemon does
    /// all but keep it.
    pub(super) fn follow(
        &self,
        state: &Result<StateDirectory>,
        node: Option<&str>,
        pods: &PodChoice,
        compat: Option<Compat>,
        events: bool,
        meshes: &[MeshName],
    ) -> Result<Followed> {
        if let Err(error) = state {
            warn!("what is in force is not kept for the next start: {error:#}");
        }
        let (mut all, mut followed_pods, mut complaints) = (Vec::new(), None, None);
        for kind in self.kinds()? {
            match kind {
                SourceKind::Files => {
                    let last_good = LastGood::open(state.as_ref(), files::NAME);
                    let files = files::follow(self.resources.clone(), self.reading.strictness(), last_good);
                    all.push((files::NAME, files.context("cannot follow files")?));
                }
                SourceKind::Kubernetes => {
                    let cluster = self.cluster(node.map(str::to_owned), pods.clone(), compat, events);
                    all.push((kubernetes::NAME, cluster.stream));
                    followed_pods = Some(cluster.pods);
                    complaints = Some(cluster.complaints);
                }
                SourceKind::ControlPlane => {
                    let meshes = Meshes::Named(meshes.iter().cloned().collect());
                    let options = self.control_plane.options(meshes, compat, true)?;
                    let last_good = LastGood::open(state.as_ref(), control_plane::NAME);
                    let stream = control_plane::follow(options, last_good);
                    all.push((control_plane::NAME, stream.context("cannot follow a control plane")?));
                }
            }
        }
        let streams = all.iter().map(|(_, stream)| stream.clone()).collect();
        Ok(Followed { sources: Sources::new(all), pods: followed_pods, complaints, streams })
    }
}

/// Waits for the first whole answer.
async fn read_once(mut stream: Stream, of: &str) -> Result<Snapshot> {
    let until = Instant::now() + PATIENCE;
    let mut why = "it has not answered".to_owned();
    loop {
        let snapshot = stream.borrow_and_update().snapshot.clone();
        match &snapshot.health {
            Health::Well | Health::Late { .. } => return Ok(Snapshot::clone(&snapshot)),
            Health::Awaited => {}
            // Tried again by itself, but nobody waits for that.
            Health::Failing { why, .. } => bail!("cannot read {of}: {why}"),
        }
        match tokio::time::timeout_at(until, stream.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => "it is not followed any more".clone_into(&mut why),
            Err(_) => bail!("cannot read {of} within {} s: {why}", PATIENCE.as_secs()),
        }
    }
}
