//! The network namespaces of workloads, each with what becomes of its connections.
//!
//! The order is what keeps connections whole. A table is there before the map says that connections are led past; and
//! the map says that they are not before the table goes. What is in doubt is held, and so left to the sidecar.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Result;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use tcproute_common::Way;
use tracing::{info, warn};

use super::{
    inside,
    legacy::has_nat,
    nftables::Changes,
    passage::{Replacing, Verdict, Whose, judge},
    settings::{Mode, Settings},
    table::Table,
};
use crate::{
    bpf::NamespaceMap,
    netns::{self, Namespace, NamespaceId, Namespaces},
    workloads::cgroups::CgroupId,
};

/// So long after it has come a namespace may get its redirection: by an init container, before all others start.
const YOUNG: Duration = Duration::from_mins(2);

/// So often a namespace is looked at at most for changes in it: whoever may change its tables has no more of this
/// thread's time.
const PAUSE: Duration = Duration::from_millis(200);
/// When to look again at one that could not be looked at.
const RETRY: Duration = Duration::from_secs(1);

/// The namespaces of workloads.
pub(super) struct Known {
    settings: Settings,
    map: NamespaceMap,
    pub(super) namespaces: BTreeMap<NamespaceId, One>,
    /// Which cgroups have processes whose namespace cannot be told, and why.
    hidden: BTreeMap<PathBuf, String>,
}

/// A namespace.
pub(super) struct One {
    namespace: Namespace,
    /// The workloads that have processes in it.
    pub(super) members: BTreeSet<CgroupId>,
    whose: Whose,
    at_first: Whose,
    /// Whether it is known though no workload is in it.
    stays: bool,
    since: Instant,
    /// When it has to be looked at, beside the times when all are.
    due: Option<Instant>,
    looked: Option<Instant>,
    /// As the map has it, if it was ever looked at.
    pub(super) key: Option<u64>,
    pub(super) sidecar: u32,
    pub(super) verdict: Verdict,
    /// Why it could not be looked at the last time, if so: what was in force before stays.
    trouble: Option<String>,
    /// Told of changes in it.
    changes: Option<Changes>,
    legacy: [String; 2],
}

impl Known {
    /// None yet but this process's own one, which is a workload's or not, and the host's.
    pub(super) fn new(settings: Settings, map: NamespaceMap, own: Whose) -> Self {
        let mut known = Self { settings, map, namespaces: BTreeMap::new(), hidden: BTreeMap::new() };
        // Of a command's own container the first process is no host.
        let host = (own == Whose::Daemons).then_some((1, Whose::Host));
        for (process, whose) in host.into_iter().chain([(std::process::id(), own)]) {
            let mut found = Namespaces::new();
            // The host's may be out of sight, and then no workload is in it either.
            if netns::open(process, &mut found).is_err() {
                continue;
            }
            for (id, namespace) in found {
                known.namespaces.entry(id).or_insert_with(|| One::new(namespace, whose, true));
            }
        }
        known
    }

    /// Takes which workloads there are, and looks for their namespaces.
    pub(super) fn find(&mut self, cgroups: &BTreeMap<CgroupId, PathBuf>, epoll: &Epoll) {
        let mut members: BTreeMap<NamespaceId, BTreeSet<CgroupId>> = BTreeMap::new();
        let mut found = Namespaces::new();
        let mut hidden = BTreeMap::new();
        for (&cgroup, path) in cgroups {
            let mut own = Namespaces::new();
            for directory in netns::tree(path) {
                if let Err(error) = netns::add(&directory, &mut own) {
                    hidden.insert(path.clone(), format!("{error:#}"));
                }
            }
            for (id, namespace) in own {
                members.entry(id).or_default().insert(cgroup);
                found.entry(id).or_insert(namespace);
            }
        }
        for (id, namespace) in found {
            let process = namespace.process;
            let one =
                self.namespaces.entry(id).or_insert_with(|| One::new(namespace, Whose::Workloads, false));
            one.namespace.process = process;
        }
        for (id, one) in &mut self.namespaces {
            one.members = members.remove(id).unwrap_or_default();
            // Its own daemon's becomes a workload's with the first, and its own again after the last.
            let now = if one.members.is_empty() { one.at_first } else { Whose::Workloads };
            if one.whose != Whose::Host && one.whose != now {
                one.whose = now;
                one.due = Some(Instant::now());
            }
        }
        let left = |(_, one): &(&NamespaceId, &One)| one.members.is_empty() && !one.stays;
        let left: Vec<NamespaceId> = self.namespaces.iter().filter(left).map(|(&id, _)| id).collect();
        for id in left {
            if let Some(one) = self.namespaces.remove(&id) {
                self.leave(&one, epoll);
            }
        }
        self.hidden = hidden;
    }

