//! `cargo xtask demo`: the examples, live. Real servers on loopback, real clients that dial one address, and a table of
//! where their connections went beside where the policy says they go.

mod backend;
mod client;
mod daemon;
mod leftovers;
mod refused;
mod situations;
mod split;

use std::{
    collections::BTreeSet,
    env,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

pub(crate) use client::{Options as ClientOptions, run as run_client};

use crate::{command, provision, release::build_release, workspace};
use backend::Backend;
use client::Tally;
use daemon::Daemon;
use refused::is_refused;
use situations::{Change, Client, SITUATIONS, Situation, USUAL};
use split::{Endpoint, Split, grouped};

/// `cargo xtask demo`
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Which situations, each a folder of `examples/`; a split and a redirect if none is named
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(SITUATIONS.iter().map(|situation| situation.name)))]
    names: Vec<String>,
    /// All of them
    #[arg(long, conflicts_with = "names")]
    all: bool,
}

/// What the clients dial in all examples: the port of an outbound. Nothing listens there.
const DIALLED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10001);

/// While a file is exchanged. Some are made before, and most after it.
const CONNECTIONS_MEANWHILE: u32 = 10_000;
const CONNECTIONS_BEFORE: u32 = 1000;

/// How long the client may take for its first connection: loading takes well under a second.
const FIRST_CONNECTION: Duration = Duration::from_secs(30);

/// How long a change may take: it takes some milliseconds.
const CHANGE: Duration = Duration::from_secs(30);

impl Options {
    fn wanted(&self) -> Vec<&'static Situation> {
        let is_wanted = |name| self.names.iter().any(|wanted| wanted == name);
        match (self.all, self.names.is_empty()) {
            (true, _) => SITUATIONS.iter().collect(),
            (false, true) => SITUATIONS.iter().take(USUAL).collect(),
            (false, false) => SITUATIONS.iter().filter(|situation| is_wanted(situation.name)).collect(),
        }
    }
}

/// Builds what is needed, runs the examples and checks that nothing remains of them.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("the demo needs Linux: tcproute works inside its kernel");
    }
    if !provision::is_root() {
        // With the PATH, since sudo's own seldom has cargo.
        bail!(
            "the demo loads eBPF programs, so it needs root; run: sudo -E env \"PATH=$PATH\" cargo xtask demo"
        );
    }
    eprintln!("building tcproute");
    let binary = build_release()?;
    let wanted = options.wanted();

    let backends = start_backends(&wanted)?;
    ensure!(
        is_refused(DIALLED)?,
        "another program listens at {DIALLED}; the demo dials that address and needs it unused"
    );
    println!("\nBackends listen at {}.", listed(&backends));
    println!("Nothing listens at {DIALLED}, which the client dials: a plain connection there is refused.");
    let demo = Demo { binary, backends };
    let mut cgroups = Vec::new();
    for situation in wanted {
        cgroups.extend(demo.show(situation)?);
    }

    let Demo { binary, backends } = demo;
    let mut addresses: Vec<_> = backends.iter().map(Backend::address).collect();
    drop(backends);
    addresses.push(DIALLED);
    leftovers::check(&cgroups, &addresses).context("the demo has not cleaned up")?;
    println!(
        "\nCleaned up: the client's cgroups are gone, so nothing is attached to them; no backend listens any more."
    );
    suggest(&binary);
    Ok(())
}

/// As a step of the tests: all situations, in a network of their own, where every address is free.
pub(crate) fn step() -> Result<()> {
    provision::ensure(&["iproute2"])?;
    let mut demo = Command::new("unshare");
    demo.args(["--net", "sh", "-c", "ip link set lo up && exec \"$0\" demo --all"]).arg(this_program()?);
    command::run(&mut demo)
}

fn start_backends(situations: &[&Situation]) -> Result<Vec<Backend>> {
    let clients = situations.iter().flat_map(|situation| situation.all_clients());
    let endpoints: BTreeSet<&str> = clients.flat_map(Client::endpoints).collect();
    let mut backends = Vec::new();
    for name in endpoints {
        match name.strip_prefix("localhost:") {
            Some(port) => {
                let port = port.parse().with_context(|| format!("the port of {name}"))?;
                backends.push(Backend::start((Ipv4Addr::LOCALHOST, port).into(), name)?);
                // The name may mean this one as well.
                backends.extend(Backend::start_if_possible((Ipv6Addr::LOCALHOST, port).into(), name)?);
            }
            None => backends.push(Backend::start(name.parse().with_context(|| name.to_owned())?, name)?),
        }
    }
    Ok(backends)
}

