//! What is wanted: the routes of the local Dataplanes, from what the sources say, and the cgroups that shall have them.

use std::{collections::BTreeMap, sync::Arc};

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
    resources::Resources,
    routing::{DataplaneRoutes, DnsAnswers, Refreshed, Resolver, UnknownDataplane},
    sources::dns::Answers,
    workloads::{Found, Local, cgroups::CgroupId, named::Named},
};
use tcproute_common::RouteKey;

/// What becomes of the workloads of a Dataplane that this daemon has never seen.
const NEVER_THERE: &str = "its workloads have no routes but those that an earlier daemon has left them";

/// The local Dataplanes by the names that they were given, and the cgroups that are there.
pub(super) struct LocalDataplanes {
    settings: Settings,
    resolver: Resolver,
    answers: Answers,
    named: Vec<Named>,
    found: Local,
    dataplanes: BTreeMap<Arc<str>, LocalDataplane>,
}

/// The routes of the local Dataplanes, as far as they were ever there.
pub(super) type LocalRoutes = Vec<(Arc<str>, Arc<DataplaneRoutes>)>;

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
    /// Of these workloads, which come and go; or, for a cgroup that is there for good, of this name alone.
    pub(super) fn new(settings: Settings, named: Vec<Named>, others: Vec<Found>) -> Self {
        let resolver = Resolver::new(Resources::default(), DnsAnswers::new(), settings.routing.clone());
        let names =
            named.iter().map(|named| &named.dataplane).chain(others.iter().map(|found| &found.dataplane));
        let dataplanes = names.map(|name| (Arc::clone(name), LocalDataplane::default())).collect();
        let found = Local { found: others.into(), complete: true, ..Local::default() };
        Self { settings, resolver, answers: Answers::default(), named, found, dataplanes }
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
        let update = self.resolver.update(resources, DnsAnswers::clone(&self.answers.addresses));
        let mut touched = false;
        for (name, local) in &mut self.dataplanes {
            let refreshed = match &local.resolved {
                None => self.resolver.resolve(&self.settings.mesh, name).map(Refreshed::Touched),
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

    /// The routes of each as they were resolved last.
    pub(super) fn routes(&self) -> LocalRoutes {
        let routes = |(name, local): (&Arc<str>, &LocalDataplane)| {
            Some((Arc::clone(name), Arc::clone(local.resolved.as_ref()?)))
        };
        self.dataplanes.iter().filter_map(routes).collect()
    }

    /// Takes which cgroups there are.
    pub(super) fn take_found(&mut self, found: Local) {
        self.found = found;
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
        let waiting =
            self.named.iter().filter(|named| !self.found.found.iter().any(|found| named.includes(found)));
        let state = |named: &Named| WaitingState {
            cgroup: named.pattern.named().to_path_buf(),
            mesh: self.settings.mesh.clone(),
            dataplane: Arc::clone(&named.dataplane),
            routes: self.dataplanes.get(&named.dataplane).and_then(LocalDataplane::routes),
        };
        waiting.map(state).collect()
    }
}
