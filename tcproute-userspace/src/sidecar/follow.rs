//! The thread that keeps an eye on the network namespaces of workloads.
//!
//! It is told when workloads come and go, when a cgroup gets its first process, and when tables of nftables change.
//! What nobody tells is looked for: tables of iptables-legacy while a namespace is young, and everything each minute.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    eventfd::{EfdFlags, EventFd},
    inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor},
};
use tokio::sync::watch;
use tracing::warn;

use super::{
    everywhere,
    known::Known,
    passage::{Replacing, Whose},
    settings::Settings,
    state::{NamespaceState, State},
};
use crate::{
    bpf::{HeldCount, NamespaceMap},
    workloads::cgroups::CgroupId,
};

/// When to look again for namespaces after a process has come: it may enter one before it becomes another program.
const AFTER: [Duration; 4] = [
    Duration::from_millis(3),
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(100),
];
/// How often to look for what nobody tells, while a namespace is young.
const SOON: Duration = Duration::from_millis(250);
/// And otherwise.
const LATER: Duration = Duration::from_secs(1);
/// How often to look for processes in other namespaces; or so many times as long as that takes, if that is longer.
const FIND: Duration = Duration::from_secs(5);
const FIND_SHARE: u32 = 100;
/// However many processes come and go, there is a pause so many times as long as looking for them takes.
const PAUSE_SHARE: u32 = 10;
/// How often to look at everything.
const ALL: Duration = Duration::from_mins(1);

/// What is to be followed.
#[derive(Debug, Clone, Default)]
pub struct Workloads {
    /// Their cgroups.
    pub cgroups: Arc<BTreeMap<CgroupId, PathBuf>>,
    /// Whether those are all of them. Until then nothing is forgotten that an earlier daemon has left.
    pub complete: bool,
    /// Whether programs of this daemon are behind all of them, which set this daemon's mark.
    pub attached: bool,
}

/// Whether what is done outlives the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// The kernel goes on with it.
    Yes,
    /// It ends with it: it is for one command, which is in this process's own network namespace.
    No,
}

/// The thread, and the way to it.
pub struct Follower {
    shared: Arc<Shared>,
    state: watch::Receiver<Arc<State>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    told: Mutex<Told>,
    wake: EventFd,
}

#[derive(Default)]
struct Told {
    workloads: Workloads,
    ends: bool,
}

impl Shared {
    fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(error) = self.wake.write(1) {
            warn!("cannot wake whoever follows network namespaces: {error}");
        }
    }
}