    /// Looks into namespaces, and does what there is to be done.
    pub(super) fn visit(&mut self, ids: &BTreeSet<NamespaceId>, replacing: Replacing, epoll: &Epoll) {
        for id in ids {
            let Some(one) = self.namespaces.get_mut(id) else { continue };
            one.due = None;
            one.looked = Some(Instant::now());
            let before = one.verdict.clone();
            let mut visit = || one.visit(*id, &self.settings, &mut self.map, replacing);
            // One call that fails by chance holds nobody's connections.
            match visit().or_else(|_| visit()) {
                Ok(()) => one.trouble = None,
                Err(error) => {
                    one.trouble = Some(format!("{error:#}"));
                    one.due = Some(Instant::now() + RETRY);
                }
            }
            one.listen(*id, epoll);
            if one.verdict != before {
                let (inode, why) = (id.inode, &one.verdict.why);
                match one.verdict.way {
                    Way::Past => info!(inode, "routed connections are led past the sidecar: {why}"),
                    Way::Held => warn!(inode, "routed connections are left to the sidecar: {why}"),
                    Way::Plain => info!(inode, "no sidecar takes connections of this network namespace"),
                }
            }
        }
    }

    /// Those that have to be looked at by now.
    pub(super) fn due(&self) -> BTreeSet<NamespaceId> {
        let now = Instant::now();
        let is_due = |(_, one): &(&NamespaceId, &One)| one.due.is_some_and(|due| due <= now);
        self.namespaces.iter().filter(is_due).map(|(&id, _)| id).collect()
    }

    /// When the next one has to be looked at.
    pub(super) fn next(&self) -> Option<Instant> {
        self.namespaces.values().filter_map(|one| one.due).min()
    }

    /// Those that may have got a redirection of which the kernel tells nobody.
    pub(super) fn suspects(&mut self) -> BTreeSet<NamespaceId> {
        let mut suspects = BTreeSet::new();
        for (&id, one) in &mut self.namespaces {
            if one.verdict.way == Way::Past {
                continue;
            }
            let legacy = inside::legacy_tables(one.namespace.process);
            let is_young = one.is_young();
            if legacy != one.legacy || (is_young && legacy.iter().any(|names| has_nat(names))) {
                suspects.insert(id);
            }
            one.legacy = legacy;
        }
        suspects
    }

    /// Whether any may be about to get its redirection.
    pub(super) fn has_young(&self) -> bool {
        self.settings.mode == Mode::Auto
            && self
                .namespaces
                .values()
                .any(|one| one.is_young() && one.verdict.way == Way::Plain && !one.stays)
    }

    /// What went wrong.
    pub(super) fn failures(&self) -> BTreeSet<String> {
        let hidden = self.hidden.iter().map(|(cgroup, why)| {
            format!("routed connections of {} may be left to where they are dialled: {why}", cgroup.display())
        });
        let troubles = self.namespaces.iter().filter_map(|(id, one)| {
            let (inode, why) = (id.inode, one.trouble.as_ref()?);
            Some(format!("the network namespace {inode} cannot be looked at, and stays as it was: {why}"))
        });
        hidden.chain(troubles).collect()
    }

    /// All of them.
    pub(super) fn ids(&self) -> BTreeSet<NamespaceId> {
        self.namespaces.keys().copied().collect()
    }

    /// Tables have changed in the namespace with this number.
    pub(super) fn changed(&mut self, inode: u64) {
        let Some((_, one)) = self.namespaces.iter_mut().find(|(id, _)| id.inode == inode) else { return };
        if let Some(changes) = &one.changes {
            changes.forget();
        }
        let now = Instant::now();
        let next = one.looked.map_or(now, |looked| now.max(looked + PAUSE));
        one.due = Some(one.due.map_or(next, |due| due.min(next)));
    }

