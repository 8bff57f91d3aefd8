//! From one document to one resource, in either form.

use std::sync::Arc;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{
    cluster_service::ClusterService,
    dataplane::Dataplane,
    external_service::ExternalService,
    guard::Provenance,
    header::{Header, Origin, read_name},
    identity::Identity,
    kinds::{Form, Kind},
    mesh::Mesh,
    mesh_external_service::MeshExternalService,
    mesh_http_route::MeshHttpRoute,
    mesh_identity::{MeshIdentity, MeshTls},
    mesh_service::{MeshMultiZoneService, MeshService},
    mesh_tcp_route::MeshTcpRoute,
    names::{MeshName, ResourceName},
    other_policy::OtherPolicy,
    proxy_settings::{check_metrics, check_probes},
    target_ref::{check_for_gateways, is_for_gateways},
    traffic_route::TrafficRoute,
    violation::{Strictness, Violation, Violations},
    wire,
};

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A Mesh.
    Mesh(Arc<Mesh>),
    /// A Dataplane.
    Dataplane(Arc<Dataplane>),
    /// An ExternalService.
    ExternalService(Arc<ExternalService>),
    /// A MeshService.
    MeshService(Arc<MeshService>),
    /// A MeshExternalService.
    MeshExternalService(Arc<MeshExternalService>),
    /// A MeshMultiZoneService.
    MeshMultiZoneService(Arc<MeshMultiZoneService>),
    /// A MeshTCPRoute.
    TcpRoute(Arc<MeshTcpRoute>),
    /// A MeshHTTPRoute.
    HttpRoute(Arc<MeshHttpRoute>),
    /// A MeshIdentity.
    MeshIdentity(Arc<MeshIdentity>),
    /// A MeshTLS.
    MeshTls(Arc<MeshTls>),
    /// A TrafficRoute.
    TrafficRoute(Arc<TrafficRoute>),
    /// A Service of Kubernetes.
    ClusterService(Arc<ClusterService>),
    /// A policy of another kind.
    OtherPolicy(Arc<OtherPolicy>),
}

