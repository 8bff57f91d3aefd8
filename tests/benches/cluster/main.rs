//! A node of a large cluster: the daemon, a real kube-apiserver and etcd, and pods with real cgroups and sockets. Run
//! it by `cargo xtask bench cluster`.
//!
//! - `input`: what is in the cluster.
//! - `change`: what changes in it all the time.
//! - `probe`: a pod that dials again and again, and tells when it gets elsewhere.
//! - `usage`: what the daemon takes.

mod change;
mod input;
mod probe;
mod usage;

use std::{fs, path::PathBuf, process::ExitCode, rc::Rc, time::Duration, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use serde_json::json;
use tcproute_tests::{
    cluster::{
        ADMIN, ControlPlane, Proxy, crds,
        kinds::{KUMA, MESH_METRIC},
        proxy::Requests,
    },
    tcproute::{Bpffs, Daemon},
};

use change::Changes;
use input::{Cluster, Size};
use probe::Probe;
use usage::Usage;

/// Measures a node of a large cluster
#[derive(Parser)]
struct Options {
    /// Services of Kubernetes
    #[arg(long, default_value = "5000")]
    services: u32,
    /// Dataplanes behind each
    #[arg(long, default_value = "10")]
    endpoints: u32,
    /// MeshTCPRoutes, each about a service of its own
    #[arg(long, default_value = "500")]
    policies: u32,
    /// Pods of the node
    #[arg(long, default_value = "200")]
    pods: u32,
    /// Changes in a second
    #[arg(long, default_value = "50")]
    rate: u32,
    /// For how many seconds
    #[arg(long, default_value = "120")]
    seconds: u64,
    /// Where the figures are written as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Cargo passes it
    #[arg(long, hide = true)]
    bench: bool,
}

/// So long the daemon is watched while nothing changes.
const REST: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    tcproute_tests::interrupt::ended("cluster", run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    let Options { services, endpoints, policies, pods, .. } = *options;
    ensure!(policies <= services && pods > 0, "there are as many policies as services at most, and a pod");
    let size = Size { services, endpoints, policies, pods };
    let Some(control_plane) = ControlPlane::own("the benchmark") else { bail!("there is no API server") };
    let api = control_plane.api();
    let kinds: Vec<_> = KUMA.into_iter().filter(|kind| *kind != MESH_METRIC).collect();
    crds::install(&api, &kinds);
    let begun = Instant::now();
    let cluster = Cluster::fill(&api, size)?;
    println!("{} objects written in {:.0} s", cluster.objects(), begun.elapsed().as_secs_f64());

    let proxy = Proxy::start(&control_plane, ADMIN);
    let kubeconfig = control_plane.kubeconfig_through(proxy.address(), ADMIN);
    let bpffs = Rc::new(Bpffs::mount());
    let begun = Instant::now();
    let more = ["--allow-loopback", "--system-namespace", input::NAMESPACE, "--start-timeout", "300"];
    let daemon = Daemon::of_cluster(&bpffs, &kubeconfig, input::NODE, &more);
    let attached = || daemon.metric("tcproute_workloads_attached") == u64::from(pods);
    while !attached() {
        ensure!(begun.elapsed() < Duration::from_mins(5), "the pods are not attached");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut probe = Probe::start(cluster.probed_pod(), cluster.probed());
    probe.gets_to("v1")?;
    let ready = begun.elapsed();
    let at_start = proxy.count(&Requests::all());
    let memory_at_start = Usage::of(daemon.pid())?;
    println!(
        "ready after {:.1} s: {:.0} MB resident, {:.0} MB at most, {at_start} requests",
        ready.as_secs_f64(),
        memory_at_start.resident_mb,
        memory_at_start.peak_mb
    );

    proxy.forget();
    let before = Usage::of(daemon.pid())?;
    std::thread::sleep(REST);
    let at_rest = Usage::of(daemon.pid())?.cpu_since(&before, REST);
    let asked_at_rest = proxy.asked(&Requests::all());
    let others_at_rest = asked_at_rest.iter().filter(|it| !it.is_watch).count();
    println!(
        "at rest {:.2} % of a CPU; {} requests, {others_at_rest} no watches",
        at_rest * 100.0,
        asked_at_rest.len()
    );

    proxy.forget();
    let before = Usage::of(daemon.pid())?;
    let period = Duration::from_secs(options.seconds);
    let changes = Changes::begin(&api, size, options.rate);
    let begun = Instant::now();
    let mut latencies = Vec::new();
    while begun.elapsed() < period {
        for version in ["v2", "v1"] {
            let acknowledged = input::turn_to(&api, version)?;
            let seen = probe.gets_to(version)?;
            latencies.push(Duration::from_nanos(seen.saturating_sub(acknowledged)));
        }
    }
    let took = begun.elapsed();
    let made = changes.end();
    let after = Usage::of(daemon.pid())?;
    let busy = after.cpu_since(&before, took);
    latencies.sort();
    let quantile = |share: f64| -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place among hundreds"
        )]
        let place = ((latencies.len() as f64 * share).ceil() as usize).clamp(1, latencies.len()) - 1;
        latencies[place].as_secs_f64() * 1000.0
    };
    let (p50, p99) = (quantile(0.5), quantile(0.99));
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let rate = (made + latencies.len()) as f64 / took.as_secs_f64();
    let asked = proxy.count(&Requests::all());
    println!(
        "{rate:.0} changes a second: from the API's acknowledgement to connections that go there p50 {p50:.0} ms, p99 \
         {p99:.0} ms, of {}; {:.1} % of a CPU, {:.0} MB resident, {:.0} MB at most; {asked} requests",
        latencies.len(),
        busy * 100.0,
        after.resident_mb,
        after.peak_mb
    );
    if let Some(path) = &options.json {
        let figures = json!({
            "services": services, "dataplanes": services * endpoints, "policies": policies, "pods": pods,
            "readySeconds": ready.as_secs_f64(), "requestsAtStart": at_start,
            "residentMbAtStart": memory_at_start.resident_mb, "peakMbAtStart": memory_at_start.peak_mb,
            "cpuAtRest": at_rest, "requestsAtRest": asked_at_rest.len(),
            "changesPerSecond": rate, "p50Ms": p50, "p99Ms": p99, "measured": latencies.len(),
            "cpuUnderChanges": busy, "residentMb": after.resident_mb, "peakMb": after.peak_mb,
        });
        fs::write(path, format!("{figures:#}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
