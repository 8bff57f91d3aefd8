//! The command line: one file for each command.

mod completions;
mod detach;
mod diff;
mod doctor;
mod exec;
mod output;
mod resolve;
mod run;
mod stats;
mod status;
mod trace;
mod validate;

use std::{io::IsTerminal, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;
use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::{
    agent::Settings,
    plan::Selection,
    policy::Compat,
    resources::{Guard, MeshName, cidr},
    routing, sources,
    workloads::cgroups::NoSuchCgroup,
};

/// Routes TCP connections by MeshTCPRoute, in the kernel, at connect() time.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put the routes of local workloads in force. They stay when it stops, until `detach`.
    Run(run::Run),
    /// End all routes that a daemon has put in force on this node.
    Detach(detach::Detach),
    /// Run one command as a Dataplane, in a cgroup of its own.
    Exec(exec::Exec),
    /// Show where the connections of a Dataplane go, and why.
    Resolve(resolve::Resolve),
    /// Show which connections would go elsewhere with other resources.
    Diff(diff::Diff),
    /// Show what the daemon of this node does.
    Status(status::Status),
    /// Show how connections are split, against how they should be, and what became of them.
    Stats(stats::Stats),
    /// Show decisions as they are made, and what comes of each.
    Trace(trace::Trace),
    /// Check files, and tell every violation in them.
    Validate(validate::Validate),
    /// Check whether this node has what is needed, and tell the remedy for what is missing.
    Doctor(doctor::Doctor),
    /// Print a script by which a shell completes commands and options.
    Completions(completions::Completions),
}

/// How routes are resolved.
#[derive(Debug, Args)]
struct Routing {
    /// The version of Kuma whose rules are in force: 2.4, latest (2.6 to 2.14) or 3.0.
    #[arg(long, default_value_t, value_name = "VERSION")]
    compat: Compat,
    /// Route past the proxy even where the mesh has mTLS on: such connections are plaintext.
    #[arg(long)]
    allow_mtls_bypass: bool,
    #[command(flatten)]
    guard: GuardArguments,
}

impl Routing {
    fn options(&self) -> routing::Options {
        let guard = self.guard.guard();
        routing::Options { allow_mtls_bypass: self.allow_mtls_bypass, compat: self.compat, guard }
    }
}

/// Which addresses count. Unspecified, multicast, broadcast and link-local ones never do.
#[derive(Debug, Args)]
struct GuardArguments {
    /// No connection goes to an address in this network, and no route begins at one. May be given several times.
    #[arg(long, value_name = "CIDR", value_parser = cidr)]
    deny_cidr: Vec<IpNet>,
    /// VIPs of MeshServices, MeshExternalServices and MeshMultiZoneServices count in this network only, such as the range of the
    /// cluster's Services. May be given several times [default: 240.0.0.0/4]
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
    /// Pass over fields that are not known: for files that were dumped by a control plane or an API server, which may be of a
    /// later version.
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
    /// YAML or JSON files, or directories of them.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    resources: Vec<PathBuf>,
    #[command(flatten)]
    reading: ReadingArguments,
    /// The mesh of the Dataplanes.
    #[arg(long, default_value_t)]
    mesh: MeshName,
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
    /// What the maps that grow may take together, in MiB. While they are made larger, those of before are there as well.
    #[arg(long, default_value = "1024", value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    max_map_memory: u64,
    /// How many routes one workload may have in the kernel; a route counts once for each of its backendRefs. Those beyond are
    /// left to the proxy.
    #[arg(long, default_value = "65536", value_name = "ROUTES", value_parser = clap::value_parser!(u32).range(1..))]
    max_routes_per_workload: u32,
}

impl Input {
    fn settings(&self) -> Settings {
        Settings {
            mesh: self.mesh.clone(),
            routing: self.routing.options(),
            log_decisions: self.log_decisions,
            selection: self.selection,
            ejection: None,
            drain: None,
            max_map_memory: self.max_map_memory << 20,
            quota: self.max_routes_per_workload as usize,
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

/// Arguments that are well-formed and yet make no sense.
#[derive(Debug, Error)]
#[error("{0}")]
struct BadUsage(String);

const FAILED: u8 = 1;
/// As clap exits on arguments that it cannot read.
const INVALID: u8 = 2;

impl Cli {
    /// What has to be done while this process has one thread.
    pub fn prepare(&self) -> Result<()> {
        match &self.command {
            Command::Run(run) => run.prepare(),
            _ => Ok(()),
        }
    }

    /// Runs the command. 0 done, 1 failed, 2 bad usage or invalid input; `exec` passes on its command's code.
    pub async fn run(self) -> ExitCode {
        let result = match self.command {
            Command::Run(run) => {
                start_log(LevelFilter::INFO, run.logs_decisions());
                run.run().await
            }
            Command::Exec(exec) => {
                // The output of the command is what counts there.
                start_log(LevelFilter::WARN, exec.logs_decisions());
                exec.run().await
            }
            Command::Resolve(resolve) => {
                start_log(LevelFilter::WARN, false);
                resolve.run().await
            }
            Command::Diff(diff) => {
                start_log(LevelFilter::WARN, false);
                diff.run().await
            }
            Command::Status(status) => {
                start_log(LevelFilter::WARN, false);
                status.run().await
            }
            Command::Stats(stats) => {
                start_log(LevelFilter::WARN, false);
                stats.run().await
            }
            Command::Trace(trace) => {
                start_log(LevelFilter::WARN, false);
                trace.run().await
            }
            Command::Validate(validate) => validate.run(),
            Command::Doctor(doctor) => doctor.run(),
            Command::Detach(detach) => detach.run(),
            Command::Completions(completions) => completions.run(),
        };
        result.unwrap_or_else(|error| {
            report(&error);
            ExitCode::from(exit_code(&error))
        })
    }
}

#[expect(clippy::print_stderr, reason = "the one place where an error ends the program")]
fn report(error: &anyhow::Error) {
    eprintln!("error: {}", output::printable(&format!("{error:#}")));
}

fn exit_code(error: &anyhow::Error) -> u8 {
    let invalid = error.chain().any(|cause| {
        cause.is::<sources::InputErrors>()
            || cause.is::<routing::UnknownDataplane>()
            || cause.is::<routing::UnknownService>()
            || cause.is::<NoSuchCgroup>()
            || cause.is::<BadUsage>()
            || cause.is::<validate::Invalid>()
    });
    if invalid { INVALID } else { FAILED }
}

/// Logs to stderr; `RUST_LOG` overrides what is shown. The programs' decisions come as this crate's DEBUG.
fn start_log(level: LevelFilter, decisions: bool) {
    // What goes wrong with watching files is told in our words.
    let shown = format!("{level},notify=off{}", if decisions { ",tcproute=debug" } else { "" });
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(shown));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
