//! The routes of the local Dataplanes, resolved but not in force anywhere. Making them needs no privilege.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::Result;

use super::Settings;
use crate::{
    plan,
    resources::Resources,
    routing::{DataplaneRoutes, DnsAnswers, Resolver, UnknownDataplane, find},
    sources::dns,
};

/// Routes, and what it takes to resolve them again.
pub struct Resolved {
    pub(super) settings: Settings,
    resolver: Resolver,
    host_names: Arc<BTreeSet<String>>,
    dns: Arc<DnsAnswers>,
    /// In the order in which they were named.
    pub(super) dataplanes: Vec<Arc<DataplaneRoutes>>,
}

impl Resolved {
    /// Resolves the routes of these Dataplanes, each of which must exist.
    pub async fn new(settings: Settings, resources: Resources, dataplanes: Vec<String>) -> Result<Self> {
        let host_names = resources.host_names();
        let dns = dns::look_up(&host_names, &DnsAnswers::new()).await;
        let mut resolver = Resolver::new(resources, dns.clone(), settings.routing);
        let resolve = |name: &String| Ok(Arc::new(resolver.resolve(&settings.mesh, name)?));
        let dataplanes = dataplanes.iter().map(resolve).collect::<Result<_>>()?;
        Ok(Self { settings, resolver, host_names: Arc::new(host_names), dns: Arc::new(dns), dataplanes })
    }

    pub(super) fn names(&self) -> Names {
        Names { wanted: Arc::clone(&self.host_names), known: Arc::clone(&self.dns) }
    }

    /// Takes changed resources, with the addresses of the names that are new in them. Whether that touched any
    /// route. If a workload's Dataplane is not among them, nothing has changed.
    pub(super) fn take_resources(
        &mut self,
        resources: Resources,
        new: DnsAnswers,
    ) -> Result<bool, UnknownDataplane> {
        for routes in &self.dataplanes {
            find(&resources, &routes.mesh, &routes.dataplane)?;
        }
        self.host_names = Arc::new(resources.host_names());
        self.update(resources, new)
    }

    /// Takes answers of DNS. Whether that touched any route.
    pub(super) fn take_answers(&mut self, new: DnsAnswers) -> Result<bool, UnknownDataplane> {
        self.update(self.resolver.resources().clone(), new)
    }

    fn update(&mut self, resources: Resources, mut new: DnsAnswers) -> Result<bool, UnknownDataplane> {
        let answer = |name: &String| {
            let addresses = new.remove(name).or_else(|| self.dns.get(name).cloned())?;
            Some((name.clone(), addresses))
        };
        let dns: DnsAnswers = self.host_names.iter().filter_map(answer).collect();
        self.dns = Arc::new(dns.clone());
        let update = self.resolver.update(resources, dns);
        let mut touched = false;
        for dataplane in &mut self.dataplanes {
            // Others may be showing the routes before.
            let mut routes = DataplaneRoutes::clone(dataplane);
            if self.resolver.refresh(&mut routes, &update)? {
                *dataplane = Arc::new(routes);
                touched = true;
            }
        }
        Ok(touched)
    }

    /// What the operator should know.
    pub(super) fn warnings(&self) -> BTreeSet<String> {
        let mut warnings = BTreeSet::new();
        for routes in &self.dataplanes {
            let DataplaneRoutes { dataplane, .. } = &**routes;
            warnings.extend(routes.not_enforced().iter().map(|policy| {
                format!("{policy} is not enforced on connections of {dataplane} that bypass the proxy")
            }));
            warnings.extend(routes.warnings().into_iter().map(str::to_owned));
            let is_even = self.settings.selection == plan::Selection::Even;
            let uneven = routes.routes.iter().filter(|route| is_even && plan::has_too_many_turns(route));
            warnings.extend(uneven.map(|route| {
                let (service, dialled) = (&route.destination.service, route.dialled);
                format!(
                    "{service} at {dialled}: the weights make more than {} turns, so backends are chosen at random",
                    plan::MOST_TURNS
                )
            }));
        }
        warnings
    }
}

/// The DNS names of the resources and the addresses that are known of them.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) wanted: Arc<BTreeSet<String>>,
    pub(super) known: Arc<DnsAnswers>,
}
