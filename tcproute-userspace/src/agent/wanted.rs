//! What is wanted: the routes of the local Dataplanes, from what the sources say, and the cgroups that shall have them.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    Settings,
    members::Members,
    settle::{self, Out, WantedWorkload, Workload},
    state::WaitingState,
    unanswered::Answered,
};
use crate::{
    policy::Compat,
    resources::Resources,
    routing::{DataplaneRoutes, DnsAnswers, Refreshed, Resolver, UnknownDataplane, Update},
    sources::dns::Answers,
    workloads::{DataplaneName, Found, Local, Waiting, cgroups::CgroupId},
};
use tcproute_common::RouteKey;

/// What becomes of the workloads of a Dataplane that this daemon has never seen.
const NEVER_THERE: &str = "its workloads have no routes but those that an earlier daemon has left them";

/// The local Dataplanes by the names that they were given, and the cgroups that are there.
pub(super) struct LocalDataplanes {
    settings: Settings,
    resolver: Resolver,
    answers: Answers,
    found: Local,
    dataplanes: BTreeMap<DataplaneName, LocalDataplane>,
}

/// The routes of the local Dataplanes, as far as they were ever there.
pub(super) type LocalRoutes = Vec<(DataplaneName, Arc<DataplaneRoutes>)>;

/// A local Dataplane.
#[derive(Debug, Default)]
struct LocalDataplane {
    /// As far as it was ever there.
    resolved: Option<Arc<DataplaneRoutes>>,
    /// What of that shall be in force.
    answered: Option<Answered>,
    /// Why it is not among the resources, if it is not.
    missing: Option<UnknownDataplane>,
}

impl LocalDataplane {
    /// What shall be in force.
    fn routes(&self) -> Option<Arc<DataplaneRoutes>> {
        self.answered.as_ref().map(|answered| Arc::clone(answered.routes()))
    }
}

impl LocalDataplanes {
    /// Of these workloads.
    pub(super) fn new(settings: Settings, found: Local) -> Self {
        let resolver = Resolver::new(Resources::default(), DnsAnswers::new(), settings.routing.clone());
        let names = names(&found).map(|name| (name.clone(), LocalDataplane::default())).collect();
        Self { settings, resolver, answers: Answers::default(), found, dataplanes: names }
    }

    /// What the routes are made from.
    pub(super) const fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Goes by other rules, unless those are given: everything is resolved anew with what is taken next.
    pub(super) fn go_by(&mut self, compat: Compat) {
        if !self.settings.goes_by_sources || self.settings.routing.compat == compat {
            return;
        }
        info!("policies are in the order of {compat} now");
        self.settings.routing.compat = compat;
        let routing = self.settings.routing.clone();
        self.resolver = Resolver::new(Resources::default(), DnsAnswers::new(), routing);
        for local in self.dataplanes.values_mut() {
            // What is in force stays until there is something else.
            local.resolved = None;
        }
    }

    /// Takes answers of DNS. Whether that touches any route.
    pub(super) fn take_answers(&mut self, answers: &Answers) -> bool {
        self.answers = answers.clone();
        self.take_resources(self.resolver.resources().clone())
    }

