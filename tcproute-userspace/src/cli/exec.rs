//! `tcproute exec`: one command as a Dataplane, in a cgroup of its own.

mod show;

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getpgrp, tcgetpgrp},
};
use tokio::{
    process::{Child, Command},
    signal::unix::{Signal as SignalStream, SignalKind, signal},
    sync::mpsc,
};

use self::show::Shown;
use super::{Input, input::Loaded};
use crate::{
    agent::{self, Agent, Inputs},
    bpf::requirements,
    routing::find,
    sources::{control_plane::Meshes, snapshot::Snapshot},
    workloads::{
        DataplaneName, Found,
        cgroups::{Cgroup, Cgroup2, TransientCgroup},
        together::Workloads,
    },
};

/// Signals that are passed on to the command.
const PASSED_ON: [Signal; 7] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// Exit codes of a shell for a command that it cannot run.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

#[derive(Debug, Args)]
pub(super) struct Exec {
    #[command(flatten)]
    input: Input,
    /// The Dataplane whose routes the command gets.
    #[arg(long, value_name = "NAME")]
    dataplane: String,
    /// Print each of its connections to standard error as it is decided on, and in the end how they were split.
    #[arg(long)]
    show: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Exec {
    pub(super) const fn logs_decisions(&self) -> bool {
        self.input.log_decisions
    }

    pub(super) async fn run(self) -> Result<ExitCode> {
        let mesh = self.input.mesh();
        let Loaded { resources, compat, in_cluster } =
            self.input.sources.load(self.input.routing.compat, Meshes::only([&mesh])).await?;
        let settings = self.input.settings(self.input.routing.options(compat, in_cluster));
        // A name that is not there is told before anything is done.
        find(&resources, &mesh, &self.dataplane)?;
        let first = Arc::new(Snapshot { resources, ..Snapshot::default() });

        requirements::raise_limits();
        requirements::check()?;
        let hierarchy = Cgroup2::find()?;
        let own = hierarchy.own()?;
        let mut signals = Signals::listen()?;
        let transient = TransientCgroup::create(&hierarchy, &own)?;
        let found = Found {
            dataplane: DataplaneName { mesh, name: self.dataplane.as_str().into() },
            path: transient.cgroup().path().to_path_buf(),
            id: transient.cgroup().id(),
        };
        let dns_interval = self.input.dns_interval;
        let inputs = Inputs {
            first,
            sources: None,
            dns_interval,
            names: None,
            workloads: Workloads::default(),
            fixed: vec![found],
        };
        let (desk, handle) = agent::desk();
        let mut agent = Agent::start(settings, inputs, None, desk).await?;
        if let Some(why) = agent.failure() {
            bail!("{why}");
        }

        let code = agent
            .serve_until(async {
                let shown = if self.show { Some(Shown::begin(handle).await?) } else { None };
                let child = match spawn_inside(&self.command, &own, transient.cgroup())? {
                    Ok(child) => child,
                    Err(error) => return Ok(self.not_started(error)),
                };
                match shown {
                    None => ended(child, &mut signals).await,
                    Some(shown) => shown.until(ended(child, &mut signals)).await,
                }
            })
            .await??;
        Ok(ExitCode::from(code))
    }

    fn not_started(&self, error: io::Error) -> u8 {
        let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
        let command = self.command[0].to_string_lossy();
        super::report(&anyhow::Error::new(error).context(format!("cannot run {command}")));
        code
    }
}

/// The exit code of the command, which gets the signals meanwhile.
async fn ended(mut child: Child, signals: &mut Signals) -> Result<u8> {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let pid = Pid::from_raw(id.context("the command has no pid")?);
    loop {
        tokio::select! {
            status = child.wait() => return Ok(code_of(status?)),
            Some(signal) = signals.recv() => {
                // A command that has just ended needs no signal.
                let _ = kill(pid, signal);
            }
        }
    }
}

/// Starts the command inside `cgroup`. A child is born into the cgroup of its parent, so this process visits
/// it for that moment.
fn spawn_inside(command: &[OsString], own: &Cgroup, cgroup: &Cgroup) -> Result<io::Result<Child>> {
    cgroup.enter()?;
    let child = Command::new(&command[0]).args(&command[1..]).spawn();
    own.enter()?;
    Ok(child)
}

/// As a shell tells it: 128 and the signal's number for a command that a signal ended.
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(super::FAILED)
}

/// The signals that this process receives for the command.
struct Signals {
    received: mpsc::UnboundedReceiver<Signal>,
}

impl Signals {
    fn listen() -> Result<Self> {
        let (sender, received) = mpsc::unbounded_channel();
        for passed_on in PASSED_ON {
            let mut stream: SignalStream = signal(SignalKind::from_raw(passed_on as i32))?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    if !from_terminal(passed_on) && sender.send(passed_on).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { received })
    }

    async fn recv(&mut self) -> Option<Signal> {
        self.received.recv().await
    }
}

/// Keys such as Ctrl-C signal the whole foreground process group: the command has it already.
fn from_terminal(signal: Signal) -> bool {
    let key = matches!(signal, Signal::SIGINT | Signal::SIGQUIT | Signal::SIGWINCH);
    key && io::stdin().is_terminal() && tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
}
