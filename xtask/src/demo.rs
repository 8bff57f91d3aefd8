//! `cargo xtask demo`: the examples, live. Real servers on loopback, a real client that dials one address under
//! `tcproute exec`, and a table of where its connections went beside where the policy says they go.

mod backend;
mod client;
mod leftovers;
mod split;

use std::{
    env,
    io::ErrorKind,
    net::{Ipv6Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

pub(crate) use client::{Options as ClientOptions, run as run_client};

use crate::{provision, release::build_release, workspace};
use backend::Backend;
use client::Tally;
use split::{Endpoint, Split, grouped};

/// What the client dials in both examples: the port of the outbound of frontend-1. Nothing listens there.
const DIALLED: SocketAddr = v4([127, 0, 0, 1], 10001);

/// The endpoints of the examples.
const V1: [SocketAddr; 2] = [v4([127, 0, 1, 1], 3001), v4([127, 0, 1, 2], 3001)];
const V2: SocketAddr = v4([127, 0, 2, 1], 3001);
const EXTERNAL: SocketAddr = v4([127, 0, 0, 1], 4001);
/// `localhost` may mean this one as well.
const EXTERNAL_V6: SocketAddr = SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST), 4001);

const SPLIT: &str = "examples/split-universal.yaml";
const SPLIT_CONNECTIONS: u32 = 10_000;
const REDIRECT: &str = "examples/redirect-universal.yaml";
const REDIRECT_CONNECTIONS: u32 = 1000;
const EXTERNAL_NAME: &str = "external-backend";

/// How long the client may take for its first connection: loading takes well under a second.
const FIRST_CONNECTION: Duration = Duration::from_secs(30);

const fn v4([a, b, c, d]: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(a, b, c, d)), port)
}

/// Builds what is needed, runs both examples and checks that nothing remains of them.
pub(crate) fn run() -> Result<()> {
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

    let backends = start_backends()?;
    ensure!(
        is_refused(DIALLED)?,
        "another program listens at {DIALLED}; the demo dials that address and needs it unused"
    );
    println!("\nBackends listen at {}.", listed(&backends));
    println!("Nothing listens at {DIALLED}, which the client dials: a plain connection there is refused.");
    let demo = Demo { binary, backends };
    let processes = [demo.split()?, demo.redirect()?];

    let Demo { binary, backends } = demo;
    let mut addresses: Vec<_> = backends.iter().map(Backend::address).collect();
    drop(backends);
    addresses.push(DIALLED);
    leftovers::check(&processes, &addresses).context("the demo has not cleaned up")?;
    println!(
        "\nCleaned up: the client's cgroups are gone, so nothing is attached to them; no backend listens any more."
    );
    suggest(&binary);
    Ok(())
}

fn start_backends() -> Result<Vec<Backend>> {
    let mut backends = Vec::new();
    for address in V1.into_iter().chain([V2]) {
        backends.push(Backend::start(address, &address.to_string())?);
    }
    backends.push(Backend::start(EXTERNAL, EXTERNAL_NAME)?);
    backends.extend(Backend::start_if_possible(EXTERNAL_V6, EXTERNAL_NAME)?);
    Ok(backends)
}

struct Demo {
    binary: PathBuf,
    backends: Vec<Backend>,
}

impl Demo {
    /// Weights: 90 to version 1.0, 10 to version 2.0. Returns the process that it ran.
    fn split(&self) -> Result<u32> {
        println!("\n{SPLIT}: 90 % to version 1.0, 10 % to version 2.0");
        let (process, tally) = self.dial(SPLIT, SPLIT_CONNECTIONS)?;
        let endpoint = |address: SocketAddr| Endpoint {
            address: address.to_string(),
            connections: tally.of(&address.to_string()),
        };
        let split = Split {
            backends: vec![
                split::Backend { label: "version 1.0", share: 0.9, endpoints: V1.map(endpoint).into() },
                split::Backend { label: "version 2.0", share: 0.1, endpoints: vec![endpoint(V2)] },
            ],
        };
        let known: Vec<_> = V1.into_iter().chain([V2]).map(|address| address.to_string()).collect();
        show(&split, &tally, &known)?;
        Ok(process)
    }

    /// All to an external service. Returns the process that it ran.
    fn redirect(&self) -> Result<u32> {
        println!("\n{REDIRECT}: everything to an external service");
        let (process, tally) = self.dial(REDIRECT, REDIRECT_CONNECTIONS)?;
        let endpoint =
            Endpoint { address: "localhost:4001".to_owned(), connections: tally.of(EXTERNAL_NAME) };
        let split = Split {
            backends: vec![split::Backend { label: EXTERNAL_NAME, share: 1.0, endpoints: vec![endpoint] }],
        };
        show(&split, &tally, &[EXTERNAL_NAME.to_owned()])?;
        Ok(process)
    }

    /// Runs the client as frontend-1, and returns the number of the process `tcproute exec` and what the client
    /// says.
    fn dial(&self, example: &str, count: u32) -> Result<(u32, Tally)> {
        eprintln!("  {} connections to {DIALLED} …", grouped(count));
        let before = self.accepted();
        let client = env::current_exe().context("cannot tell where the client is")?;
        let mut child = Command::new(&self.binary)
            .args(exec_arguments(&workspace::root().join(example)))
            .arg(client)
            .args([client::SUBCOMMAND, &DIALLED.to_string(), &count.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        let process = child.id();
        // Whatever comes of it, the child is waited for.
        let outside = self.dial_from_outside(&mut child, before);
        let output = child.wait_with_output().context("cannot wait for tcproute")?;
        ensure!(output.status.success(), "tcproute exec with {example} failed ({})", output.status);
        outside?;
        let tally: Tally = String::from_utf8_lossy(&output.stdout).parse().context("the client's output")?;
        let (answered, made) = (tally.total(), self.accepted() - before);
        ensure!(
            answered == count && made == count,
            "{count} connections were asked for, but the client counts {answered} and the backends {made}"
        );
        Ok((process, tally))
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

/// Prints the table and what else was seen, and fails if it is not what the policy says.
fn show(split: &Split, tally: &Tally, known: &[String]) -> Result<()> {
    if let Some(stranger) = tally.names().find(|name| !known.iter().any(|known| known == name)) {
        bail!("{stranger:?} has answered, which is no backend of this example");
    }
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

/// What comes before the client in `tcproute exec`.
fn exec_arguments(example: &Path) -> [String; 6] {
    let example = example.display().to_string();
    ["exec", "--resources", &example, "--dataplane", "frontend-1", "--"].map(str::to_owned)
}

/// How to do it oneself.
fn suggest(binary: &Path) {
    // As typed in the root of the checkout.
    let binary = binary.strip_prefix(workspace::root()).unwrap_or(binary).display();
    let exec = exec_arguments(Path::new(SPLIT)).join(" ");
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

/// Whether nothing listens there.
fn is_refused(address: SocketAddr) -> Result<bool> {
    match TcpStream::connect(address) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(true),
        Err(error) => Err(error).with_context(|| format!("cannot tell whether {address} is in use")),
    }
}
