//! The command line: one file for each command.

mod age;
mod bugreport;
mod complete;
mod completions;
mod config;
mod control_plane;
mod describe;
mod detach;
mod diff;
mod doctor;
mod exec;
mod failure;
mod get;
mod hosted;
mod input;
mod layers;
mod metrics;
mod otlp;
mod output;
mod reload;
mod resolve;
mod run;
mod selector;
mod signals;
mod stats;
mod status;
mod text;
mod top;
mod trace;
mod uncovered;
mod validate;
mod version;
mod watch;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use ipnet::IpNet;
use tokio::runtime::Runtime;
use tracing::level_filters::LevelFilter;

use crate::{
    agent::Settings,
    logging::{self, Writing},
    plan::{Room, Selection},
    policy::Compat,
    resources::{Guard, MeshName, cidr},
    routing::{self, KeptKinds, Resolver},
    sidecar::{self, KUMA_UID, Mark, Mode},
    sources::{self, control_plane::Meshes, dns},
};
use failure::{BadUsage, FAILED, report};
use input::{Loaded, SourceArguments};
use layers::Layers;

pub use completions::completion_script;

/// Routes TCP connections by MeshTCPRoute, in the kernel, at connect() time.
#[derive(Debug, Parser)]
#[command(name = "tcproute", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put the routes of local workloads in force. They stay when it stops, until `detach`.
    Run(Box<run::Run>),
    /// End all routes that a daemon has put in force on this node.
    Detach(detach::Detach),
    /// Run one command as a Dataplane, in a cgroup of its own.
    Exec(exec::Exec),
    /// Show where the connections of a Dataplane go, and why.
    Resolve(resolve::Resolve),
    /// List Dataplanes, services, endpoints, policies, routes or connections, a line each: those of the daemon of this
    /// node, or of a source that is named.
    Get(Box<get::Get>),
    /// Show all that there is to know of a Dataplane, a service, a policy or a connection, and why.
    Describe(describe::Describe),
    /// Show which connections would go elsewhere with other resources.
    Diff(diff::Diff),
    /// Show what the daemon of this node does.
    Status(status::Status),
    /// Show how connections are split, against how they should be, and what became of them.
    Stats(stats::Stats),
    /// Show routes by rate on the whole terminal, with what fails, until it is quit.
    Top(top::Top),
    /// Show decisions as they are made, and what comes of each.
    Trace(trace::Trace),
    /// Check files, and tell every violation in them.
    Validate(validate::Validate),
    /// Check whether this node has what is needed, and tell the remedy for what is missing.
    Doctor(doctor::Doctor),
    /// Write one file for who asks for help: all that is known of this node, and nothing secret.
    Bugreport(bugreport::Bugreport),
    /// Show what the daemon would go by, and where each of it is from.
    Config(config::Config),
    /// Print a script by which a shell completes commands, options, and names that the daemon of this node knows.
    #[command(visible_alias = "completion")]
    Completions(completions::Completions),
    /// Tell which build this is.
    Version(version::Version),
}

/// How routes are resolved.
#[derive(Debug, Args)]
struct Routing {
    /// The version of Kuma whose rules are in force: 2.4, latest (2.6 to 2.14) or 3.0 [default: that of the cluster, or
    /// else 2.4]
    #[arg(long, value_name = "VERSION")]
    compat: Option<Compat>,
    /// Route past the proxy even where the mesh has mTLS on: such connections are plaintext.
    #[arg(long)]
    allow_mtls_bypass: bool,
    /// Leave to the proxy what policies of these kinds are about, by comma, or none. What a MeshTrafficPermission
    /// denies is meant by that kind. Without --allow-mtls-bypass mTLS is left to the proxy in any case.
    #[arg(long, default_value_t, value_name = "KIND,…")]
    sidecar_keep: KeptKinds,
    #[command(flatten)]
    guard: GuardArguments,
}

impl Routing {
    /// Of what the sources have of these meshes.
    async fn resolver(&self, sources: &SourceArguments, meshes: Meshes) -> Result<Resolver> {
        let Loaded { resources, compat, in_cluster } = sources.load(self.compat, meshes).await?;
        let dns = dns::look_up(resources.external_host_names()).await;
        Ok(Resolver::new(resources, dns, self.options(compat, in_cluster)))
    }

    /// For resources of a control plane with these rules, or of none; in a cluster or elsewhere.
    fn options(&self, found: Option<Compat>, in_cluster: bool) -> routing::Options {
        let guard = self.guard.guard();
        let compat = self.compat.or(found).unwrap_or_default();
        let allow_mtls_bypass = self.allow_mtls_bypass;
        routing::Options { allow_mtls_bypass, compat, guard, in_cluster, kept: self.sidecar_keep.clone() }
    }
}

