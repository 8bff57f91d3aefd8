//! Resources in a cluster of Kubernetes, and the pods of this node.
//!
//! - `kinds`: what is watched; `discovery`: what of it is there.
//! - `access`, `failure`: the API server and what it does not give.
//! - `watch`: one kind, listed and followed for good.
//! - `head`: what every object has; `object`: what is used of it; `pod`, `service`, `namespace`, `endpoint_slice`,
//!   `virtual_outbounds` of which kinds.
//! - `provisional`: the Dataplane that a pod will have; `slices`: the endpoints of pods that never have one.
//! - `store`: all of it as one snapshot.
//! - `events`: what is wrong, told in the cluster.
//! - `rbac`: what the API server has to allow; `rights`: what it does not.

mod access;
mod discovery;
mod endpoint_slice;
mod events;
mod failure;
mod head;
mod kinds;
mod namespace;
mod object;
mod pod;
mod provisional;
pub mod rbac;
pub mod rights;
mod service;
mod slices;
mod store;
mod virtual_outbounds;
mod watch;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{Notify, mpsc, watch as channel},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use super::{
    backoff::Backoff,
    name::SourceName,
    snapshot::{Health, Kept, LastAnswer, Latest, Snapshot, Stream},
};
use crate::{policy::Compat, workloads::pods::LocalPods};
use access::Server;
use discovery::Installed;
use failure::Failure;
use kinds::{Scope, WatchedKind};
use object::Reading;
use store::{Store, Which};
use watch::{Told, Watch, What, selectors};

pub use access::Access;
pub use events::{Complaint, Regarding};

/// The kinds of Kuma that are watched.
#[cfg(test)]
pub(super) fn kumas_kinds() -> impl Iterator<Item = &'static str> {
    kinds::KUMA.iter().map(|kind| kind.kind)
}

/// This source in what is told of it.
pub const NAME: SourceName = "kubernetes";

/// What is followed.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the API server is reached.
    pub access: Access,
    /// The node whose pods are workloads; none where nothing is to be put in force.
    pub node: Option<String>,
    /// Which of them.
    pub pods: PodChoice,
    /// Where the control plane is installed.
    pub system_namespace: String,
    /// Whose rules are in force; found out if it is not said.
    pub compat: Option<Compat>,
    /// Whether what is wrong with objects is told in the cluster.
    pub events: bool,
}

/// Which pods are workloads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PodChoice {
    /// Those that Kuma has in a mesh, or is to have.
    #[default]
    Meshed,
    /// All.
    All,
    /// Those with these labels, as Kubernetes writes selectors.
    Selected(String),
}

/// A cluster that is followed for as long as somebody listens.
pub struct Cluster {
    /// What it has.
    pub stream: Stream,
    /// The pods of the node that have routes.
    pub pods: channel::Receiver<LocalPods>,
    /// Takes what is wrong with pods, to be told in the cluster.
    pub complaints: channel::Sender<Vec<Complaint>>,
}

/// So long changes are gathered that come at once.
const TOGETHER: Duration = Duration::from_millis(20);

/// So many changes may wait to be taken.
const WAITING: usize = 1024;

/// What a kind that is gone is told to be at first: so often it must be missed.
const MISSED: u32 = 2;

/// Follows a cluster.
pub fn follow(options: Options) -> Cluster {
    let before = Snapshot { health: Health::Awaited, ..Snapshot::default() };
    let (told, stream) = channel::channel(Latest::first(before));
    let (pods_told, pods) = channel::channel(LocalPods::default());
    let (complaints, of_pods) = channel::channel(Vec::new());
    tokio::spawn(async move {
        let mut follower = Follower::new(options, of_pods);
        follower.serve(&told, &pods_told).await;
    });
    Cluster { stream, pods, complaints }
}

/// What the tasks of a follower tell it.
enum Message {
    Told(Told),
    /// What the cluster has, or why that is not known.
    Discovered(Result<Installed, Failure>),
    /// A kind that the API server does not have any more.
    Gone(WatchedKind),
}

/// How a kind is followed.
#[derive(Default)]
struct Followed {
    /// Whether its watch runs: there is never more than one.
    runs: bool,
    /// How often in a row it was not among those that are installed.
    missed: u32,
}

struct Follower {
    options: Options,
    server: Arc<Server>,
    store: Store,
    /// The kinds of which something is known.
    followed: BTreeMap<WatchedKind, Followed>,
    /// Why it is not known which kinds there are.
    undiscovered: Option<(String, SystemTime)>,
    tasks: JoinSet<()>,
    /// Takes what is wrong with policies.
    complaints: channel::Sender<Vec<Complaint>>,
    sender: mpsc::Sender<Message>,
    receiver: mpsc::Receiver<Message>,
    /// Has it looked which kinds there are.
    look: Arc<Look>,
    answered: LastAnswer,
}