    /// Forgets namespaces that an earlier daemon has left and that are none of these. Which those were.
    pub(super) fn forget_others(&mut self) -> Result<BTreeSet<u64>> {
        let ours: BTreeSet<u64> = self.namespaces.values().filter_map(|one| one.key).collect();
        let others: BTreeSet<u64> = self.map.keys()?.into_iter().filter(|key| !ours.contains(key)).collect();
        for &key in &others {
            self.map.remove(key)?;
        }
        Ok(others)
    }

    /// Has no namespace led past any more, and takes all tables away.
    pub(super) fn leave_all(&mut self, epoll: &Epoll) {
        for one in std::mem::take(&mut self.namespaces).values() {
            self.leave(one, epoll);
        }
    }

    fn leave(&mut self, one: &One, epoll: &Epoll) {
        if let Some(changes) = &one.changes {
            // It goes with its descriptor in any case.
            let _ = epoll.delete(changes);
        }
        let Some(key) = one.key else { return };
        // As long as there is a table, the map has its namespace, so that it is found.
        let mut leave = || {
            if one.verdict.way == Way::Past {
                self.map.set(key, Way::Held, one.sidecar)?;
                netns::within(&one.namespace.file, inside::remove)?;
            }
            self.map.remove(key)
        };
        if let Err(error) = leave() {
            warn!("what leads connections past a sidecar is left: {error:#}");
        }
    }
}

impl One {
    fn new(namespace: Namespace, whose: Whose, stays: bool) -> Self {
        Self {
            namespace,
            members: BTreeSet::new(),
            whose,
            at_first: whose,
            stays,
            since: Instant::now(),
            due: Some(Instant::now()),
            looked: None,
            key: None,
            sidecar: 0,
            verdict: Verdict { way: Way::Held, makes_table: false, why: "it was not looked at".to_owned() },
            trouble: None,
            changes: None,
            legacy: <[String; 2]>::default(),
        }
    }

    fn is_young(&self) -> bool {
        self.since.elapsed() < YOUNG
    }

    /// As the host numbers it.
    fn sidecar_user(&self, uid: u32) -> u32 {
        match inside::uid_of(self.namespace.process, uid) {
            Ok(mapped) => mapped.unwrap_or(uid),
            // A process that has gone meanwhile was one of the same user namespace, as far as is known.
            Err(_) if self.key.is_some() => self.sidecar,
            Err(_) => uid,
        }
    }

    fn visit(
        &mut self,
        id: NamespaceId,
        settings: &Settings,
        map: &mut NamespaceMap,
        replacing: Replacing,
    ) -> Result<()> {
        let Settings { mode, mark, uid } = *settings;
        let before = self.whose;
        let sidecar = self.sidecar_user(uid);
        let (key, had_table, whose, mut verdict) = netns::within(&self.namespace.file, || {
            let key = netns::key(id)?;
            let seen = inside::look(mark, before)?;
            let had_table = matches!(&seen.table, Ok(table) if *table != Table::Missing);
            let mut verdict = judge(mode, &seen, replacing);
            if verdict.makes_table {
                map.set(key, Way::Held, sidecar)?;
                if let Err(why) = inside::make(mark) {
                    verdict = Verdict { way: Way::Held, makes_table: false, why };
                }
            }
            Ok((key, had_table, seen.whose, verdict))
        })?;
        self.whose = whose;
        verdict.makes_table = false;
        self.sidecar = sidecar;
        map.set(key, verdict.way, sidecar)?;
        self.key = Some(key);
        let is_past = verdict.way == Way::Past;
        self.verdict = verdict;
        if had_table && !is_past && replacing == Replacing::Yes && whose != Whose::Host {
            netns::within(&self.namespace.file, inside::remove)?;
        }
        Ok(())
    }

    fn listen(&mut self, id: NamespaceId, epoll: &Epoll) {
        if self.changes.is_some() || self.whose != Whose::Workloads {
            return;
        }
        let Ok(Ok(changes)) = netns::within(&self.namespace.file, || Ok(Changes::open())) else { return };
        // Without, they are found when everything is looked at again.
        if epoll.add(&changes, EpollEvent::new(EpollFlags::EPOLLIN, id.inode)).is_ok() {
            self.changes = Some(changes);
        }
    }
}
