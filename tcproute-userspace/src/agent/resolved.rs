//! The routes of the local Dataplanes, resolved but not in force anywhere. Making them needs no privilege.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::Result;

use super::Settings;
use crate::{
    plan,
    resources::Resources,
    routing::{DataplaneRoutes, DnsAnswers, Resolver, UnknownDataplane, find},
};

/// Routes, and what it takes to resolve them again.
pub struct Resolved {
    pub(super) settings: Settings,
    resolver: Resolver,
    dns: Arc<DnsAnswers>,
    /// In the order in which they were named.
    pub(super) dataplanes: Vec<Arc<DataplaneRoutes>>,
}

impl Resolved {
    /// Resolves the routes of these Dataplanes, each of which must exist.
    pub fn new(
        settings: Settings,
        resources: Resources,
        dns: Arc<DnsAnswers>,
        dataplanes: &[String],
    ) -> Result<Self> {
        let mut resolver = Resolver::new(resources, DnsAnswers::clone(&dns), settings.routing);
        let resolve = |name: &String| Ok(Arc::new(resolver.resolve(&settings.mesh, name)?));
        let dataplanes = dataplanes.iter().map(resolve).collect::<Result<_>>()?;
        Ok(Self { settings, resolver, dns, dataplanes })
    }

    /// Takes changed resources; names that are new in them have no address yet. Whether that touched any route. If a
    /// workload's Dataplane is not among them, nothing has changed.
    pub(super) fn take_resources(&mut self, resources: Resources) -> Result<bool, UnknownDataplane> {
        for routes in &self.dataplanes {
            find(&resources, &routes.mesh, &routes.dataplane)?;
        }
        self.update(resources)
    }

    /// Takes answers of DNS. Whether that touched any route.
    pub(super) fn take_answers(&mut self, dns: Arc<DnsAnswers>) -> Result<bool, UnknownDataplane> {
        self.dns = dns;
        self.update(self.resolver.resources().clone())
    }

    fn update(&mut self, resources: Resources) -> Result<bool, UnknownDataplane> {
        let update = self.resolver.update(resources, DnsAnswers::clone(&self.dns));
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