/// When to look which kinds there are.
#[derive(Default)]
struct Look {
    /// Soon.
    soon: Notify,
    /// Whether nothing tells when kinds come, so that it is looked all the time.
    polls: AtomicBool,
    /// Whether a kind is missed, which has to be certain.
    misses: AtomicBool,
}

impl Follower {
    fn new(options: Options, of_pods: channel::Receiver<Vec<Complaint>>) -> Self {
        let which = match options.pods {
            PodChoice::Meshed => Which::Meshed,
            PodChoice::All | PodChoice::Selected(_) => Which::All,
        };
        let server = Arc::new(Server::new(options.access.clone()));
        let (sender, receiver) = mpsc::channel(WAITING);
        let (complaints, of_policies) = channel::channel(Vec::new());
        let mut tasks = JoinSet::new();
        if let (true, Some(node)) = (options.events, &options.node) {
            tasks.spawn(events::write(Arc::clone(&server), node.clone(), of_policies, of_pods));
        }
        Self {
            store: Store::new(which, options.compat.unwrap_or_default()),
            options,
            server,
            followed: BTreeMap::new(),
            undiscovered: None,
            tasks,
            complaints,
            sender,
            receiver,
            look: Arc::default(),
            answered: LastAnswer::default(),
        }
    }

    /// Until nobody listens.
    async fn serve(&mut self, told: &channel::Sender<Latest>, pods: &channel::Sender<LocalPods>) {
        let (server, look, sender) = (Arc::clone(&self.server), Arc::clone(&self.look), self.sender.clone());
        self.tasks.spawn(discover(server, look, sender));
        self.follow_definitions();
        for kind in kinds::CORE {
            if kind.scope != Scope::Node || self.options.node.is_some() {
                self.start(kind);
            }
        }
        if self.options.node.is_some() && self.options.pods != PodChoice::Meshed {
            self.start(kinds::ENDPOINT_SLICES);
        }
        loop {
            let message = tokio::select! {
                message = self.receiver.recv() => message,
                () = told.closed() => return,
            };
            let Some(message) = message else { return };
            let mut since = Instant::now();
            self.take(message, &mut since);
            let until = Instant::now() + TOGETHER;
            while let Ok(Some(more)) =
                timeout(until.saturating_duration_since(Instant::now()), self.receiver.recv()).await
            {
                self.take(more, &mut since);
            }
            if !self.store.take_changed() {
                continue;
            }
            let snapshot = self.store.snapshot(self.undiscovered.as_ref());
            pods.send_if_modified(|before| {
                let differs = before != self.store.local_pods();
                if differs {
                    *before = self.store.local_pods().clone();
                }
                differs
            });
            let (kept, answered) = (Kept::default(), self.answered.clone());
            told.send_replace(Latest { since, snapshot: Arc::new(snapshot), kept, answered });
            let complaints = self.store.complaints();
            self.complaints.send_if_modified(|before| {
                let differs = *before != complaints;
                *before = complaints;
                differs
            });
        }
    }

    fn take(&mut self, message: Message, since: &mut Instant) {
        let now = SystemTime::now();
        match message {
            Message::Told(Told { kind, at, what }) => {
                *since = (*since).min(at);
                match what {
                    What::Listed(objects) => self.store.list(kind, objects, now),
                    What::Applied(object) => self.store.apply(kind, *object, now),
                    What::Removed(name) => self.store.remove(kind, &name),
                    What::Failing(why) => self.store.fail(kind, why, now),
                    What::Well => self.store.go_on(kind),
                }
            }
            Message::Gone(kind) => {
                let why = format!("{}: the API server does not have them any more", kind.plural);
                warn!("{why}: what was known stays until that is certain");
                self.store.fail(kind, why, now);
                self.followed.insert(kind, Followed { runs: false, missed: 1 });
                self.look.misses.store(true, Ordering::Relaxed);
                self.look.soon.notify_one();
            }
            Message::Discovered(Ok(installed)) => {
                if self.undiscovered.take().is_some() {
                    self.store.set_changed();
                }
                self.store.set_discovered();
                self.take_installed(&installed, now);
                if let Some(found) = installed.compat {
                    self.take_compat(found);
                }
            }
            Message::Discovered(Err(failure)) => {
                let since = self.undiscovered.take().map_or(now, |(_, since)| since);
                let why = format!("cannot tell which kinds there are: {failure}");
                self.undiscovered = Some((why, since));
                self.store.set_changed();
            }
        }
    }

    /// Whose rules the cluster's version of Kuma goes by. What was said on the command line stands.
    fn take_compat(&mut self, found: Compat) {
        let before = self.store.found_compat();
        match self.options.compat {
            _ if before == Some(found) => {}
            Some(given) if given != found => {
                warn!("the cluster goes by the rules of {found}, and --compat says {given}: that stands");
            }
            _ => info!("the cluster goes by the rules of {found}"),
        }
        self.store.find_compat(found, self.options.compat);
    }