/// Which addresses count. Unspecified, multicast, broadcast and link-local ones never do.
#[derive(Debug, Args)]
struct GuardArguments {
    /// No connection goes to an address in this network, and no route begins at one. May be given several times.
    #[arg(long, value_name = "CIDR", value_parser = cidr)]
    deny_cidr: Vec<IpNet>,
    /// VIPs of MeshServices, MeshExternalServices and MeshMultiZoneServices count in this network only, such as the
    /// range of the cluster's Services. May be given several times [default: 240.0.0.0/4]
    #[arg(long, value_name = "CIDR", value_parser = cidr)]
    vip_cidr: Vec<IpNet>,
    /// Whether loopback addresses count, as endpoints and as what is dialled [default: those in files do]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    allow_loopback: Option<bool>,
}

impl GuardArguments {
    fn guard(&self) -> Guard {
        Guard::new(self.deny_cidr.clone(), self.vip_cidr.clone(), self.allow_loopback)
    }
}

/// How documents are read.
#[derive(Debug, Clone, Copy, Args)]
struct ReadingArguments {
    /// Pass over fields that are not known: for files that were dumped by a control plane or an API server, which may
    /// be of a later version.
    #[arg(long)]
    lenient: bool,
}

impl ReadingArguments {
    const fn strictness(self) -> sources::Strictness {
        if self.lenient { sources::Strictness::Lenient } else { sources::Strictness::Strict }
    }
}

/// Where the routes come from.
#[derive(Debug, Args)]
struct Input {
    #[command(flatten)]
    sources: SourceArguments,
    /// The mesh of the Dataplanes that are named. May be given several times: then it is the first one, unless they are
    /// named MESH/DATAPLANE. Of a control plane only these meshes are read.
    #[arg(long = "mesh", default_values_t = [MeshName::default()], value_name = "MESH")]
    meshes: Vec<MeshName>,
    #[command(flatten)]
    routing: Routing,
    /// Seconds between two look-ups of the DNS names of endpoints.
    #[arg(long, default_value = "5", value_name = "SECONDS", value_parser = seconds)]
    dns_interval: Duration,
    /// How connections are given to backends: random, each by chance, or even, in turns.
    #[arg(long, default_value_t, value_name = "MODE")]
    selection: Selection,
    /// Log each decision of the eBPF programs.
    #[arg(long)]
    log_decisions: bool,
    /// What the maps that grow may take together, in MiB. While they are made larger, those of before are there as
    /// well.
    #[arg(long, default_value = "1024", value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    max_map_memory: u64,
    /// How many routes one workload may have in the kernel; a route counts once for each of its backendRefs. Those
    /// beyond are left to the proxy.
    #[arg(long, default_value = "65536", value_name = "ROUTES", value_parser = clap::value_parser!(u32).range(1..))]
    max_routes_per_workload: u32,
    /// How many endpoints the routes of one workload may lead to; a set of endpoints counts once for each route. Routes
    /// beyond are left to the proxy.
    #[arg(long, default_value = "131072", value_name = "ENDPOINTS", value_parser = clap::value_parser!(u32).range(1..))]
    max_endpoints_per_workload: u32,
    /// How many sockets may be remembered that do not have one of the 65536 places of their own; each takes 400 bytes
    /// of the kernel. One workload may have a fourth of them, or less if there are more than four. Beyond that its
    /// connections are routed and not remembered: getpeername() shows the endpoint, and what becomes of them is not
    /// counted.
    #[arg(long, default_value = "1048576", value_name = "SOCKETS", value_parser = clap::value_parser!(u32).range(1..))]
    max_remembered_sockets: u32,
    #[command(flatten)]
    sidecar: SidecarArguments,
}

/// How sidecars are got past.
#[derive(Debug, Clone, Copy, Args)]
struct SidecarArguments {
    /// Where routed connections are led past a sidecar that takes all connections of their network namespace: auto
    /// where Kuma's redirection is found, bypass everywhere but on the host itself, off nowhere.
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    sidecar: Mode,
    /// The bits of the mark of routed sockets by which they get past, and which of all bits those are.
    #[arg(long, default_value_t, value_name = "VALUE/MASK")]
    sidecar_mark: Mark,
    /// The user that sidecars run as, whose connections are never routed: as its own user namespace numbers it or, with
    /// --sidecar off, as this host does.
    #[arg(long, default_value_t = KUMA_UID, value_name = "UID")]
    sidecar_uid: u32,
}

impl SidecarArguments {
    const fn settings(self) -> sidecar::Settings {
        let Self { sidecar: mode, sidecar_mark: mark, sidecar_uid: uid } = self;
        sidecar::Settings { mode, mark, uid }
    }
}

impl Input {
    /// The mesh of what is named without one.
    fn mesh(&self) -> MeshName {
        self.meshes.first().cloned().unwrap_or_default()
    }

