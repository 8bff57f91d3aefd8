//! From one document to one resource, in either form.

use serde::{Deserialize, Deserializer};

use super::{
    dataplane::Dataplane,
    external_service::ExternalService,
    kinds::{Form, Kind},
    mesh::Mesh,
    mesh_http_route::MeshHttpRoute,
    mesh_tcp_route::MeshTcpRoute,
    names::{MeshName, ResourceName},
    violation::{Violation, Violations},
    wire,
};

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A Mesh.
    Mesh(Mesh),
    /// A Dataplane.
    Dataplane(Dataplane),
    /// An ExternalService.
    ExternalService(ExternalService),
    /// A MeshTCPRoute.
    TcpRoute(MeshTcpRoute),
    /// A MeshHTTPRoute.
    HttpRoute(MeshHttpRoute),
    /// A policy that is only known by name.
    OtherPolicy {
        /// Its kind.
        kind: &'static str,
        /// Its mesh.
        mesh: MeshName,
        /// Its name.
        name: ResourceName,
    },
}

impl Resource {
    /// What no two resources may share: kind, mesh and name.
    pub fn key(&self) -> (&'static str, MeshName, ResourceName) {
        let (kind, mesh, name) = match self {
            Self::Mesh(mesh) => {
                let name = ResourceName { name: mesh.name.to_string(), namespace: None };
                return ("Mesh", mesh.name.clone(), name);
            }
            Self::Dataplane(dataplane) => ("Dataplane", &dataplane.mesh, &dataplane.name),
            Self::ExternalService(service) => ("ExternalService", &service.mesh, &service.name),
            Self::TcpRoute(route) => ("MeshTCPRoute", &route.mesh, &route.name),
            Self::HttpRoute(route) => ("MeshHTTPRoute", &route.mesh, &route.name),
            Self::OtherPolicy { kind, mesh, name } => (*kind, mesh, name),
        };
        (kind, mesh.clone(), name.clone())
    }
}

/// The label that names the mesh of a policy on Kubernetes.
const MESH_LABEL: &str = "kuma.io/mesh";

/// Reads a document whose kind and form are known.
pub(crate) struct Reader {
    pub(crate) kind: Kind,
    pub(crate) form: Form,
}