struct Demo {
    binary: PathBuf,
    backends: Vec<Backend>,
}

impl Demo {
    /// Returns the names of the cgroups that were there meanwhile.
    fn show(&self, situation: &Situation) -> Result<Vec<String>> {
        let Situation { what, files, clients, change, .. } = situation;
        let title: Vec<String> = files.iter().map(|file| format!("examples/{file}")).collect();
        println!("\n{}: {what}", title.join(", "));
        match change {
            Some(change) => self.show_change(situation, change),
            None => clients.iter().map(|client| self.show_client(situation, client)).collect(),
        }
    }

    /// As the command of `tcproute exec`.
    fn show_client(&self, situation: &Situation, client: &Client) -> Result<String> {
        if situation.clients.len() > 1 {
            println!("\n  {} dials {DIALLED}:", client.dataplane);
        }
        let mut exec = Command::new(&self.binary);
        exec.args(exec_arguments(&example_files(situation.files), client.dataplane));
        exec.arg(this_program()?);
        let (process, tally) = self.dial(exec, client.connections)?;
        show(client, &tally)?;
        Ok(format!("tcproute-exec-{process}"))
    }

    /// In the cgroup of a workload of `tcproute run`.
    fn show_change(&self, situation: &Situation, change: &Change) -> Result<Vec<String>> {
        let [client] = situation.clients else { bail!("{}: one client sees the change", situation.name) };
        let daemon = Daemon::start(&self.binary, &example_files(situation.files), client.dataplane)?;
        let dial = |count| self.dial(daemon.command(this_program()?), count).map(|(_, tally)| tally);
        show(client, &dial(client.connections)?)?;

        println!("\n  examples/{} takes the place of the last file, while connections flow.", change.file);
        let before = self.accepted();
        let mut command = daemon.command(this_program()?);
        let child = start_client(&mut command, CONNECTIONS_MEANWHILE)?;
        // Whatever comes of it, the child is waited for.
        let exchanged = self
            .wait_for_connections(before + CONNECTIONS_BEFORE)
            .and_then(|()| daemon.exchange(&example_file(change.file)));
        let tally = finish_client(child, CONNECTIONS_MEANWHILE)?;
        exchanged?;
        let (old, new) = (tally.sum(client.endpoints()), tally.sum(change.client.endpoints()));
        ensure!(old + new == CONNECTIONS_MEANWHILE, "others have answered while the file was exchanged");

        // On a busy machine those may have been made before the change was in force.
        let deadline = Instant::now() + CHANGE;
        while dial(1)?.sum(client.endpoints()) > 0 {
            ensure!(Instant::now() < deadline, "{} is not in force in time", change.file);
        }
        println!(
            "  Of {} connections made meanwhile {} led to {} and {} to {}; none failed.",
            grouped(CONNECTIONS_MEANWHILE),
            grouped(old),
            labels(client),
            grouped(new),
            labels(&change.client)
        );
        show(&change.client, &dial(change.client.connections)?)?;
        let cgroup = daemon.cgroup();
        daemon.stop()?;
        Ok(vec![cgroup])
    }

    /// Lets the client dial by this command, and returns the number of the process and what the client says.
    fn dial(&self, mut command: Command, count: u32) -> Result<(u32, Tally)> {
        if count > 1 {
            eprintln!("  {} connections to {DIALLED} …", grouped(count));
        }
        let before = self.accepted();
        let mut child = start_client(&mut command, count)?;
        let process = child.id();
        // Whatever comes of it, the child is waited for.
        let outside = self.dial_from_outside(&mut child, before);
        let tally = finish_client(child, count)?;
        outside?;
        let made = self.accepted() - before;
        ensure!(made == count, "the client has made {count} connections, but the backends count {made}");
        Ok((process, tally))
    }

