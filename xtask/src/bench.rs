//! `cargo xtask bench`: provides what the benchmarks need, and runs them.

mod compare;

use std::{
    fs,
    path::{self, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use self::compare::Figures;
use crate::{
    applications, command, envoy,
    go_programs::KUBERNETES,
    machine::Source,
    provision,
    release::{build_release, build_tests_bench},
    vm_test::{self, Alone, Clock},
    workspace,
};

/// What the benchmarks call.
const PACKAGES: [&str; 3] = ["bpftool", "iproute2", "iptables"];

/// How the names of peers begin, and the packages that they are in.
const PEERS: [(&str, &str); 4] =
    [("nftables", "nftables"), ("iptables", "iptables"), ("ipvs", "ipvsadm"), ("haproxy", "haproxy")];

/// `cargo xtask bench`
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to measure; everything if not given
    what: Option<What>,
    /// How often each contender is measured
    #[arg(long)]
    rounds: Option<u32>,
    /// Connections per round and contender
    #[arg(long)]
    connections: Option<u32>,
    /// Of `services`, and with --workloads of `scale`: services, in the place of the usual points
    #[arg(long, value_delimiter = ',')]
    services: Vec<u32>,
    /// Of `scale`: local workloads
    #[arg(long, value_delimiter = ',', requires = "services")]
    workloads: Vec<u32>,
    /// Of `scale`: all points up to 10,000 services and 200 workloads with files, too, which takes long
    #[arg(long)]
    grid: bool,
    /// Of `scale`: only snapshots from memory, without files
    #[arg(long, conflicts_with = "grid")]
    from_memory: bool,
    /// Of `programs`: clients that dial at once
    #[arg(long)]
    threads: Option<u32>,
    /// Of `programs`: on this kernel, in a virtual machine in which an instruction takes a nanosecond: 5.10, 6.1, 6.12,
    /// latest or the path of a kernel image
    #[arg(long, value_name = "KERNEL")]
    kernel: Option<Source>,
    /// Of `programs`: the JSON of an earlier run; what has moved since then beyond noise is told
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Of `control-plane`: Dataplanes
    #[arg(long)]
    dataplanes: Option<u32>,
    /// Of `services`: how often a weight is changed
    #[arg(long)]
    tries: Option<u32>,
    /// Of `peers`, `services` and `applications`: which of them, by their names in the JSON; with whom peers are
    /// compared, too
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Of these, too: where the figures are written as JSON, with the tables as Markdown beside it; in target/bench, by
    /// the name of what is measured, if not given
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// What a connection costs; as root
    Connect,
    /// The same, and what is sent, beside its peers: nftables, iptables, IPVS, HAProxy, Envoy; as root
    Peers,
    /// The same by the number of services, with the time to load them and to change a weight, and memory; as root
    Services,
    /// PostgreSQL, Redis, Kafka and gRPC, directly, through tcproute, HAProxy and Envoy, and when a route changes; as
    /// root
    Applications,
    /// What a run of each program costs, or, with --kernel, how many instructions it takes; as root
    Programs,
    /// How long it takes to resolve the routes of a large mesh
    Resolve,
    /// How a daemon fares with many services and workloads: start, memory, changes; as root
    Scale,
    /// How a node of a large cluster fares, with a real API server; as root
    Cluster,
    /// How a daemon fares that follows the REST API of a control plane with a large mesh; as root
    ControlPlane,
}

/// Builds everything in release mode and measures.
pub(crate) fn run(options: &Options) -> Result<()> {
    let wants = |what: What| options.what.is_none_or(|wanted| wanted == what);
    if wants(What::Resolve) {
        let bench = ["bench", "--package", "tcproute-userspace", "--bench", "resolve"];
        command::run(command::cargo().args(bench))?;
    }
    if wants(What::Connect) {
        connect(options)?;
    }
    if wants(What::Peers) {
        peers(options)?;
    }
    if wants(What::Services) {
        services(options)?;
    }
    if wants(What::Applications) {
        applications(options)?;
    }
    if wants(What::Programs) {
        programs(options)?;
    }
    if wants(What::Scale) {
        scale(options)?;
    }
    if wants(What::Cluster) {
        cluster()?;
    }
    if wants(What::ControlPlane) {
        control_plane(options)?;
    }
    Ok(())
}

/// A benchmark of the package of the kernel tests.
fn on_the_kernel(bench: &str) -> Result<Command> {
    if !provision::is_root() {
        // With the PATH, since sudo's own seldom has cargo.
        bail!("the benchmark needs root; run: sudo -E env \"PATH=$PATH\" cargo xtask bench {bench}");
    }
    provision::ensure(&PACKAGES)?;
    let binary = build_release()?;
    let mut command = command::cargo();
    command.args(["bench", "--package", "tcproute-tests", "--bench", bench, "--"]);
    command.env("TCPROUTE_BIN", binary);
    Ok(command)
}

fn connect(options: &Options) -> Result<()> {
    let mut bench = on_the_kernel("connect")?;
    command::run(with_extent(&mut bench, options))
}

fn peers(options: &Options) -> Result<()> {
    let mut bench = on_the_kernel("peers")?;
    beside_peers(&mut bench, options, "peers.json")?;
    command::run(with_extent(&mut bench, options))
}

fn services(options: &Options) -> Result<()> {
    let mut bench = on_the_kernel("services")?;
    beside_peers(&mut bench, options, "services.json")?;
    if !options.services.is_empty() {
        bench.args(["--services", &list(&options.services)]);
    }
    if let Some(tries) = options.tries {
        bench.arg("--tries").arg(tries.to_string());
    }
    command::run(with_extent(&mut bench, options))
}

/// Has the peers installed, and tells a benchmark who is wanted, who cannot be had, and where its figures go.
fn beside_peers(bench: &mut Command, options: &Options, file: &str) -> Result<()> {
    // Whoever is beside a sidecar is tracked by the kernel, and Envoy is asked whether it serves.
    provision::ensure(&["conntrack", "curl"])?;
    for (peer, package) in PEERS {
        let is_wanted = options.only.is_empty() || options.only.iter().any(|name| name.starts_with(peer));
        if is_wanted && let Err(error) = provision::ensure(&[package]) {
            bench.arg("--absent").arg(format!("{peer}={error:#}"));
        }
    }
    if options.only.is_empty() || options.only.iter().any(|name| name.starts_with("envoy")) {
        envoy::tell(bench)?;
    }
    with_choice(bench, options, file)
}

fn applications(options: &Options) -> Result<()> {
    let mut bench = on_the_kernel("applications")?;
    // Envoy is asked whether it serves.
    provision::ensure(&["curl", "python3"])?;
    applications::tell(&mut bench, &options.only)?;
    with_choice(&mut bench, options, "applications.json")?;
    command::run(with_extent(&mut bench, options))
}

/// Of `peers`, `services` and `applications`: what is measured, and where its figures go.
fn with_choice(bench: &mut Command, options: &Options, usual: &str) -> Result<()> {
    if !options.only.is_empty() {
        bench.arg("--only").arg(options.only.join(","));
    }
    let output = match &options.output {
        // Cargo runs it in another directory.
        Some(output) => path::absolute(output)?,
        None => figures(usual)?,
    };
    bench.arg("--output").arg(output);
    Ok(())
}

/// Of `connect`, `peers`, `services` and `applications`.
fn with_extent<'a>(bench: &'a mut Command, options: &Options) -> &'a mut Command {
    bench.env("TCPROUTE_LRU_BALANCER", workspace::objects().join("lru-balancer.bpf.o"));
    for (option, value) in [("--rounds", options.rounds), ("--connections", options.connections)] {
        if let Some(value) = value {
            bench.arg(option).arg(value.to_string());
        }
    }
    bench
}