    fn settings(&self, routing: routing::Options) -> Settings {
        Settings {
            routing,
            goes_by_sources: self.routing.compat.is_none(),
            log_decisions: self.log_decisions,
            selection: self.selection,
            ejection: None,
            drain: None,
            max_map_memory: self.max_map_memory << 20,
            sockets: self.max_remembered_sockets,
            quota: Room {
                routes: self.max_routes_per_workload as usize,
                endpoints: self.max_endpoints_per_workload as usize,
            },
            sidecar: self.sidecar.settings(),
        }
    }
}

/// Where the daemon is asked.
#[derive(Debug, Args)]
struct AdminSocket {
    /// The unix socket of the admin endpoint.
    #[arg(long, default_value = "/run/tcproute/admin.sock", value_name = "PATH")]
    admin_socket: PathBuf,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 =
        text.strip_suffix('s').unwrap_or(text).parse().map_err(|_| "not a number of seconds".to_owned())?;
    if !(0.1..=86400.0).contains(&number) {
        return Err("must be from 0.1 to 86400".to_owned());
    }
    Ok(Duration::from_secs_f64(number))
}

impl Cli {
    /// Runs the command that the arguments of this process tell. 0 done, 1 failed, 2 bad usage or invalid input; `exec`
    /// passes on its command's code.
    pub fn main() -> ExitCode {
        if let Some(code) = complete::answered() {
            return code;
        }
        failure::tell_panics();
        let layers = match Layers::of_process() {
            Ok(layers) => layers,
            Err(error) => {
                report(&error);
                return failure::exit_code(&error);
            }
        };
        let matches = Self::command().try_get_matches_from(&layers.arguments);
        let cli = matches.and_then(|matches| Ok((Self::from_arg_matches(&matches)?, matches)));
        let (mut cli, matches) = match cli {
            Ok(cli) => cli,
            Err(error) => return failure::usage(layers.attribute(error)),
        };
        if let Command::Run(run) = &mut cli.command {
            run.taken.clone_from(&layers.arguments);
        }
        let done = match (&cli.command, matches.subcommand()) {
            (Command::Config(config), Some((_, matches))) => config.run(&layers, matches),
            _ => cli.run(),
        };
        let code = done.unwrap_or_else(|error| {
            // What was said before comes before.
            logging::finish();
            report(&error);
            failure::exit_code(&error)
        });
        logging::finish();
        code
    }

    fn run(mut self) -> Result<ExitCode> {
        if let Command::Run(run) = &mut self.command {
            // Privileges belong to threads, and there is one yet.
            run.prepare()?;
        }
        let runtime = Runtime::new().context("cannot start threads")?;
        let code = runtime.block_on(self.command.run());
        // Not waiting for a resolver or a file system that does not answer.
        runtime.shutdown_background();
        code
    }
}

impl Command {
    async fn run(self) -> Result<ExitCode> {
        match &self {
            Self::Run(run) => logging::start(LevelFilter::INFO, run.logs_decisions(), Writing::Aside),
            // The output of the command is what counts there.
            Self::Exec(exec) => logging::start(LevelFilter::WARN, exec.logs_decisions(), Writing::AtOnce),
            Self::Resolve(_)
            | Self::Get(_)
            | Self::Describe(_)
            | Self::Diff(_)
            | Self::Status(_)
            | Self::Stats(_)
            | Self::Trace(_)
            | Self::Detach(_) => {
                logging::start(LevelFilter::WARN, false, Writing::AtOnce);
            }
            // Lines of a log would be written over its screen.
            Self::Top(_)
            | Self::Validate(_)
            | Self::Doctor(_)
            | Self::Bugreport(_)
            | Self::Config(_)
            | Self::Completions(_)
            | Self::Version(_) => {}
        }
        match self {
            Self::Run(run) => Box::pin(run.run()).await,
            Self::Exec(exec) => exec.run().await,
            Self::Resolve(resolve) => resolve.run().await,
            Self::Get(get) => Box::pin(get.run()).await,
            Self::Describe(describe) => Box::pin(describe.run()).await,
            Self::Diff(diff) => diff.run().await,
            Self::Status(status) => status.run().await,
            Self::Stats(stats) => stats.run().await,
            Self::Top(top) => Box::pin(top.run()).await,
            Self::Trace(trace) => trace.run().await,
            Self::Validate(validate) => validate.run().await,
            Self::Doctor(doctor) => doctor.run().await,
            Self::Bugreport(bugreport) => Box::pin(bugreport.run()).await,
            Self::Detach(detach) => detach.run().await,
            // That one is done before there are threads.
            Self::Config(_) => Ok(ExitCode::SUCCESS),
            Self::Completions(completions) => completions.run(),
            Self::Version(version) => version.run(),
        }
    }
}
