//! `tcproute get`: what there is of a kind, a line each.
//!
//! - `kind`: the kinds, by all their names.
//! - `listed`: which are meant, and how lists are printed.
//! - `rows`: what each is called and shown as.

mod kind;
mod listed;
mod rows;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use kube::core::Selector;

use self::{
    kind::What,
    listed::{Item, Wanted},
};
use super::{
    AdminSocket, BadUsage, Routing, complete,
    describe::mark_ejected,
    input::SourceArguments,
    output::{self, OutputArguments},
    resolve::dataplanes,
    selector::selector,
    watch::WatchArguments,
};
use crate::{
    admin::client,
    logging,
    outcomes::EndpointConnections,
    resources::MeshName,
    routing::{
        Resolver,
        list::{self, DataplaneItem, EndpointItem, PolicyItem, RouteItem, ServiceItem},
    },
    sources::control_plane::Meshes,
};

pub(super) use kind::Kind;

#[derive(Debug, Args)]
pub(super) struct Get {
    /// What is listed: dataplanes (dp), services (svc), endpoints (ep) of services, policies (meshtcproutes), routes of
    /// Dataplanes, or their open connections by endpoint. With a name also as KIND/NAME.
    #[arg(value_name = "KIND", add = complete::kinds())]
    what: What,
    /// Only these: of endpoints those of a service, of routes and connections those of a Dataplane.
    #[arg(value_name = "NAME", add = complete::names())]
    names: Vec<String>,
    /// Only those of this mesh [default: every mesh]
    #[arg(long)]
    mesh: Option<MeshName>,
    /// Only those of this namespace of Kubernetes [default: every namespace]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Those of every namespace, as is the default.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Only those with such labels, or tags of an inbound: k=v, k!=v, k, !k, 'k in (a,b)', 'k notin (a,b)', several by
    /// comma.
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = selector)]
    selector: Option<Selector>,
    #[command(flatten)]
    watch: WatchArguments,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    admin: AdminSocket,
    #[command(flatten)]
    sources: SourceArguments,
    #[command(flatten)]
    routing: Routing,
}

impl Get {
    pub(super) async fn run(self) -> Result<ExitCode> {
        if self.watch.is_given() && self.sources.is_named() {
            return Err(BadUsage("--watch asks the daemon, and not a source".to_owned()).into());
        }
        if self.selector.is_some() && matches!(self.what.kind, Kind::Routes | Kind::Connections) {
            let kind = self.what.kind.name();
            return Err(BadUsage(format!("{kind} have no labels: choose by the name of a Dataplane")).into());
        }
        self.watch.print(&self.output, async |begin| self.print(begin).await).await
    }

    /// Whether anybody reads on.
    async fn print(&self, begin: &str) -> Result<bool> {
        let resolver = if self.sources.is_named() {
            Some(self.routing.resolver(&self.sources, Meshes::only(&self.mesh)).await?)
        } else {
            None
        };
        match (self.what.kind, resolver) {
            (Kind::Dataplanes, Some(resolver)) => self.show(begin, resolver.list_dataplanes()),
            (Kind::Services, Some(resolver)) => self.show(begin, resolver.list_services()),
            (Kind::Endpoints, Some(resolver)) => self.show(begin, resolver.list_endpoints()),
            (Kind::Policies, Some(resolver)) => self.show(begin, resolver.list_policies()),
            (Kind::Routes, Some(mut resolver)) => self.show(begin, self.routes(&mut resolver)?),
            (Kind::Connections, Some(_)) => {
                Err(BadUsage("only a daemon knows of connections, and no source".to_owned()).into())
            }
            (Kind::Dataplanes, None) => self.show::<DataplaneItem>(begin, self.ask().await?),
            (Kind::Services, None) => self.show::<ServiceItem>(begin, self.ask().await?),
            (Kind::Endpoints, None) => {
                let mut all: Vec<EndpointItem> = self.ask().await?;
                let each = all.iter_mut().map(|item| &mut item.endpoint);
                mark_ejected(each, &self.admin.admin_socket).await?;
                self.show(begin, all)
            }
            (Kind::Policies, None) => self.show::<PolicyItem>(begin, self.ask().await?),
            (Kind::Routes, None) => self.show::<RouteItem>(begin, self.ask().await?),
            (Kind::Connections, None) => self.show::<EndpointConnections>(begin, self.ask().await?),
        }
    }

    async fn ask<I: Item>(&self) -> Result<Vec<I>> {
        let path = format!("/v1/list/{}", self.what.kind.name());
        client::ask(&self.admin.admin_socket, &path).await
    }

    fn routes(&self, resolver: &mut Resolver) -> Result<Vec<RouteItem>> {
        let mut all = Vec::new();
        for (mesh, name) in dataplanes(resolver.resources(), self.mesh.as_ref()) {
            all.extend(list::routes(&resolver.resolve(&mesh, &name.to_string())?));
        }
        Ok(all)
    }

    fn show<I: Item>(&self, begin: &str, all: Vec<I>) -> Result<bool> {
        let wanted = Wanted {
            names: self.what.name.iter().chain(&self.names).map(String::as_str).collect(),
            mesh: self.mesh.as_ref().map(MeshName::as_str),
            namespace: self.namespace.as_deref(),
            selector: self.selector.as_ref(),
        };
        let found = wanted.of(all)?;
        if found.is_empty() && self.output.output.is_table() && !self.watch.is_given() {
            logging::say(format_args!("no {} found", self.what.kind.name()));
        }
        let now = Timestamp::now();
        Ok(output::write(begin)?
            && output::print(&self.output, &found, |found, wide| found.table(wide, now))?)
    }
}

#[cfg(test)]
mod tests;