fn programs(options: &Options) -> Result<()> {
    // Before the run, which may write the same file.
    let before = options.compare.as_deref().map(Figures::read).transpose()?;
    let path = measure_programs(options)?;
    if let Some(before) = before {
        print!("\n{}", Figures::read(&path)?.moved_since(&before)?);
    }
    Ok(())
}

/// Answers where the figures are.
fn measure_programs(options: &Options) -> Result<PathBuf> {
    let mut arguments = Vec::new();
    let numbers = [
        ("--rounds", options.rounds),
        ("--connections", options.connections),
        ("--threads", options.threads),
    ];
    for (option, value) in numbers {
        arguments.extend(value.map(|value| format!("{option}={value}")));
    }
    let Some(kernel) = &options.kernel else {
        let path = figures("programs.json")?;
        arguments.push(format!("--json={}", path.display()));
        command::run(on_the_kernel("programs")?.args(&arguments))?;
        return Ok(path);
    };
    // Where nothing takes time but instructions, all rounds are alike.
    arguments.extend(options.rounds.is_none().then(|| "--rounds=3".to_owned()));
    arguments.extend(options.connections.is_none().then(|| "--connections=300".to_owned()));
    arguments.push("--json=/proc/self/fd/1".to_owned());
    let program = build_tests_bench("programs")?;
    let clock = Clock::OfInstructions;
    let alone =
        Alone { name: "programs", program, arguments: &arguments, patience: Duration::from_mins(20), clock };
    let mut json = None;
    let kernel = vm_test::run_alone(kernel, &alone, |line| {
        if line.starts_with('{') {
            json = Some(line.to_owned());
        } else if !line.starts_with("vm: ") {
            println!("{line}");
        }
    })?;
    let json = json.context("the benchmark has told no figures")?;
    let path = figures(&format!("programs-{}.json", kernel.series))?;
    fs::write(&path, json).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn scale(options: &Options) -> Result<()> {
    let mut bench = on_the_kernel("scale")?;
    for (option, numbers) in [("--services", &options.services), ("--workloads", &options.workloads)] {
        if !numbers.is_empty() {
            bench.args([option, &list(numbers)]);
        }
    }
    if options.grid {
        bench.arg("--grid");
    }
    if options.from_memory {
        bench.arg("--from-memory");
    }
    command::run(bench.arg("--json").arg(figures("scale.json")?))
}

fn list(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    numbers.join(",")
}

fn cluster() -> Result<()> {
    let programs = KUBERNETES.provided()?;
    let mut bench = on_the_kernel("cluster")?;
    KUBERNETES.tell(&programs, &mut bench);
    command::run(bench.arg("--json").arg(figures("cluster.json")?))
}

fn control_plane(options: &Options) -> Result<()> {
    let mut bench = on_the_kernel("control-plane")?;
    if let Some(dataplanes) = options.dataplanes {
        bench.arg("--dataplanes").arg(dataplanes.to_string());
    }
    command::run(bench.arg("--json").arg(figures("control-plane.json")?))
}

/// Where the figures of a benchmark are written.
fn figures(name: &str) -> Result<PathBuf> {
    let directory = workspace::figures();
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    Ok(directory.join(name))
}