    fn take_installed(&mut self, installed: &Installed, now: SystemTime) {
        for kind in kinds::KUMA {
            if installed.kinds.contains(&kind) {
                let followed = self.followed.entry(kind).or_default();
                followed.missed = 0;
                if !followed.runs {
                    self.start(kind);
                }
            } else if let Some(followed) = self.followed.get_mut(&kind) {
                followed.missed += 1;
                if followed.missed > MISSED && !followed.runs {
                    warn!("{} are not installed any more: what there was of them is gone", kind.plural);
                    self.followed.remove(&kind);
                    self.store.dismiss(kind, now);
                }
            }
        }
        let misses = self.followed.values().any(|followed| !followed.runs);
        self.look.misses.store(misses, Ordering::Relaxed);
    }

    /// Has it looked which kinds there are whenever one comes or goes.
    fn follow_definitions(&mut self) {
        let (watch, mut told) = self.watch(kinds::DEFINITIONS);
        let look = Arc::clone(&self.look);
        // As long as nothing was told.
        look.polls.store(true, Ordering::Relaxed);
        self.tasks.spawn(async move {
            let looked = async {
                while let Some(Told { what, .. }) = told.recv().await {
                    let is_kumas = match &what {
                        What::Failing(_) => false,
                        What::Listed(_) | What::Well => true,
                        What::Applied(object) => kinds::defines_kumas(&object.name.name),
                        What::Removed(name) => kinds::defines_kumas(&name.name),
                    };
                    look.polls.store(matches!(what, What::Failing(_)), Ordering::Relaxed);
                    if is_kumas {
                        look.soon.notify_one();
                    }
                }
            };
            tokio::join!(watch.follow(), looked);
        });
    }

    fn start(&mut self, kind: WatchedKind) {
        self.followed.insert(kind, Followed { runs: true, missed: 0 });
        self.store.expect(kind);
        let (watch, mut told) = self.watch(kind);
        let messages = self.sender.clone();
        self.tasks.spawn(async move {
            let passed = async {
                while let Some(told) = told.recv().await {
                    if messages.send(Message::Told(told)).await.is_err() {
                        return;
                    }
                }
            };
            let (is_gone, ()) = tokio::join!(watch.follow(), passed);
            if is_gone {
                // Whoever would hear it may have gone.
                let _ = messages.send(Message::Gone(kind)).await;
            }
        });
    }

    /// A watch over a kind, and what it tells.
    fn watch(&self, kind: WatchedKind) -> (Watch, mpsc::Receiver<Told>) {
        let (sender, told) = mpsc::channel(WAITING);
        let selected = match &self.options.pods {
            PodChoice::Selected(labels) => Some(labels.as_str()),
            PodChoice::Meshed | PodChoice::All => None,
        };
        let watch = Watch {
            kind,
            server: Arc::clone(&self.server),
            reading: Reading::new(kind),
            told: sender,
            path: kind.path(&self.options.system_namespace),
            selectors: selectors(kind, self.options.node.as_deref(), selected),
            rule: kind.rule(&self.options.system_namespace),
            count: self.store.count(kind),
            answered: self.answered.clone(),
        };
        (watch, told)
    }
}

/// Looks which kinds there are, now and then, for as long as somebody listens.
async fn discover(server: Arc<Server>, look: Arc<Look>, sender: mpsc::Sender<Message>) {
    let mut backoff = Backoff::default();
    let mut before: Option<Installed> = None;
    let mut restless = Instant::now() + discovery::RESTLESS;
    loop {
        let found = discovery::discover(&server).await;
        let wait = match &found {
            Ok(installed) => {
                backoff.reset();
                if before.as_ref() != Some(installed) {
                    info!("the cluster has of Kuma: {}", installed.told());
                    before = Some(installed.clone());
                }
                let is_restless = Instant::now() < restless
                    || look.polls.load(Ordering::Relaxed)
                    || look.misses.load(Ordering::Relaxed);
                let interval = if is_restless { discovery::INTERVAL } else { discovery::SELDOM };
                interval.mul_f64(0.5 + fastrand::f64() / 2.0)
            }
            Err(Failure::TooMany(Some(after))) => backoff.after(*after, fastrand::f64()),
            Err(_) => backoff.next(fastrand::f64()),
        };
        if sender.send(Message::Discovered(found)).await.is_err() {
            return;
        }
        tokio::select! {
            () = sleep(wait) => {}
            () = look.soon.notified() => {
                restless = Instant::now() + discovery::RESTLESS;
                sleep(SOON).await;
            }
            () = sender.closed() => return,
        }
    }
}

/// So long before it is looked again which kinds there are, where one has come or gone.
const SOON: Duration = Duration::from_secs(5);