impl Reader {
    /// The outer error is that of the syntax, the inner one that of the rules. `None` for what does not bear
    /// on routes.
    pub(crate) fn read<'de, D: Deserializer<'de>>(
        &self,
        document: D,
    ) -> Result<Result<Option<Resource>, Vec<Violation>>, D::Error> {
        let mut found = Violations::default();
        let resource = match (self.kind, self.form) {
            (Kind::Irrelevant, _) => return Ok(Ok(None)),
            (Kind::OtherPolicy(kind), _) => {
                let any = wire::AnyPolicy::deserialize(document)?;
                let identity = match any.metadata {
                    Some(metadata) => on_kubernetes(metadata, any.mesh, &mut found),
                    None => universal(any.name.unwrap_or_default(), any.mesh, &mut found),
                };
                identity.map(|(mesh, name)| Resource::OtherPolicy { kind, mesh, name })
            }
            (Kind::Mesh, form) => read_mesh(wire::Mesh::deserialize(document)?, form, &mut found),
            (Kind::MeshTcpRoute, Form::Universal) => {
                let policy = wire::UniversalPolicy::deserialize(document)?;
                universal(policy.name, policy.mesh, &mut found)
                    .and_then(|(mesh, name)| MeshTcpRoute::read(mesh, name, policy.spec, &mut found))
                    .map(Resource::TcpRoute)
            }
            (Kind::MeshTcpRoute, Form::Kubernetes) => {
                let policy = wire::Kubernetes::deserialize(document)?;
                on_kubernetes(policy.metadata, policy.mesh, &mut found)
                    .and_then(|(mesh, name)| MeshTcpRoute::read(mesh, name, policy.spec, &mut found))
                    .map(Resource::TcpRoute)
            }
            (Kind::MeshHttpRoute, Form::Universal) => {
                let policy = wire::UniversalPolicy::deserialize(document)?;
                universal(policy.name, policy.mesh, &mut found)
                    .and_then(|(mesh, name)| MeshHttpRoute::read(mesh, name, policy.spec, &mut found))
                    .map(Resource::HttpRoute)
            }
            (Kind::MeshHttpRoute, Form::Kubernetes) => {
                let policy = wire::Kubernetes::deserialize(document)?;
                on_kubernetes(policy.metadata, policy.mesh, &mut found)
                    .and_then(|(mesh, name)| MeshHttpRoute::read(mesh, name, policy.spec, &mut found))
                    .map(Resource::HttpRoute)
            }
            (Kind::Dataplane, Form::Universal) => {
                let dataplane = wire::UniversalDataplane::deserialize(document)?;
                universal(dataplane.name, dataplane.mesh, &mut found)
                    .and_then(|(mesh, name)| {
                        Dataplane::read(mesh, name, dataplane.networking, "", &mut found)
                    })
                    .map(Resource::Dataplane)
            }
            (Kind::Dataplane, Form::Kubernetes) => {
                let object = wire::Kubernetes::<wire::DataplaneSpec>::deserialize(document)?;
                let networking = object.spec.and_then(|spec| spec.networking);
                on_kubernetes(object.metadata, object.mesh, &mut found)
                    .and_then(|(mesh, name)| Dataplane::read(mesh, name, networking, "spec.", &mut found))
                    .map(Resource::Dataplane)
            }
            (Kind::ExternalService, Form::Universal) => {
                let service = wire::UniversalExternalService::deserialize(document)?;
                universal(service.name, service.mesh, &mut found)
                    .and_then(|(mesh, name)| {
                        ExternalService::read(mesh, name, service.tags, service.networking, "", &mut found)
                    })
                    .map(Resource::ExternalService)
            }
            (Kind::ExternalService, Form::Kubernetes) => {
                let object = wire::Kubernetes::<wire::ExternalServiceSpec>::deserialize(document)?;
                let (tags, networking) =
                    object.spec.map_or((None, None), |spec| (spec.tags, spec.networking));
                on_kubernetes(object.metadata, object.mesh, &mut found)
                    .and_then(|(mesh, name)| {
                        ExternalService::read(mesh, name, tags, networking, "spec.", &mut found)
                    })
                    .map(Resource::ExternalService)
            }
        };
        Ok(found.finish(resource).map(Some))
    }
}

fn read_mesh(mesh: wire::Mesh, form: Form, found: &mut Violations) -> Option<Resource> {
    let (name, path, mtls, mtls_path) = match form {
        Form::Universal => (mesh.name, "name", mesh.mtls, "mtls"),
        Form::Kubernetes => {
            let name = mesh.metadata.map(|metadata| metadata.name);
            (name, "metadata.name", mesh.spec.and_then(|spec| spec.mtls), "spec.mtls")
        }
    };
    let name = found.check(path, name.unwrap_or_default().parse::<MeshName>())?;
    Mesh::read(name, mtls, mtls_path, found).map(Resource::Mesh)
}

fn universal(name: String, mesh: Option<String>, found: &mut Violations) -> Option<(MeshName, ResourceName)> {
    let mesh = read_mesh_name(mesh, "mesh", found);
    Some((mesh?, read_name(name, None, "name", found)?))
}

fn on_kubernetes(
    metadata: wire::Metadata,
    mesh: Option<String>,
    found: &mut Violations,
) -> Option<(MeshName, ResourceName)> {
    let label = metadata.labels.and_then(|mut labels| labels.remove(MESH_LABEL));
    let mesh = match mesh {
        Some(mesh) => read_mesh_name(Some(mesh), "mesh", found),
        None => read_mesh_name(label, "metadata.labels", found),
    };
    Some((mesh?, read_name(metadata.name, metadata.namespace, "metadata.name", found)?))
}

fn read_mesh_name(mesh: Option<String>, path: &str, found: &mut Violations) -> Option<MeshName> {
    match mesh {
        Some(mesh) => found.check(path, MeshName::try_from(mesh)),
        None => Some(MeshName::default()),
    }
}

fn read_name(
    name: String,
    namespace: Option<String>,
    path: &str,
    found: &mut Violations,
) -> Option<ResourceName> {
    if name.is_empty() {
        found.add(path, "must not be empty");
        return None;
    }
    Some(ResourceName { name, namespace })
}