impl Resource {
    /// Whether both are one in memory.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mesh(a), Self::Mesh(b)) => Arc::ptr_eq(a, b),
            (Self::Dataplane(a), Self::Dataplane(b)) => Arc::ptr_eq(a, b),
            (Self::ExternalService(a), Self::ExternalService(b)) => Arc::ptr_eq(a, b),
            (Self::MeshService(a), Self::MeshService(b)) => Arc::ptr_eq(a, b),
            (Self::MeshExternalService(a), Self::MeshExternalService(b)) => Arc::ptr_eq(a, b),
            (Self::MeshMultiZoneService(a), Self::MeshMultiZoneService(b)) => Arc::ptr_eq(a, b),
            (Self::TcpRoute(a), Self::TcpRoute(b)) => Arc::ptr_eq(a, b),
            (Self::HttpRoute(a), Self::HttpRoute(b)) => Arc::ptr_eq(a, b),
            (Self::MeshIdentity(a), Self::MeshIdentity(b)) => Arc::ptr_eq(a, b),
            (Self::MeshTls(a), Self::MeshTls(b)) => Arc::ptr_eq(a, b),
            (Self::TrafficRoute(a), Self::TrafficRoute(b)) => Arc::ptr_eq(a, b),
            (Self::ClusterService(a), Self::ClusterService(b)) => Arc::ptr_eq(a, b),
            (Self::OtherPolicy(a), Self::OtherPolicy(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Tells who may have written it: a source says so of all that it has. Of files it is so already.
    pub fn set_provenance(&mut self, provenance: Provenance) {
        match self {
            Self::Dataplane(dataplane) => Arc::make_mut(dataplane).meta.provenance = provenance,
            Self::ExternalService(service) => Arc::make_mut(service).provenance = provenance,
            Self::MeshService(service) => Arc::make_mut(service).meta.provenance = provenance,
            Self::MeshExternalService(service) => Arc::make_mut(service).meta.provenance = provenance,
            Self::MeshMultiZoneService(service) => Arc::make_mut(service).meta.provenance = provenance,
            Self::ClusterService(service) => Arc::make_mut(service).provenance = provenance,
            // No address is in these.
            Self::Mesh(_)
            | Self::TcpRoute(_)
            | Self::HttpRoute(_)
            | Self::MeshIdentity(_)
            | Self::MeshTls(_)
            | Self::TrafficRoute(_)
            | Self::OtherPolicy(_) => {}
        }
    }

    /// Tells where a policy is from that does not say so itself.
    pub fn set_unknown_origin(&mut self, origin: Origin) {
        let header = match self {
            Self::TcpRoute(route) => &mut Arc::make_mut(route).header,
            Self::HttpRoute(route) => &mut Arc::make_mut(route).header,
            _ => return,
        };
        if header.origin == Origin::Unknown {
            header.origin = origin;
        }
    }

    /// What no two resources may share.
    pub fn identity(&self) -> Identity {
        let (kind, key) = match self {
            Self::Mesh(mesh) => {
                let name = ResourceName { name: mesh.name.as_str().into(), namespace: None };
                (Mesh::KIND, (mesh.name.clone(), name))
            }
            Self::Dataplane(dataplane) => (Dataplane::KIND, dataplane.key()),
            Self::ExternalService(service) => (ExternalService::KIND, service.key()),
            Self::MeshService(service) => (MeshService::KIND, service.key.clone()),
            Self::MeshExternalService(service) => (MeshExternalService::KIND, service.key.clone()),
            Self::MeshMultiZoneService(service) => (MeshMultiZoneService::KIND, service.key.clone()),
            Self::TcpRoute(route) => (MeshTcpRoute::KIND, route.header.key()),
            Self::HttpRoute(route) => (MeshHttpRoute::KIND, route.header.key()),
            Self::MeshIdentity(identity) => (MeshIdentity::KIND, identity.key.clone()),
            Self::MeshTls(policy) => (MeshTls::KIND, policy.header.key()),
            Self::TrafficRoute(route) => (TrafficRoute::KIND, route.key.clone()),
            Self::ClusterService(service) => (ClusterService::KIND, service.key.clone()),
            Self::OtherPolicy(policy) => (policy.kind, policy.key.clone()),
        };
        Identity { kind, key }
    }
}

/// Reads a document whose kind and form are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    pub(crate) kind: Kind,
    pub(crate) form: Form,
    pub(crate) strictness: Strictness,
}

impl Reader {
    /// The outer error is that of the syntax, the inner one that of the rules. `None` for a route that is for builtin
    /// gateways.
    pub(crate) fn read<'de, D: Deserializer<'de>>(
        self,
        document: D,
    ) -> Result<Result<Option<Resource>, Vec<Violation>>, D::Error> {
        let mut found = Violations::new(self.strictness);
        let resource = match (self.kind, self.form) {
            (Kind::Irrelevant | Kind::List, _) => {
                IgnoredAny::deserialize(document)?;
                None
            }
            (Kind::OtherPolicy(kind), _) => read_other_policy(kind, document, &mut found)?,
            (Kind::Mesh, form) => read_mesh(document, form, &mut found)?,
            (Kind::MeshTcpRoute, form) => {
                let (header, mut spec, _) =
                    read_spec::<_, wire::TcpRouteSpec, IgnoredAny>(document, form, &mut found)?;
                if let Some(spec) = spec.take_if(|spec| is_for_gateways(spec.target_ref.as_ref())) {
                    let to = spec.to.iter().flatten().map(|to| to.target_ref.as_ref());
                    check_for_gateways(spec.target_ref, to, &mut found);
                    return Ok(found.finish(header).map(|_| None));
                }
                MeshTcpRoute::read(header, spec, &mut found).map(Arc::new).map(Resource::TcpRoute)
            }
            (Kind::MeshHttpRoute, form) => {
                let (header, mut spec, _) =
                    read_spec::<_, wire::HttpRouteSpec, IgnoredAny>(document, form, &mut found)?;
                if let Some(spec) = spec.take_if(|spec| is_for_gateways(spec.target_ref.as_ref())) {
                    let to = spec.to.iter().flatten().map(|to| to.target_ref.as_ref());
                    check_for_gateways(spec.target_ref, to, &mut found);
                    return Ok(found.finish(header).map(|_| None));
                }
                MeshHttpRoute::read(header, spec, &mut found).map(Arc::new).map(Resource::HttpRoute)
            }
            (Kind::MeshIdentity, form) => {
                let (header, spec, status) = read_spec(document, form, &mut found)?;
                MeshIdentity::read(header, spec, status).map(Arc::new).map(Resource::MeshIdentity)
            }
            (Kind::MeshTls, form) => {
                let (header, spec, _) = read_spec::<_, _, IgnoredAny>(document, form, &mut found)?;
                MeshTls::read(header, spec).map(Arc::new).map(Resource::MeshTls)
            }
            (Kind::TrafficRoute, _) => {
                let (header, wire) = read_any_policy(document, &mut found)?;
                TrafficRoute::read(header, wire).map(Arc::new).map(Resource::TrafficRoute)
            }
            (Kind::ClusterService, form) => {
                let (header, spec, _) = read_spec::<_, _, IgnoredAny>(document, form, &mut found)?;
                ClusterService::read(header, spec).map(Arc::new).map(Resource::ClusterService)
            }
            (Kind::MeshService, form) => {
                let (header, spec, status) = read_spec(document, form, &mut found)?;
                MeshService::read(header, spec, status, &mut found).map(Arc::new).map(Resource::MeshService)
            }
            (Kind::MeshExternalService, form) => {
                let (header, spec, status) = read_spec(document, form, &mut found)?;
                MeshExternalService::read(header, spec, status, &mut found)
                    .map(Arc::new)
                    .map(Resource::MeshExternalService)
            }
            (Kind::MeshMultiZoneService, form) => {
                let (header, spec, status) = read_spec(document, form, &mut found)?;
                MeshMultiZoneService::read(header, spec, status, &mut found)
                    .map(Arc::new)
                    .map(Resource::MeshMultiZoneService)
            }
            (Kind::Dataplane, Form::Universal) => {
                let wire = wire::UniversalDataplane::deserialize(document)?;
                let created = wire.creation_time;
                let header = Header::universal(wire.name, wire.mesh, wire.labels, created, &mut found);
                check_proxy(wire.probes.as_ref(), wire.metrics.as_ref(), "", &mut found);
                Dataplane::read(header, wire.networking, "", &mut found)
                    .map(Arc::new)
                    .map(Resource::Dataplane)
            }
            (Kind::Dataplane, Form::Kubernetes) => {
                let (header, spec) = read_on_kubernetes::<_, wire::DataplaneSpec>(document, &mut found)?;
                if let Some(spec) = &spec {
                    check_proxy(spec.probes.as_ref(), spec.metrics.as_ref(), "spec.", &mut found);
                }
                let networking = spec.and_then(|spec| spec.networking);
                Dataplane::read(header, networking, "spec.", &mut found)
                    .map(Arc::new)
                    .map(Resource::Dataplane)
            }
            (Kind::ExternalService, Form::Universal) => {
                let wire = wire::UniversalExternalService::deserialize(document)?;
                let header = Header::universal(wire.name, wire.mesh, None, None, &mut found);
                ExternalService::read(header, wire.tags, wire.networking, "", &mut found)
                    .map(Arc::new)
                    .map(Resource::ExternalService)
            }
            (Kind::ExternalService, Form::Kubernetes) => {
                let (header, spec) =
                    read_on_kubernetes::<_, wire::ExternalServiceSpec>(document, &mut found)?;
                let (tags, networking) = spec.map_or((None, None), |spec| (spec.tags, spec.networking));
                ExternalService::read(header, tags, networking, "spec.", &mut found)
                    .map(Arc::new)
                    .map(Resource::ExternalService)
            }
        };
        Ok(found.finish(resource).map(Some))
    }
}

type Parts<S, T> = (Option<Header>, Option<S>, Option<T>);

/// Header, `spec` and `status` of a resource that has both in either form.
fn read_spec<'de, D: Deserializer<'de>, S: DeserializeOwned, T: DeserializeOwned>(
    document: D,
    form: Form,
    found: &mut Violations,
) -> Result<Parts<S, T>, D::Error> {
    Ok(match form {
        Form::Universal => {
            let wire = wire::Universal::deserialize(document)?;
            let header = Header::universal(wire.name, wire.mesh, wire.labels, wire.creation_time, found);
            (header, wire.spec, wire.status)
        }
        Form::Kubernetes => {
            let wire = wire::Kubernetes::deserialize(document)?;
            (Header::on_kubernetes(wire.metadata, wire.mesh, found), wire.spec, wire.status)
        }
    })
}

fn read_on_kubernetes<'de, D: Deserializer<'de>, S: DeserializeOwned>(
    document: D,
    found: &mut Violations,
) -> Result<(Option<Header>, Option<S>), D::Error> {
    let (header, spec, _) = read_spec::<_, _, IgnoredAny>(document, Form::Kubernetes, found)?;
    Ok((header, spec))
}

fn check_proxy(
    probes: Option<&wire::Probes>,
    metrics: Option<&wire::Metrics>,
    prefix: &str,
    found: &mut Violations,
) {
    if let Some(probes) = probes {
        check_probes(probes, &format!("{prefix}probes"), found);
    }
    if let Some(metrics) = metrics {
        check_metrics(metrics, &format!("{prefix}metrics"), found);
    }
}

fn read_mesh<'de, D: Deserializer<'de>>(
    document: D,
    form: Form,
    found: &mut Violations,
) -> Result<Option<Resource>, D::Error> {
    let (name, name_path, mtls, routing, prefix) = match form {
        Form::Universal => {
            let wire = wire::UniversalMesh::deserialize(document)?;
            (wire.name, "name", wire.mtls, wire.routing, "")
        }
        Form::Kubernetes => {
            let wire = wire::Kubernetes::<wire::MeshSpec>::deserialize(document)?;
            let name = wire.metadata.and_then(|metadata| metadata.name);
            let (mtls, routing) = wire.spec.map_or((None, None), |spec| (spec.mtls, spec.routing));
            (name, "metadata.name", mtls, routing, "spec.")
        }
    };
    let name = read_name(name, name_path, found);
    let name = name.and_then(|name| MeshName::try_from(name).ok());
    Ok(Mesh::read(name, mtls, routing, prefix, found).map(Arc::new).map(Resource::Mesh))
}

fn read_other_policy<'de, D: Deserializer<'de>>(
    kind: &'static str,
    document: D,
    found: &mut Violations,
) -> Result<Option<Resource>, D::Error> {
    let (header, wire) = read_any_policy(document, found)?;
    let spec = wire.spec.unwrap_or_default();
    let legacy = [wire.sources, wire.destinations, wire.selectors];
    Ok(header.map(|header| Resource::OtherPolicy(Arc::new(OtherPolicy::read(kind, header, spec, legacy)))))
}

fn read_any_policy<'de, D: Deserializer<'de>>(
    document: D,
    found: &mut Violations,
) -> Result<(Option<Header>, wire::AnyPolicy), D::Error> {
    let mut wire = wire::AnyPolicy::deserialize(document)?;
    let header = match wire.metadata.take() {
        metadata @ Some(_) => Header::on_kubernetes(metadata, wire.mesh.take(), found),
        None => Header::universal(wire.name.take(), wire.mesh.take(), wire.labels.take(), None, found),
    };
    Ok((header, wire))
}
