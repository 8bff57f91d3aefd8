//! From one document to one resource, in either form.

use serde::{Deserialize, Deserializer, de::IgnoredAny};

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

/// Mesh and name, unless something is wrong with them.
pub(super) type Identity = Option<(MeshName, ResourceName)>;

/// Reads a document whose kind and form are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    pub(crate) kind: Kind,
    pub(crate) form: Form,
}

impl Reader {
    /// The outer error is that of the syntax, the inner one that of the rules. `None` for what does not bear
    /// on routes.
    pub(crate) fn read<'de, D: Deserializer<'de>>(
        self,
        document: D,
    ) -> Result<Result<Option<Resource>, Vec<Violation>>, D::Error> {
        let mut found = Violations::default();
        let resource = match (self.kind, self.form) {
            (Kind::Irrelevant | Kind::List, _) => {
                IgnoredAny::deserialize(document)?;
                return Ok(Ok(None));
            }
            (Kind::OtherPolicy(kind), _) => {
                let any = wire::AnyPolicy::deserialize(document)?;
                let identity = match any.metadata {
                    metadata @ Some(_) => on_kubernetes(metadata, any.mesh, &mut found),
                    None => universal(any.name, any.mesh, &mut found),
                };
                identity.map(|(mesh, name)| Resource::OtherPolicy { kind, mesh, name })
            }
            (Kind::Mesh, form) => read_mesh(document, form, &mut found)?,
            (Kind::MeshTcpRoute, form) => {
                let (identity, spec) = read_policy(document, form, &mut found)?;
                MeshTcpRoute::read(identity, spec, &mut found).map(Resource::TcpRoute)
            }
            (Kind::MeshHttpRoute, form) => {
                let (identity, spec) = read_policy(document, form, &mut found)?;
                MeshHttpRoute::read(identity, spec, &mut found).map(Resource::HttpRoute)
            }
            (Kind::Dataplane, Form::Universal) => {
                let wire = wire::UniversalDataplane::deserialize(document)?;
                let identity = universal(wire.name, wire.mesh, &mut found);
                Dataplane::read(identity, wire.networking, "", &mut found).map(Resource::Dataplane)
            }
            (Kind::Dataplane, Form::Kubernetes) => {
                let wire = wire::Kubernetes::<wire::DataplaneSpec>::deserialize(document)?;
                let identity = on_kubernetes(wire.metadata, wire.mesh, &mut found);
                let networking = wire.spec.and_then(|spec| spec.networking);
                Dataplane::read(identity, networking, "spec.", &mut found).map(Resource::Dataplane)
            }
            (Kind::ExternalService, Form::Universal) => {
                let wire = wire::UniversalExternalService::deserialize(document)?;
                let identity = universal(wire.name, wire.mesh, &mut found);
                ExternalService::read(identity, wire.tags, wire.networking, "", &mut found)
                    .map(Resource::ExternalService)
            }
            (Kind::ExternalService, Form::Kubernetes) => {
                let wire = wire::Kubernetes::<wire::ExternalServiceSpec>::deserialize(document)?;
                let identity = on_kubernetes(wire.metadata, wire.mesh, &mut found);
                let (tags, networking) = wire.spec.map_or((None, None), |spec| (spec.tags, spec.networking));
                ExternalService::read(identity, tags, networking, "spec.", &mut found)
                    .map(Resource::ExternalService)
            }
        };
        Ok(found.finish(resource).map(Some))
    }
}

/// Identity and `spec` of a policy.
fn read_policy<'de, D: Deserializer<'de>, S: Deserialize<'de>>(
    document: D,
    form: Form,
    found: &mut Violations,
) -> Result<(Identity, Option<S>), D::Error> {
    Ok(match form {
        Form::Universal => {
            let wire = wire::UniversalPolicy::deserialize(document)?;
            (universal(wire.name, wire.mesh, found), wire.spec)
        }
        Form::Kubernetes => {
            let wire = wire::Kubernetes::deserialize(document)?;
            (on_kubernetes(wire.metadata, wire.mesh, found), wire.spec)
        }
    })
}

fn read_mesh<'de, D: Deserializer<'de>>(
    document: D,
    form: Form,
    found: &mut Violations,
) -> Result<Option<Resource>, D::Error> {
    let (name, name_path, mtls, mtls_path) = match form {
        Form::Universal => {
            let wire = wire::UniversalMesh::deserialize(document)?;
            (wire.name, "name", wire.mtls, "mtls")
        }
        Form::Kubernetes => {
            let wire = wire::Kubernetes::<wire::MeshSpec>::deserialize(document)?;
            let name = wire.metadata.and_then(|metadata| metadata.name);
            (name, "metadata.name", wire.spec.and_then(|spec| spec.mtls), "spec.mtls")
        }
    };
    let name =
        read_set(name, name_path, found).and_then(|name| found.check(name_path, MeshName::try_from(name)));
    Ok(Mesh::read(name, mtls, mtls_path, found).map(Resource::Mesh))
}

fn universal(name: Option<String>, mesh: Option<String>, found: &mut Violations) -> Identity {
    let mesh = read_mesh_name(mesh, "mesh", found);
    let name = read_name(name, None, "name", found);
    Some((mesh?, name?))
}

fn on_kubernetes(metadata: Option<wire::Metadata>, mesh: Option<String>, found: &mut Violations) -> Identity {
    let metadata = metadata.unwrap_or_default();
    let label = metadata.labels.and_then(|mut labels| labels.remove(MESH_LABEL));
    let mesh = match mesh {
        Some(mesh) => read_mesh_name(Some(mesh), "mesh", found),
        None => read_mesh_name(label, "metadata.labels", found),
    };
    let name = read_name(metadata.name, metadata.namespace, "metadata.name", found);
    Some((mesh?, name?))
}

fn read_mesh_name(mesh: Option<String>, path: &str, found: &mut Violations) -> Option<MeshName> {
    match mesh {
        Some(mesh) => found.check(path, MeshName::try_from(mesh)),
        None => Some(MeshName::default()),
    }
}

fn read_set(name: Option<String>, path: &str, found: &mut Violations) -> Option<String> {
    found.check(path, name.ok_or("must be set"))
}

fn read_name(
    name: Option<String>,
    namespace: Option<String>,
    path: &str,
    found: &mut Violations,
) -> Option<ResourceName> {
    let name = read_set(name, path, found)?;
    if name.is_empty() {
        found.add(path, "must not be empty");
        return None;
    }
    Some(ResourceName { name, namespace })
}
