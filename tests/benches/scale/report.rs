//! The figures as a table, beside the goals, and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{GOAL, LARGEST, agent, daemon, input::Size, latency::Latencies};

/// One point.
pub(crate) struct Row {
    pub(crate) size: Size,
    /// With files, where that was measured.
    pub(crate) daemon: Option<daemon::Measured>,
    /// With snapshots from memory.
    pub(crate) agent: agent::Measured,
}

fn mib(bytes: u64) -> f64 {
    ratio(bytes, 1 << 20)
}

#[expect(clippy::cast_precision_loss, reason = "bytes, far below 2^53")]
fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b.max(1) as f64
}

fn both(latencies: &Latencies) -> String {
    format!("{:.1} / {:.1}", latencies.quantile(0.5), latencies.quantile(0.99))
}

/// All of them. Latencies are p50 / p99 in milliseconds.
pub(crate) fn text(rows: &[Row]) -> String {
    let mut text = String::from("\nWith files\n\n");
    let head = [
        "services",
        "workloads",
        "input MiB",
        "ready s",
        "at rest",
        "peak of start",
        "peak",
        "weight, own file",
        "weight, large file",
        "endpoint",
        "new workload",
    ];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for Row { size, daemon, .. } in rows {
        let Some(it) = daemon else { continue };
        lines.push(vec![
            size.services.to_string(),
            size.workloads.to_string(),
            format!("{:.1}", mib(it.input)),
            format!("{:.2}", it.ready.as_secs_f64()),
            format!("{:.1} x", ratio(it.at_rest, it.input)),
            format!("{:.1} x", ratio(it.peak_of_start, it.input)),
            format!("{:.1} x", ratio(it.peak, it.input)),
            both(&it.weight_in_own_file),
            both(&it.weight_in_large_file),
            both(&it.endpoint),
            both(&it.workload),
        ]);
    }
    table(&mut text, &lines);
    text.push_str("\nWith snapshots from memory\n\n");
    let head = ["services", "workloads", "ready s", "weight", "endpoint", "new workload"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for Row { size, agent: it, .. } in rows {
        lines.push(vec![
            size.services.to_string(),
            size.workloads.to_string(),
            format!("{:.2}", it.ready.as_secs_f64()),
            both(&it.weight),
            both(&it.endpoint),
            both(&it.workload),
        ]);
    }
    table(&mut text, &lines);
    text.push_str(
        "\nTimes of changes are p50 / p99 in milliseconds; memory is in multiples of the input.\n\n",
    );
    for (goal, figure, limit) in goals(rows) {
        let verdict = if figure <= limit { "met" } else { "missed" };
        let _ = writeln!(text, "{verdict:6} {goal}: {figure:.1} of {limit:.0}");
    }
    text
}

/// What is wanted, what there is, and what there may be.
fn goals(rows: &[Row]) -> Vec<(&'static str, f64, f64)> {
    let mut goals = Vec::new();
    for Row { size, daemon, agent } in rows {
        if let Some(it) = daemon.as_ref().filter(|_| *size == GOAL) {
            goals.push(("seconds until ready, 2,000 services and 50 workloads", it.ready.as_secs_f64(), 3.0));
            goals.push(("peak memory as a multiple of the input, there", ratio(it.peak, it.input), 12.0));
            goals.push(("ms for a weight in its own file, there", it.weight_in_own_file.quantile(0.5), 30.0));
            goals.push((
                "ms for a weight among 2,000 policies, there",
                it.weight_in_large_file.quantile(0.5),
                150.0,
            ));
        }
        if *size == LARGEST {
            goals.push((
                "ms for a weight in a snapshot, 10,000 services and 200 workloads",
                agent.weight.quantile(0.5),
                20.0,
            ));
            goals.push(("ms for an endpoint in a snapshot, there", agent.endpoint.quantile(0.5), 20.0));
        }
    }
    goals
}

fn table(text: &mut String, lines: &[Vec<String>]) {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for line in lines {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  "));
    }
}

/// The same for other programs.
pub(crate) fn json(rows: &[Row]) -> Value {
    let row = |Row { size, daemon, agent }: &Row| {
        let files = daemon.as_ref().map(|it| {
            json!({
                "inputBytes": it.input,
                "readySeconds": it.ready.as_secs_f64(),
                "atRestBytes": it.at_rest,
                "peakOfStartBytes": it.peak_of_start,
                "peakBytes": it.peak,
                "weightInOwnFile": it.weight_in_own_file.json(),
                "weightInLargeFile": it.weight_in_large_file.json(),
                "endpoint": it.endpoint.json(),
                "newWorkload": it.workload.json(),
            })
        });
        json!({
            "services": size.services,
            "workloads": size.workloads,
            "routes": size.routes(),
            "files": files,
            "snapshots": {
                "readySeconds": agent.ready.as_secs_f64(),
                "weight": agent.weight.json(),
                "endpoint": agent.endpoint.json(),
                "newWorkload": agent.workload.json(),
            },
        })
    };
    json!({ "points": rows.iter().map(row).collect::<Vec<_>>() })
}
