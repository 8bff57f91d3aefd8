//! MeshTCPRoutes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    resources::{Labels, MeshTcpRoute, Origin, Role, Rule},
    routing::Resolver,
};

/// A MeshTCPRoute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyItem {
    /// Its mesh.
    pub mesh: String,
    /// Its name, on Kubernetes `name.namespace`.
    pub name: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// The proxies it is for.
    pub target: String,
    /// The destinations that it is about.
    pub to: Vec<String>,
    /// How many backendRefs it has.
    pub backends: usize,
    /// Where it comes from: `global`, `zone` or, if that is not said, `unknown`.
    pub origin: String,
    /// Its role: `system`, `producer`, `consumer` or `workload-owner`.
    pub role: String,
    /// Whether it is only tried out.
    pub shadow: bool,
    /// Its labels.
    pub labels: Labels,
    /// When it was made, if that is known.
    pub created: Option<Timestamp>,
}

impl Resolver {
    /// All MeshTCPRoutes, by mesh and name.
    pub fn list_policies(&self) -> Vec<PolicyItem> {
        self.resources().tcp_routes.values().map(|policy| item(policy)).collect()
    }
}

fn item(MeshTcpRoute { header, selector, to }: &MeshTcpRoute) -> PolicyItem {
    let backends = to.iter().map(|to| match &to.rule {
        Rule::Itself => 0,
        Rule::Backends(refs) => refs.len(),
    });
    PolicyItem {
        mesh: header.mesh.to_string(),
        name: header.name.to_string(),
        namespace: header.meta.namespace().map(str::to_owned),
        target: selector.to_string(),
        to: to.iter().map(|to| to.service.to_string()).collect(),
        backends: backends.sum(),
        origin: match header.origin {
            Origin::Global => "global",
            Origin::Unknown => "unknown",
            Origin::Zone => "zone",
        }
        .to_owned(),
        role: match header.role {
            Role::System => "system",
            Role::Producer => "producer",
            Role::Consumer => "consumer",
            Role::WorkloadOwner => "workload-owner",
        }
        .to_owned(),
        shadow: header.shadow,
        labels: header.meta.labels.clone(),
        created: header.meta.created,
    }
}