impl Follower {
    /// Follows these workloads.
    pub fn start(
        settings: Settings,
        map: NamespaceMap,
        held: HeldCount,
        lasting: Lasting,
        workloads: Workloads,
    ) -> Result<Self> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let shared = Arc::new(Shared { told: Mutex::new(Told { workloads, ends: false }), wake });
        let (sender, state) = watch::channel(Arc::default());
        let whose = if lasting == Lasting::No { Whose::Workloads } else { Whose::Daemons };
        let known = Known::new(settings, map, whose);
        let eye = Eye::new(known, held, Arc::clone(&shared), lasting)
            .context("cannot follow network namespaces")?;
        let thread = thread::Builder::new().name("sidecar".to_owned()).spawn(move || eye.follow(&sender))?;
        Ok(Self { shared, state, thread: Some(thread) })
    }

    /// Follows these from now on.
    pub fn tell(&self, workloads: Workloads) {
        self.shared.tell(|told| told.workloads = workloads);
    }

    /// Waits for the first look, after which the map says what there is to be said.
    pub async fn first(&mut self) {
        // It can only end with this value.
        let _ = self.state.wait_for(|state| state.looked).await;
    }

    /// What was seen and done.
    pub fn state(&self) -> watch::Receiver<Arc<State>> {
        self.state.clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.tell(|told| told.ends = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The numbers of events that are of no namespace, whose inodes are large.
const WAKE: u64 = 0;
const CGROUPS: u64 = 1;

struct Eye {
    known: Known,
    held: HeldCount,
    /// How many connections were held when that was looked at last.
    before: u64,
    shared: Arc<Shared>,
    lasting: Lasting,
    epoll: Epoll,
    /// Of the files `cgroup.events`, which change with a cgroup's first and last process.
    inotify: Inotify,
    watched: BTreeMap<PathBuf, WatchDescriptor>,
    found: Option<Instant>,
    finding: Duration,
    /// Whether to look for them as soon as may be.
    finds: bool,
    /// Whether programs of this daemon are behind all workloads.
    attached: bool,
    /// How often to look again, since processes have come.
    again: &'static [Duration],
    looked: Option<Instant>,
    forgotten: bool,
}

impl Eye {
    fn new(known: Known, held: HeldCount, shared: Arc<Shared>, lasting: Lasting) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        epoll.add(&shared.wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        epoll.add(&inotify, EpollEvent::new(EpollFlags::EPOLLIN, CGROUPS))?;
        Ok(Self {
            known,
            held,
            before: 0,
            shared,
            lasting,
            epoll,
            inotify,
            watched: BTreeMap::new(),
            found: None,
            finding: Duration::ZERO,
            finds: true,
            attached: false,
            again: &[],
            looked: None,
            forgotten: false,
        })
    }

    fn follow(mut self, state: &watch::Sender<Arc<State>>) {
        loop {
            let (workloads, ends) = {
                let told = self.shared.told.lock().unwrap_or_else(PoisonError::into_inner);
                (told.workloads.clone(), told.ends)
            };
            if ends {
                if self.lasting == Lasting::No {
                    self.known.leave_all(&self.epoll);
                }
                return;
            }
            self.look(&workloads);
            let now = Arc::new(self.state());
            state.send_if_modified(|before| {
                let differs = *before != now;
                *before = now;
                differs
            });
            self.wait();
        }
    }

    fn look(&mut self, workloads: &Workloads) {
        // Somebody dials in a namespace that is not known, perhaps.
        let held = self.held.read().unwrap_or(self.before);
        let dials = std::mem::replace(&mut self.before, held) != held;
        let is_old = |at: Option<Instant>, age: Duration| at.is_none_or(|at| at.elapsed() >= age);
        self.finds |= dials || is_old(self.found, FIND.max(self.finding * FIND_SHARE));
        if self.finds && is_old(self.found, self.finding * PAUSE_SHARE) {
            self.finds = false;
            let begun = Instant::now();
            self.watch(&workloads.cgroups);
            self.known.find(&workloads.cgroups, &self.epoll);
            self.found = Some(Instant::now());
            self.finding = begun.elapsed();
        }
        // From then on tables of another mark may be replaced.
        let is_attached = std::mem::replace(&mut self.attached, workloads.attached) != workloads.attached;
        let mut ids = if is_attached || is_old(self.looked, ALL) {
            self.looked = Some(Instant::now());
            self.known.ids()
        } else {
            BTreeSet::new()
        };
        ids.extend(self.known.due());
        ids.extend(self.known.suspects());
        let replacing = if workloads.attached { Replacing::Yes } else { Replacing::NotYet };
        self.known.visit(&ids, replacing, &self.epoll);
        if workloads.complete && workloads.attached && !self.forgotten {
            self.forget_others();
        }
    }

    /// What an earlier daemon has left in network namespaces that are none of ours.
    fn forget_others(&mut self) {
        let forgotten = self.known.forget_others().and_then(|others| everywhere::remove(&others));
        self.forgotten = true;
        if let Err(error) = forgotten {
            warn!("what an earlier daemon has left in network namespaces may still be there: {error:#}");
        }
    }

    fn watch(&mut self, cgroups: &BTreeMap<CgroupId, PathBuf>) {
        let paths: BTreeSet<&PathBuf> = cgroups.values().collect();
        self.watched.retain(|path, descriptor| {
            let stays = paths.contains(path);
            if !stays {
                // The kernel may have removed it with the cgroup.
                let _ = self.inotify.rm_watch(*descriptor);
            }
            stays
        });
        for path in paths {
            // Without it, processes are found at an interval.
            if !self.watched.contains_key(path)
                && let Ok(descriptor) =
                    self.inotify.add_watch(&path.join("cgroup.events"), AddWatchFlags::IN_MODIFY)
            {
                self.watched.insert(path.clone(), descriptor);
            }
        }
    }

    fn wait(&mut self) {
        let timeout = if self.known.has_young() { SOON } else { LATER };
        let (timeout, is_again) = match self.again.split_first() {
            Some((&first, rest)) => {
                self.again = rest;
                (first, true)
            }
            None => (timeout, false),
        };
        let until = self.known.next().map(|next| next.saturating_duration_since(Instant::now()));
        // What is due now was looked at just now, and is due again.
        let timeout = until.map_or(timeout, |until| timeout.min(until.max(Duration::from_millis(1))));
        let timeout = if self.finds { timeout.min(self.finding * PAUSE_SHARE) } else { timeout };
        let timeout = EpollTimeout::try_from(timeout).unwrap_or(EpollTimeout::ZERO);
        let mut events = [EpollEvent::empty(); 64];
        // Interrupted or not, everything is looked at in time.
        let count = self.epoll.wait(&mut events, timeout).unwrap_or_else(|_| {
            thread::park_timeout(SOON);
            0
        });
        self.finds |= is_again;
        for event in &events[..count] {
            match event.data() {
                WAKE => {
                    let _ = self.shared.wake.read();
                    self.finds = true;
                }
                CGROUPS => {
                    while self.inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
                    self.finds = true;
                    self.again = &AFTER;
                }
                inode => self.known.changed(inode),
            }
        }
    }

    fn state(&self) -> State {
        let namespaces = self.known.namespaces.iter().map(|(id, one)| NamespaceState {
            inode: id.inode,
            way: one.verdict.way,
            why: one.verdict.why.clone(),
            sidecar: one.sidecar,
            workloads: one.members.clone(),
        });
        State { looked: true, namespaces: namespaces.collect(), failures: self.known.failures() }
    }
}
