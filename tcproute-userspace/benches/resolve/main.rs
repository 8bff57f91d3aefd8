//! How long resolution takes, what it needs, and how both grow with the number of services.
//!
//! The worst case: every local Dataplane dials every service.

mod mesh;

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};
use tcproute::routing::{DnsAnswers, Options, Resolver};

use mesh::Mesh;

/// From the smallest, so that the peak of memory is that of the last.
const SERVICES: [usize; 5] = [100, 300, 1_000, 3_000, 10_000];
const REPEATS: usize = 5;

struct Measured {
    mesh: Mesh,
    routes: usize,
    prepare: Duration,
    resolve: Duration,
    change: Duration,
    change_only: Duration,
    policy: Duration,
    peak_mib: u64,
}

fn main() -> Result<()> {
    let mut rows = Vec::new();
    for services in SERVICES {
        let mesh = Mesh { services };
        rows.push(measure(mesh)?);
    }
    print!("{}", report(&rows));
    Ok(())
}

fn measure(mesh: Mesh) -> Result<Measured> {
    let mut times = [const { Vec::new() }; 5];
    let mut count = 0;
    for repeat in 0..REPEATS {
        let resources = mesh.resources();
        let start = Instant::now();
        let mut resolver = Resolver::new(resources, DnsAnswers::new(), Options::default());
        times[0].push(start.elapsed());

        let start = Instant::now();
        let name = mesh::mesh();
        let dataplanes = (0..mesh::DATAPLANES).map(|i| resolver.resolve(&name, &mesh::dataplane_name(i)));
        let mut routes = dataplanes.collect::<Result<Vec<_>, _>>()?;
        times[1].push(start.elapsed());
        count = routes.iter().map(|routes| routes.routes.len()).sum();

        // One endpoint moves to another address. The set of all resources is compared with the one before.
        let changed = mesh.with_moved_endpoint(resolver.resources(), repeat);
        let before = routes[0].clone();
        let start = Instant::now();
        let update = resolver.update(changed, DnsAnswers::new());
        let refresh = Instant::now();
        let mut touched = true;
        for routes in &mut routes {
            let refreshed = resolver.refresh(routes, &update)?;
            touched &= refreshed.is_touched();
            if let Some(after) = refreshed.routes() {
                *routes = after;
            }
        }
        times[2].push(start.elapsed());
        times[3].push(refresh.elapsed());
        assert!(touched && before != routes[0], "the change arrives at every Dataplane");

        let changed = mesh.with_changed_policy(resolver.resources(), repeat);
        let start = Instant::now();
        let update = resolver.update(changed, DnsAnswers::new());
        let mut touched = false;
        for routes in &mut routes {
            let refreshed = resolver.refresh(routes, &update)?;
            touched |= refreshed.is_touched();
            if let Some(after) = refreshed.routes() {
                *routes = after;
            }
        }
        times[4].push(start.elapsed());
        assert!(touched, "the change arrives");
    }
    let [prepare, resolve, change, change_only, policy] = times.map(median);
    Ok(Measured { mesh, routes: count, prepare, resolve, change, change_only, policy, peak_mib: peak_mib()? })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The most memory that this process has had resident.
fn peak_mib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: u64 = line.split_whitespace().next().context("no number")?.parse()?;
    Ok(kib / 1024)
}

fn report(rows: &[Measured]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "services",
        "endpoints",
        "policies",
        "Dataplanes",
        "routes",
        "index",
        "resolve",
        "both",
        "one endpoint moves",
        "of that, routes",
        "one policy changes",
        "peak memory",
    ]);
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    for row in rows {
        let mesh = &row.mesh;
        table.add_row([
            mesh.services.to_string(),
            mesh.endpoints().to_string(),
            mesh.policies().to_string(),
            mesh::DATAPLANES.to_string(),
            row.routes.to_string(),
            ms(row.prepare),
            ms(row.resolve),
            ms(row.prepare + row.resolve),
            ms(row.change),
            ms(row.change_only),
            ms(row.policy),
            format!("{} MiB", row.peak_mib),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let text = format!("medians of {REPEATS}\n{table}\n");
    let [first, .., last] = rows else { return text };
    let grown = |of: fn(&Measured) -> Duration| of(last).as_secs_f64() / of(first).as_secs_f64();
    format!(
        "{text}{} times the services: {:.0} times the time for all, {:.0} times for one endpoint\n",
        last.mesh.services / first.mesh.services,
        grown(|row| row.prepare + row.resolve),
        grown(|row| row.change),
    )
}
