//! Redis: `redis-benchmark` with GET, on connections that stay and with one for each request.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tcproute_tests::{bench::machine::version, process::Process, wait_for};

use super::{Application, Job, Kind, Outcome, Work, compared};
use crate::site::{Client, Site, output};

/// That work at a time.
const CLIENTS: &str = "8";

pub(crate) const KIND: Kind = Kind {
    name: "redis",
    title: "Redis",
    port: 6379,
    jobs: &[
        Job {
            title: "`redis-benchmark -t get -k 0`: a connection for each request",
            figures: &[
                compared("newPerSecond", "requests/s", 0),
                compared("newP50Millis", "request p50, ms", 3),
                compared("newP99Millis", "p99, ms", 3),
            ],
            per_thousand: 20_000,
            work: Work::New,
        },
        Job {
            title: "`redis-benchmark -t get`: connections stay",
            figures: &[
                compared("keptPerSecond", "requests/s", 0),
                compared("keptP50Millis", "p50, ms", 3),
                compared("keptP99Millis", "p99, ms", 3),
            ],
            per_thousand: 100_000,
            work: Work::Kept,
        },
    ],
    start: |site| Ok(Box::new(start(site)?)),
};

struct Redis {
    version: String,
    _servers: Vec<Process>,
}

fn start(site: &Site) -> Result<Redis> {
    let mut servers = Vec::new();
    for address in site.backends {
        let mut server = site.server("redis-server");
        server.args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string()]);
        server.args(["--save", "", "--appendonly", "no", "--loglevel", "warning"]);
        server.current_dir(site.directory()).stdin(Stdio::null()).stdout(Stdio::null());
        servers.push(Process(server.spawn().context("cannot start sh")?));
    }
    for (server, address) in servers.iter_mut().zip(site.backends) {
        wait_for("Redis listens", || server.has_ended() || site.namespace.is_answered(address.into()));
        ensure!(!server.has_ended(), "Redis has ended");
    }
    let version = version("redis-server", "--version")?;
    let number = version.split(' ').find_map(|word| word.strip_prefix("v="));
    Ok(Redis { version: format!("Redis {}", number.unwrap_or(&version)), _servers: servers })
}

impl Application for Redis {
    fn version(&self) -> &str {
        &self.version
    }

    fn run(&self, work: Work, client: &Client, count: u32) -> Result<Outcome> {
        let before = connections(client.site)?;
        let mut command = client.command("redis-benchmark");
        let (host, port) = (client.dials.ip().to_string(), client.dials.port().to_string());
        command.args(["-h", &host, "-p", &port, "-t", "get", "-c", CLIENTS, "-n", &count.to_string()]);
        command.args(["-k", if work == Work::New { "0" } else { "1" }, "--csv"]);
        let values = figures(&output(&mut command)?)?;
        let after = connections(client.site)?;
        // Whoever asks is one of them.
        let by_backend = [0, 1].map(|number| after[number].saturating_sub(before[number] + 1));
        Ok(Outcome { values, by_backend })
    }
}

/// How many each server has ever taken.
fn connections(site: &Site) -> Result<[u64; 2]> {
    let mut counts = [0; 2];
    for (count, address) in counts.iter_mut().zip(site.backends) {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let told = site.ask("redis-cli", &["-h", &host, "-p", &port, "INFO", "stats"])?;
        let line = told.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        *count = line.and_then(|it| it.trim().parse().ok()).context("Redis does not tell its connections")?;
    }
    Ok(counts)
}

/// Requests in a second, the median and the 99th percentile, by the names of the columns.
fn figures(csv: &str) -> Result<Vec<f64>> {
    let row = |line: &str| line.split(',').map(|it| it.trim_matches('"').to_owned()).collect::<Vec<_>>();
    let mut lines = csv.lines().filter(|line| line.starts_with('"')).map(row);
    let (head, values) = lines.next().zip(lines.next()).context("redis-benchmark tells nothing")?;
    ["rps", "p50_latency_ms", "p99_latency_ms"]
        .into_iter()
        .map(|name| {
            let at = head.iter().position(|it| it == name);
            let value = at.and_then(|at| values.get(at)?.parse().ok());
            value.with_context(|| format!("redis-benchmark tells no {name}: {csv}"))
        })
        .collect()
}
