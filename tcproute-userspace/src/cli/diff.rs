//! `tcproute diff`: which connections would go elsewhere with other resources. Needs no privilege and no kernel, but
//! for what is in force on a node.

mod live;

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode, slice::from_ref, time::Duration};

use anyhow::Result;
use clap::Args;

use self::live::Traffic;
use super::{
    AdminSocket, BadUsage, Routing,
    age::span,
    complete,
    input::SourceArguments,
    output::{self, Named, OutputArguments, percent},
    resolve::dataplanes,
    seconds,
    text::Text,
};
use crate::{
    resources::{Key, MeshHttpRoute, MeshName, MeshTcpRoute, ResourceName, Resources},
    routing::{
        self, DataplaneDifference, Ends, Resolver, RouteDifference, UnknownDataplane, between, difference,
    },
    sources::{self, applied, control_plane::Meshes, dns},
};

#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The resources that are in force: a YAML or JSON file, or a directory of them. With --live, those that would be.
    #[arg(required_unless_present_any = ["with", "resources"], conflicts_with = "with")]
    old: Option<PathBuf>,
    /// The resources that would be.
    #[arg(required_unless_present_any = ["with", "live", "resources"])]
    new: Option<PathBuf>,
    /// Compare with what is in force on this node now, and tell how many connections a second would go elsewhere. What
    /// would be is that of the one path, or of --with.
    #[arg(long)]
    live: bool,
    /// With --live, see the traffic for so many seconds from now on, in the place of that of the last minutes.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, requires = "live")]
    traffic: Option<Duration>,
    #[command(flatten)]
    admin: AdminSocket,
    /// Instead of both: what would be if these files were applied to what the source has. Also as -f, if there are no
    /// other files.
    #[arg(long, num_args = 1.., value_name = "PATH")]
    with: Vec<PathBuf>,
    #[command(flatten)]
    sources: SourceArguments,
    /// The mesh of the Dataplanes [default: every mesh; with --dataplane: default]
    #[arg(long)]
    mesh: Option<MeshName>,
    /// Only the routes of this Dataplane.
    #[arg(long, value_name = "NAME", add = complete::dataplanes())]
    dataplane: Option<String>,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    routing: Routing,
}

