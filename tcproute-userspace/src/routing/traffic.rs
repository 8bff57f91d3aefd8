//! TrafficRoutes: where they lead connections elsewhere, which is left to the proxy.

use std::sync::Arc;

use crate::{
    policy::matches,
    resources::{
        Dataplane, Key, MeshName, ResourceName, Resources, SERVICE_TAG, ServiceName, Tags, TrafficRoute,
    },
};

/// The TrafficRoutes of a Dataplane.
pub(super) struct TrafficRoutes<'a> {
    routes: Vec<(&'a Arc<TrafficRoute>, Rank)>,
}

/// How specific selectors are: by the tags with a value, then by those with any.
type Rank = (usize, usize);

impl<'a> TrafficRoutes<'a> {
    /// Those that it is a source of.
    pub(super) fn of(resources: &'a Resources, dataplane: &Dataplane) -> Self {
        let first: Key = (dataplane.mesh.clone(), ResourceName::first());
        let all =
            resources.traffic_routes.range(first..).take_while(|((mesh, _), _)| *mesh == dataplane.mesh);
        let is_of = |tags: &&Tags| {
            dataplane.inbounds.iter().any(|inbound| matches(&inbound.tags, tags))
                // A gateway has no inbounds, but a service all the same.
                || dataplane.inbounds.is_empty() && tags.values().all(|value| value == "*")
        };
        let routes = all.filter_map(|(_, route)| {
            let best = route.sources.iter().filter(is_of).map(rank).max()?;
            Some((route, best))
        });
        Self { routes: routes.collect() }
    }

    /// Whether a mesh has any.
    pub(super) fn are_in(resources: &Resources, mesh: &MeshName) -> bool {
        let first: Key = (mesh.clone(), ResourceName::first());
        resources.traffic_routes.range(first..).next().is_some_and(|((of, _), _)| of == mesh)
    }

    /// The one that leads connections to a service elsewhere. If several are as specific, one of them will do.
    pub(super) fn leading_elsewhere(&self, service: &ServiceName, tags: &Tags) -> Option<Arc<TrafficRoute>> {
        if self.routes.is_empty() {
            return None;
        }
        let mut dialled = tags.clone();
        dialled.insert(SERVICE_TAG, service.as_str());
        let fitting = self.routes.iter().filter_map(|(route, (exact, any))| {
            let best = route.destinations.iter().filter(|tags| matches(&dialled, tags)).map(rank).max()?;
            Some((*route, (exact + best.0, any + best.1)))
        });
        let fitting: Vec<(&Arc<TrafficRoute>, Rank)> = fitting.collect();
        let strongest = fitting.iter().map(|(_, rank)| *rank).max()?;
        let mut best = fitting.into_iter().filter(|(_, rank)| *rank == strongest).map(|(route, _)| route);
        best.find(|route| !route.leads_to_itself(service)).cloned()
    }
}

fn rank(tags: &Tags) -> Rank {
    let any = tags.values().filter(|value| *value == "*").count();
    (tags.len() - any, any)
}