    fn wait_for_connections(&self, accepted: u32) -> Result<()> {
        let deadline = Instant::now() + FIRST_CONNECTION;
        while self.accepted() < accepted {
            ensure!(Instant::now() < deadline, "the client does not connect");
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Dials the client's address from this process while the client does: what is not in the client's cgroup is
    /// not routed.
    fn dial_from_outside(&self, child: &mut Child, before: u32) -> Result<()> {
        let deadline = Instant::now() + FIRST_CONNECTION;
        while self.accepted() == before {
            if child.try_wait().context("cannot wait for tcproute")?.is_some() {
                return Ok(()); // Its exit code says more than this could.
            }
            if Instant::now() > deadline {
                child.kill().context("cannot end tcproute")?;
                bail!("no connection within {} s", FIRST_CONNECTION.as_secs());
            }
            thread::sleep(Duration::from_millis(1));
        }
        ensure!(
            is_refused(DIALLED)?,
            "a connection to {DIALLED} from outside the client's cgroup was not refused"
        );
        Ok(())
    }

    /// How many connections the backends have answered.
    fn accepted(&self) -> u32 {
        self.backends.iter().map(Backend::accepted).sum()
    }
}

/// The file of this program. `cargo xtask test` may have built it anew since it began, and then the kernel says that it
/// was deleted.
fn this_program() -> Result<PathBuf> {
    let path = env::current_exe().context("cannot tell where this program is")?;
    let rebuilt = path.to_str().and_then(|path| path.strip_suffix(" (deleted)")).map(PathBuf::from);
    Ok(rebuilt.filter(|rebuilt| rebuilt.exists()).unwrap_or(path))
}

fn start_client(command: &mut Command, count: u32) -> Result<Child> {
    command
        .args([client::SUBCOMMAND, &DIALLED.to_string(), &count.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the client")
}

/// What a client says that has made so many connections.
fn finish_client(child: Child, count: u32) -> Result<Tally> {
    let output = child.wait_with_output().context("cannot wait for the client")?;
    ensure!(output.status.success(), "the client has failed ({})", output.status);
    let tally: Tally = String::from_utf8_lossy(&output.stdout).parse().context("the client's output")?;
    let answered = tally.total();
    ensure!(answered == count, "{count} connections were asked for, but the client counts {answered}");
    Ok(tally)
}

/// Prints the table and what else was seen, and fails if it is not what the policy says.
fn show(client: &Client, tally: &Tally) -> Result<()> {
    let known: Vec<&str> = client.endpoints().collect();
    if let Some(stranger) = tally.names().find(|name| !known.contains(name)) {
        bail!("{stranger:?} has answered, which is no backend of this example");
    }
    let endpoint = |name: &&str| Endpoint { address: (*name).to_owned(), connections: tally.of(name) };
    let backend = |to: &situations::BackendRef| split::Backend {
        label: to.label,
        share: to.share,
        endpoints: to.endpoints.iter().map(endpoint).collect(),
    };
    let split = Split { backends: client.leads_to.iter().map(backend).collect() };
    println!("\n{split}");
    let chance = split.chance();
    if known.len() > 1 {
        println!("  The difference is {chance}.");
    }
    if let Some(within) = split.within() {
        println!("  {within}.");
    }
    println!(
        "  getpeername() was {DIALLED} every time; {} µs per connection, answer included.",
        tally.per_connection().as_micros()
    );
    println!("  The same dial from outside the client's cgroup, at the same time: refused.");
    ensure!(chance.is_plausible(), "the observed split is not the configured one: {chance}");
    Ok(())
}

fn labels(client: &Client) -> String {
    let labels: Vec<_> = client.leads_to.iter().map(|to| to.label).collect();
    labels.join(" and ")
}

fn example_files(files: &[&str]) -> Vec<PathBuf> {
    files.iter().map(|file| example_file(file)).collect()
}

fn example_file(file: &str) -> PathBuf {
    workspace::root().join("examples").join(file)
}

/// What comes before the client in `tcproute exec`.
fn exec_arguments(files: &[PathBuf], dataplane: &str) -> Vec<String> {
    let resources = files.iter().flat_map(|file| ["--resources".to_owned(), file.display().to_string()]);
    ["exec".to_owned()]
        .into_iter()
        .chain(resources)
        .chain(["--dataplane", dataplane, "--"].map(str::to_owned))
        .collect()
}

/// How to do it oneself.
fn suggest(binary: &Path) {
    // As typed in the root of the checkout.
    let binary = binary.strip_prefix(workspace::root()).unwrap_or(binary).display();
    let exec = exec_arguments(&[Path::new("examples/split-universal.yaml").into()], "frontend-1").join(" ");
    println!(
        "
Try it with servers of your own:
  for ip in 127.0.1.1 127.0.1.2 127.0.2.1; do
    mkdir -p /tmp/demo/$ip; echo $ip > /tmp/demo/$ip/index.html
    python3 -m http.server --bind $ip --directory /tmp/demo/$ip 3001 > /dev/null 2>&1 &
  done; sleep 1
  sudo {binary} {exec} \\
    curl --silent 'http://{DIALLED}/?[1-20]'
  kill $(jobs -p)"
    );
}

fn listed(backends: &[Backend]) -> String {
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address().to_string()).collect();
    addresses.join(", ")
}