impl Diff {
    pub(super) async fn run(mut self) -> Result<ExitCode> {
        if self.old.is_none() && self.with.is_empty() {
            self.with = self.sources.take_files();
        }
        if self.live {
            let (differences, over) = self.live().await?;
            output::print(&self.output, &differences, |differences, _| {
                let mut text = table(differences);
                if !differences.is_empty() {
                    text.gap();
                    text.line(format_args!("By the connections of the last {}.", span(over)));
                }
                text
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        let (old, new, options) = self.both().await?;
        let wanted = self.wanted(&old, &new);
        let shadows = shadows(&old, &new);
        let differences = differences(old, new, options, wanted).await?;
        output::print(&self.output, &differences, |differences, _| {
            let mut text = table(differences);
            text.append(&shadows);
            text
        })?;
        Ok(ExitCode::SUCCESS)
    }

    /// Where connections on this node would go elsewhere, and over how long they were counted.
    async fn live(&self) -> Result<(Vec<DataplaneDifference>, Duration)> {
        let socket = &self.admin.admin_socket;
        let mut in_force = live::in_force(socket).await?;
        let wanted = |ends: &Ends| {
            self.mesh.as_ref().is_none_or(|mesh| *mesh == ends.mesh)
                && self.dataplane.as_ref().is_none_or(|name| *name == ends.dataplane)
        };
        // Whose rules hold is told by the daemon, unless it is said otherwise.
        let compat = in_force.iter().find_map(|ends| ends.compat.as_ref()?.parse().ok());
        in_force.retain(wanted);
        let (new, options) = match (&self.old, &self.new) {
            (Some(_), Some(_)) => {
                return Err(BadUsage("--live takes one path: that of what would be".to_owned()).into());
            }
            (Some(new), None) => {
                let new = sources::load(from_ref(new), self.sources.strictness())?;
                (new, self.routing.options(compat, false))
            }
            _ => {
                let (_, new, options) = self.both().await?;
                (new, options)
            }
        };
        let dns = dns::look_up(new.external_host_names()).await;
        let mut resolver = Resolver::new(new, dns, options);
        let Traffic { over, rates } = Traffic::see(socket, self.traffic).await?;
        let mut differences = Vec::new();
        for before in &in_force {
            let after = resolver.resolve(&before.mesh, &before.dataplane).ok();
            differences.extend(between(Some(before), after.as_ref().map(Ends::from).as_ref()));
        }
        differences.retain(|difference| !difference.routes.is_empty());
        for DataplaneDifference { mesh, dataplane, routes } in &mut differences {
            for route in routes {
                let dialled = (mesh.to_string(), dataplane.clone(), route.dialled);
                route.per_second = Some(rates.get(&dialled).copied().unwrap_or(0.0));
            }
        }
        Ok((differences, over))
    }

    /// The resources before and after, and how they are resolved.
    async fn both(&self) -> Result<(Resources, Resources, routing::Options)> {
        let read = |paths: &[PathBuf]| sources::load(paths, self.sources.strictness());
        if let (Some(old), Some(new)) = (&self.old, &self.new) {
            let (old, new) = sources::both(read(from_ref(old)), read(from_ref(new)))?;
            return Ok((old, new, self.routing.options(None, false)));
        }
        let changed = read(&self.with)?;
        let snapshot = self.sources.snapshot(self.routing.compat, Meshes::only(&self.mesh)).await?;
        let options = self.routing.options(snapshot.compat, self.sources.in_cluster()?);
        let new = applied::apply(&changed, &snapshot);
        Ok((snapshot.resources, new, options))
    }

    fn wanted(&self, old: &Resources, new: &Resources) -> BTreeSet<(MeshName, String)> {
        match &self.dataplane {
            Some(dataplane) => BTreeSet::from([(self.mesh.clone().unwrap_or_default(), dataplane.clone())]),
            None => all_dataplanes(old, new, self.mesh.as_ref()),
        }
    }
}

impl Named for Vec<DataplaneDifference> {
    fn names(&self) -> Vec<String> {
        self.iter().map(|difference| format!("dataplane/{}", difference.dataplane)).collect()
    }
}

/// The Dataplanes that there are before or after.
pub(super) fn all_dataplanes(
    old: &Resources,
    new: &Resources,
    mesh: Option<&MeshName>,
) -> BTreeSet<(MeshName, String)> {
    let named = |(mesh, name): (MeshName, ResourceName)| (mesh, name.to_string());
    dataplanes(old, mesh).into_iter().chain(dataplanes(new, mesh)).map(named).collect()
}

/// Where connections of these Dataplanes would go elsewhere.
pub(super) async fn differences(
    old: Resources,
    new: Resources,
    options: routing::Options,
    wanted: BTreeSet<(MeshName, String)>,
) -> Result<Vec<DataplaneDifference>> {
    // The same answers for both: that a name has other addresses by now is no difference of the resources.
    let mut names = old.external_host_names();
    names.extend(new.external_host_names());
    let dns = dns::look_up(names).await;
    let mut old = Resolver::new(old, dns.clone(), options.clone());
    let mut new = Resolver::new(new, dns, options);
    let mut differences = Vec::new();
    for (mesh, name) in wanted {
        let (before, after) = (old.resolve(&mesh, &name), new.resolve(&mesh, &name));
        if let (Err(_), Err(error)) = (&before, &after) {
            return Err(UnknownDataplane::clone(error).into());
        }
        differences.extend(difference(before.ok().as_ref(), after.ok().as_ref()));
    }
    differences.retain(|difference| !difference.routes.is_empty());
    Ok(differences)
}

/// Policies that differ and are only tried out, so that no connection goes elsewhere because of them.
fn shadows(old: &Resources, new: &Resources) -> Text {
    let of = |resources: &Resources| {
        let tcp = resources.tcp_routes.values().map(|policy| (MeshTcpRoute::KIND, &policy.header));
        let http = resources.http_routes.values().map(|policy| (MeshHttpRoute::KIND, &policy.header));
        let shadows = tcp.chain(http).filter(|(_, header)| header.shadow);
        shadows.map(|(kind, header)| (kind, header.key())).collect::<BTreeSet<_>>()
    };
    let is_same = |(_, key): &(&str, Key)| {
        old.tcp_routes.get(key) == new.tcp_routes.get(key)
            && old.http_routes.get(key) == new.http_routes.get(key)
    };
    let changed = of(old).into_iter().chain(of(new)).filter(|shadow| !is_same(shadow));
    let line = |(kind, (mesh, name)): (&str, Key)| {
        format!("{kind} {name} of mesh {mesh} is a shadow policy: no connection goes by it")
    };
    let mut text = Text::default();
    text.extend(changed.collect::<BTreeSet<_>>().into_iter().map(line));
    text
}

/// For people.
pub(super) fn table(differences: &[DataplaneDifference]) -> Text {
    if differences.is_empty() {
        return Text::of("no connection goes elsewhere");
    }
    Text::blocks(differences.iter().map(dataplane_table))
}

fn dataplane_table(difference: &DataplaneDifference) -> Text {
    let DataplaneDifference { mesh, dataplane, routes } = difference;
    let mut text = Text::of(format_args!("Dataplane {dataplane} of mesh {mesh}"));
    for RouteDifference { service, dialled, moved, per_second, shifts } in routes {
        let rate = per_second.map(|per_second| {
            let moved = per_second * moved;
            format!(": {moved:.1} of {per_second:.1} a second")
        });
        let (moved, rate) = (percent(*moved), rate.unwrap_or_default());
        let rows = shifts
            .iter()
            .map(|shift| vec![format!("  {}", shift.to), percent(shift.before), percent(shift.after)]);
        text.gap();
        text.line(format_args!("{service} at {dialled}: {moved} of the connections go elsewhere{rate}"));
        text.table(&["  TO", "BEFORE", "AFTER"], &[1, 2], rows);
    }
    text
}
