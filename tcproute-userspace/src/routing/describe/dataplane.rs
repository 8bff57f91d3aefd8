//! A Dataplane: what it serves and dials, which policies select it, and where each of its connections leads.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use serde::Serialize;

use crate::{
    policy::{Compat, applies, is_ready},
    resources::{Dataplane, MeshName, Pairs, Selector},
    routing::{Explanation, Resolver, UnknownDataplane, find::find, policies::Route, resolver::LeftOut},
};

/// A Dataplane.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataplaneDescription {
    /// Its mesh.
    pub mesh: MeshName,
    /// Its name.
    pub dataplane: String,
    /// The order of policies that was in force.
    pub compat: Compat,
    /// Where it is, if that is no DNS name.
    pub address: Option<IpAddr>,
    /// Whether it is a gateway.
    pub gateway: bool,
    /// Whether its connections are redirected to the proxy.
    pub transparent: bool,
    /// What it serves.
    pub inbounds: Vec<InboundDescription>,
    /// The MeshTCPRoutes and MeshHTTPRoutes that select it.
    pub policies: Vec<Selecting>,
    /// What it dials, and why that leads where it leads.
    pub routes: Vec<Explanation>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// An inbound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InboundDescription {
    /// The service, by its tag.
    pub service: Option<String>,
    /// Where it is reached.
    pub address: String,
    /// Its tags.
    pub tags: String,
    /// Whether connections may go there.
    pub ready: bool,
}

/// A policy that selects it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Selecting {
    /// `MeshTCPRoute` or `MeshHTTPRoute`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The proxies it is for.
    pub target: String,
    /// The services that it names.
    pub to: Vec<String>,
}

impl Resolver {
    /// Describes the Dataplane with this name.
    pub fn describe_dataplane(
        &mut self,
        mesh: &MeshName,
        name: &str,
    ) -> Result<DataplaneDescription, UnknownDataplane> {
        let dataplane = Arc::clone(find(self.resources(), mesh, name)?);
        let compat = self.options().compat;
        let resolved = self.resolve(mesh, name)?;
        let mut left_out = LeftOut::default();
        let outbounds = self.outbounds(&dataplane, &mut left_out);
        // What is left to the cluster is no route.
        let routed: BTreeSet<_> = resolved.routes.iter().map(|route| route.dialled).collect();
        let wanted = outbounds.into_iter().filter(|(address, _)| routed.contains(address)).collect();
        let routes = self.explanations(&dataplane, wanted, |all, _, key| all.applying(key));
        Ok(DataplaneDescription {
            mesh: mesh.clone(),
            dataplane: dataplane.name.to_string(),
            compat,
            address: dataplane.address,
            gateway: dataplane.gateway.is_some(),
            transparent: dataplane.transparent,
            inbounds: inbounds(compat, &dataplane),
            policies: self.selecting(&dataplane),
            routes,
            warnings: resolved.warnings(),
        })
    }

    fn selecting(&self, dataplane: &Dataplane) -> Vec<Selecting> {
        let resources = self.resources();
        let tcp = resources.tcp_routes.values().filter_map(|policy| self.selecting_of(&**policy, dataplane));
        let http =
            resources.http_routes.values().filter_map(|policy| self.selecting_of(&**policy, dataplane));
        tcp.chain(http).collect()
    }

    fn selecting_of<R: Route>(&self, policy: &R, dataplane: &Dataplane) -> Option<Selecting> {
        let selector: &Selector = policy.selector();
        applies(self.options().compat, policy.header(), selector, dataplane).then(|| Selecting {
            kind: R::KIND,
            name: policy.header().name.to_string(),
            target: selector.to_string(),
            to: policy.to().iter().map(|to| R::destination(to).to_string()).collect(),
        })
    }
}

fn inbounds(compat: Compat, dataplane: &Dataplane) -> Vec<InboundDescription> {
    let inbound = dataplane.inbounds.iter().map(|inbound| InboundDescription {
        service: inbound.service.as_ref().map(ToString::to_string),
        address: inbound.address.to_string(),
        tags: Pairs(&inbound.tags).to_string(),
        ready: is_ready(compat, inbound),
    });
    inbound.collect()
}
