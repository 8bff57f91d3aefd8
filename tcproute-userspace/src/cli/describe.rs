//! `tcproute describe`: all that there is to know of one Dataplane, service, policy or connection, and why.

mod connection;
mod dataplane;
mod policy;
mod service;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use self::connection::Connection;
pub(super) use self::service::mark_ejected;
use super::{
    AdminSocket, Routing, complete,
    input::SourceArguments,
    output::{self, Named, OutputArguments},
    text::Text,
};
use crate::{
    resources::MeshName,
    routing::{
        Resolver,
        describe::{DataplaneDescription, PolicyDescription, ServiceDescription},
    },
    sources::control_plane::Meshes,
};

#[derive(Debug, Args)]
pub(super) struct Describe {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A Dataplane: which policies select it, and where each of its connections leads, and why.
    #[command(visible_alias = "dp", alias = "dataplanes")]
    Dataplane(Box<One>),
    /// A service: its endpoints, which of them are in, and why the others are not.
    #[command(visible_alias = "svc", alias = "services")]
    Service(Box<NamedService>),
    /// A MeshTCPRoute: whom it selects, and what it comes to for each of them.
    #[command(visible_alias = "meshtcproute", aliases = ["policies", "meshtcproutes"])]
    Policy(Box<One>),
    /// A connection that is open: where it was dialled, where it leads, and why.
    #[command(visible_alias = "conn", alias = "connections")]
    Connection(Connection),
}

#[derive(Debug, Args)]
struct One {
    /// Its name, on Kubernetes also name.namespace.
    #[arg(add = complete::names())]
    name: String,
    /// Its namespace of Kubernetes, instead of after its name.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    sources: SourceArguments,
    /// Its mesh.
    #[arg(long, default_value_t)]
    mesh: MeshName,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    routing: Routing,
}

#[derive(Debug, Args)]
struct NamedService {
    #[command(flatten)]
    named: One,
    /// Where the daemon of this node is asked which endpoints are ejected, if there is one.
    #[command(flatten)]
    admin: AdminSocket,
}

impl One {
    /// As resources have it.
    fn full_name(&self) -> String {
        match &self.namespace {
            None => self.name.clone(),
            Some(namespace) => format!("{}.{namespace}", self.name),
        }
    }

    async fn resolver(&self) -> Result<Resolver> {
        self.routing.resolver(&self.sources, Meshes::only([&self.mesh])).await
    }
}

impl Describe {
    pub(super) async fn run(self) -> Result<ExitCode> {
        match self.what {
            What::Dataplane(named) => {
                let described =
                    named.resolver().await?.describe_dataplane(&named.mesh, &named.full_name())?;
                output::print(&named.output, &described, |described, _| dataplane::text(described))?;
            }
            What::Service(service) => {
                let NamedService { named, admin } = *service;
                let mut described =
                    named.resolver().await?.describe_service(&named.mesh, &named.full_name())?;
                let asked = mark_ejected(&mut described.endpoints, &admin.admin_socket).await;
                output::print(&named.output, &described, |described, _| {
                    service::text(described, asked.err())
                })?;
            }
            What::Policy(named) => {
                let described = named.resolver().await?.describe_policy(&named.mesh, &named.full_name())?;
                output::print(&named.output, &described, |described, _| policy::text(described))?;
            }
            What::Connection(connection) => return connection.run().await,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Named for DataplaneDescription {
    fn names(&self) -> Vec<String> {
        vec![format!("dataplane/{}", self.dataplane)]
    }
}

impl Named for ServiceDescription {
    fn names(&self) -> Vec<String> {
        vec![format!("service/{}", self.service)]
    }
}

impl Named for PolicyDescription {
    fn names(&self) -> Vec<String> {
        vec![format!("meshtcproute/{}", self.policy)]
    }
}

/// Names by comma, not all of them if they are many.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A heading with what is below it.
fn section(text: &mut Text, heading: &str) {
    text.gap();
    text.line(heading);
}
