//! The workloads: cgroups that have the routes of a Dataplane. They come and go with their cgroups.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Result, anyhow};
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{
    Agent, GRACE, Outcome, WaitingState, WorkloadState,
    cgroups::{Found, side_by_side},
};
use crate::{
    bpf::cgroup::{Cgroup, CgroupId},
    plan::{Table, Workload, WorkloadId},
};

/// A cgroup and the number by which the maps know it.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) dataplane: usize,
    pub(super) path: PathBuf,
    pub(super) cgroup: CgroupId,
    pub(super) id: WorkloadId,
}

impl Member {
    fn is(&self, found: &Found) -> bool {
        self.dataplane == found.dataplane && self.cgroup == found.id && self.path == found.path
    }
}

impl Agent<'_> {
    /// The workloads, with their routes.
    pub(super) fn workloads(&self) -> impl Iterator<Item = Workload> {
        let routes = |member: &Member| Arc::clone(&self.resolved.dataplanes[member.dataplane]);
        self.members.iter().map(move |member| Workload { id: member.id, routes: routes(member) })
    }

    /// What the maps shall have.
    pub(super) fn table(&mut self) -> Table {
        let workloads: Vec<Workload> = self.workloads().collect();
        let mut table = Table::new(&workloads, self.resolved.settings.selection);
        if let Some(ejecting) = &mut self.ejecting {
            ejecting.ejections().retain(&table);
            ejecting.ejections().apply(&mut table);
        }
        table
    }

    /// Takes which cgroups there are.
    pub(super) fn take_cgroups(&mut self, found: Vec<Found>, since: Instant) {
        self.found = found;
        self.say_what_is_missing();
        self.settle(since);
    }

    /// Forgets the workloads whose cgroups are gone, and attaches to those that are new. What cannot be attached is
    /// tried again.
    pub(super) fn settle(&mut self, since: Instant) {
        let is_member = |found: &Found| self.members.iter().any(|member| member.is(found));
        let (chosen, refused) = side_by_side(&self.found, is_member);
        let (stay, gone): (Vec<Member>, Vec<Member>) =
            self.members.drain(..).partition(|member| chosen.iter().any(|found| member.is(found)));
        self.members = stay;
        let mut failures = refused;
        for member in &gone {
            self.forget(member, &mut failures);
        }
        if !gone.is_empty()
            && let Err(error) = self.forget_sockets_of_others()
        {
            warn!("sockets outlive their cgroup: {error:#}");
        }
        let new: Vec<&Found> =
            chosen.iter().filter(|found| !self.members.iter().any(|member| member.is(found))).collect();
        let cgroups: Vec<(usize, Cgroup)> = new
            .into_iter()
            // One that has gone, or has another in its place, is news to come.
            .filter_map(|found| Some((found.dataplane, Cgroup::open(&found.path).ok()?, found.id)))
            .filter(|(_, cgroup, id)| cgroup.id() == *id)
            .map(|(dataplane, cgroup, _)| (dataplane, cgroup))
            .collect();
        let before = self.members.len();
        if !cgroups.is_empty() {
            self.admit(&cgroups, &mut failures);
        }
        for failure in failures.iter().filter(|failure| !self.state.unattached.contains(failure)) {
            error!("{failure}");
        }
        let news = self.state.unattached != failures;
        self.state.unattached = failures;
        if !gone.is_empty() {
            // Also what a workload that is new has no use for.
            self.bring_in_step(since, "a cgroup was removed");
        } else if self.members.len() > before {
            self.done(Outcome::Applied, since);
        } else if news {
            self.publish();
        }
    }

    /// Shows the routes that are in force now.
    pub(super) fn show_routes(&mut self) {
        for shown in &mut self.state.workloads {
            if let Some(member) = self.members.iter().find(|member| member.cgroup == shown.id) {
                shown.routes = Arc::clone(&self.resolved.dataplanes[member.dataplane]);
            }
        }
    }

    fn forget(&mut self, member: &Member, failures: &mut Vec<String>) {
        let at = member.path.display();
        match self.datapath.detach(member.cgroup, member.id) {
            Ok(()) => info!(cgroup = %at, "forgotten: the cgroup is gone"),
            Err(error) => failures.push(format!("cannot detach from the cgroup {at}: {error:#}")),
        }
        self.freed.push((Instant::now(), member.id));
        self.state.workloads.retain(|workload| workload.id != member.cgroup);
    }

    /// Puts the routes of these cgroups in force, then attaches them. If there is no room for all, there may be for some.
    fn admit(&mut self, cgroups: &[(usize, Cgroup)], failures: &mut Vec<String>) {
        let before = self.members.len();
        for (dataplane, cgroup) in cgroups {
            let id = self.free_id();
            let (path, cgroup) = (cgroup.path().to_path_buf(), cgroup.id());
            self.members.push(Member { dataplane: *dataplane, path, cgroup, id });
        }
        let table = self.table();
        if let Err(error) = self.put_in_force(&table) {
            self.members.truncate(before);
            match cgroups {
                [(_, cgroup)] => failures.push(not_attached(cgroup, &error)),
                _ => cgroups.iter().for_each(|cgroup| self.admit(std::slice::from_ref(cgroup), failures)),
            }
            return;
        }
        for (_, cgroup) in cgroups {
            if let Err(error) = self.attach(cgroup) {
                self.expel(cgroup);
                if cgroup.exists() {
                    failures.push(not_attached(cgroup, &error));
                }
            }
        }
    }

    /// Attaches a member's cgroup.
    pub(super) fn attach(&mut self, cgroup: &Cgroup) -> Result<()> {
        let of = |member: &&Member| member.cgroup == cgroup.id();
        let member = self.members.iter().find(of).ok_or_else(|| anyhow!("it is no workload's cgroup"))?;
        let routes = Arc::clone(&self.resolved.dataplanes[member.dataplane]);
        self.datapath.attach(cgroup, member.id)?;
        info!(
            dataplane = routes.dataplane,
            cgroup = %cgroup.path().display(),
            routes = routes.routes.len(),
            "attached"
        );
        self.state.workloads.push(WorkloadState {
            cgroup: cgroup.path().to_path_buf(),
            id: cgroup.id(),
            routes,
        });
        Ok(())
    }

    /// Takes back what was attached of a cgroup that could not be attached.
    fn expel(&mut self, cgroup: &Cgroup) {
        let Some(index) = self.members.iter().position(|member| member.cgroup == cgroup.id()) else { return };
        let member = self.members.remove(index);
        self.freed.push((Instant::now(), member.id));
        let undone = self.datapath.detach(member.cgroup, member.id).and_then(|()| {
            self.forget_sockets_of_others()?;
            let table = self.table();
            self.put_in_force(&table)?;
            Ok(())
        });
        if let Err(error) = undone {
            warn!("traces of the cgroup {} are left: {error:#}", cgroup.path().display());
        }
    }

    /// The smallest number that nobody has. One that was given back only becomes free when no program can still be
    /// running for it, and nothing is counted for it.
    fn free_id(&mut self) -> WorkloadId {
        self.freed.retain(|(since, _)| since.elapsed() < GRACE);
        let mut used = self.layout.counted_workloads();
        used.extend(self.members.iter().map(|member| member.id).chain(self.freed.iter().map(|(_, id)| *id)));
        WorkloadId::assign(&[None], &used)[0]
    }

    /// Says which of the named cgroups are not there.
    pub(super) fn say_what_is_missing(&mut self) {
        let waiting = self.named.iter().filter(|named| !self.found.iter().any(|found| named.includes(found)));
        let waiting: Vec<WaitingState> = waiting
            .map(|named| WaitingState {
                cgroup: named.pattern.named().to_path_buf(),
                routes: Arc::clone(&self.resolved.dataplanes[named.dataplane]),
            })
            .collect();
        for new in &waiting {
            if !self.state.waiting.iter().any(|before| before.cgroup == new.cgroup) {
                warn!(
                    dataplane = new.routes.dataplane,
                    "there is no cgroup {}: waiting for it",
                    new.cgroup.display()
                );
            }
        }
        self.state.waiting = waiting;
    }
}

fn not_attached(cgroup: &Cgroup, error: &anyhow::Error) -> String {
    format!("the cgroup {} is not attached: {error:#}", cgroup.path().display())
}