    /// Whether any routes are what they were since names that they lead to are not answered yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.dataplanes.values().filter_map(|local| local.answered.as_ref()).any(Answered::is_waiting)
    }

    /// Has all routes in force whose names are known, or were waited for. Whether that touches any.
    pub(super) fn go_on(&mut self) -> bool {
        let (now, known) = (Instant::now(), &self.answers.known);
        let mut touched = false;
        for local in self.dataplanes.values_mut() {
            match (&local.resolved, &mut local.answered) {
                (Some(resolved), Some(answered)) => touched |= answered.take(resolved, known, now),
                (Some(resolved), none) => *none = Some(Answered::new(Arc::clone(resolved))),
                (None, _) => {}
            }
        }
        touched
    }

    /// Takes what the sources say. Whether other names are led to, or that touches any route.
    pub(super) fn take_resources(&mut self, resources: Resources) -> bool {
        let update = self.update(resources);
        let mut touched = false;
        for (name, local) in &mut self.dataplanes {
            let refreshed = match &local.resolved {
                None => self.resolver.resolve(&name.mesh, &name.name).map(Refreshed::Touched),
                Some(before) => self.resolver.refresh(before, &update),
            };
            match refreshed {
                Ok(refreshed) => {
                    if local.missing.take().is_some() {
                        info!("Dataplane {name} is there");
                    }
                    touched |= refreshed.is_touched();
                    local.resolved = refreshed.routes().map(Arc::new).or(local.resolved.take());
                }
                Err(missing) => {
                    if local.missing.as_ref() != Some(&missing) {
                        let then = match local.resolved {
                            Some(_) => "its last routes stay in force",
                            None => NEVER_THERE,
                        };
                        warn!("{missing}: {then}");
                    }
                    local.missing = Some(missing);
                }
            }
        }
        self.go_on() | touched
    }

    fn update(&mut self, resources: Resources) -> Update {
        let addresses = DnsAnswers::clone(&self.answers.addresses);
        let is_first = self.resolver.resources().dataplanes.is_empty()
            && self.dataplanes.values().all(|local| local.resolved.is_none());
        if !is_first {
            return self.resolver.update(resources, addresses);
        }
        // There is nothing yet that it could change, and to note what it would change takes as long as to take it.
        self.resolver = Resolver::new(resources, addresses, self.settings.routing.clone());
        Update::default()
    }

    /// The routes of each as they were resolved last.
    pub(super) fn routes(&self) -> LocalRoutes {
        let routes = |(name, local): (&DataplaneName, &LocalDataplane)| {
            Some((name.clone(), Arc::clone(local.resolved.as_ref()?)))
        };
        self.dataplanes.iter().filter_map(routes).collect()
    }

    /// Takes which cgroups there are. Whether there are other Dataplanes than before: those that are gone are
    /// forgotten.
    pub(super) fn take_found(&mut self, found: Local) -> bool {
        let names: BTreeSet<DataplaneName> = names(&found).cloned().collect();
        self.found = found;
        let before = self.dataplanes.len();
        self.dataplanes.retain(|name, _| names.contains(name));
        let mut is_new = self.dataplanes.len() < before;
        for name in names {
            if let Entry::Vacant(vacant) = self.dataplanes.entry(name) {
                let name = vacant.key();
                let local = match self.resolver.resolve(&name.mesh, &name.name) {
                    Ok(routes) => {
                        LocalDataplane { resolved: Some(Arc::new(routes)), ..LocalDataplane::default() }
                    }
                    Err(missing) => {
                        warn!("{missing}: {NEVER_THERE}");
                        LocalDataplane { missing: Some(missing), ..LocalDataplane::default() }
                    }
                };
                vacant.insert(local);
                is_new = true;
            }
        }
        if is_new {
            self.go_on();
        }
        is_new
    }

    /// What shall be, with endpoints that are out, and what is to be told of cgroups.
    pub(super) fn wanted(
        &self,
        workloads: &BTreeMap<CgroupId, Workload>,
        out: BTreeMap<RouteKey, Out>,
    ) -> (settle::Wanted, Vec<String>) {
        let is_workload =
            |found: &Found| workloads.get(&found.id).is_some_and(|workload| workload.path == found.path);
        let Members { chosen, mut refused } = Members::choose(&self.found.found, is_workload);
        refused.extend(self.found.doubts.iter().cloned());
        let quota = self.settings.quota;
        let mut wanted = settle::Wanted { out, quota, ..settle::Wanted::default() };
        for Found { dataplane, path, id } in chosen {
            match self.dataplanes.get(&dataplane).and_then(LocalDataplane::routes) {
                Some(routes) => drop(wanted.workloads.insert(id, WantedWorkload { path, routes })),
                // An earlier daemon may have known it.
                None => drop(wanted.kept.insert(id)),
            }
        }
        (wanted, refused)
    }

    /// The cgroups that are there.
    pub(super) const fn found(&self) -> &Local {
        &self.found
    }

    /// The Dataplanes that are not among the resources, and what that means for them.
    pub(super) fn missing(&self) -> impl Iterator<Item = String> {
        self.dataplanes.values().filter_map(|local| {
            let then = if local.resolved.is_some() { "its last routes stay in force" } else { NEVER_THERE };
            Some(format!("{}: {then}", local.missing.as_ref()?))
        })
    }

    /// The cgroups that were named and are not there.
    pub(super) fn waiting(&self) -> Vec<WaitingState> {
        let state = |Waiting { dataplane, cgroup }: &Waiting| WaitingState {
            cgroup: cgroup.clone(),
            mesh: dataplane.mesh.clone(),
            dataplane: Arc::clone(&dataplane.name),
            routes: self.dataplanes.get(dataplane).and_then(LocalDataplane::routes),
        };
        self.found.waiting.iter().map(state).collect()
    }
}

/// The Dataplanes of workloads that are there or waited for.
fn names(local: &Local) -> impl Iterator<Item = &DataplaneName> {
    let found = local.found.iter().map(|found| &found.dataplane);
    found.chain(local.waiting.iter().map(|waiting| &waiting.dataplane))
}
