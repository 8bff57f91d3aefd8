//! `tcproute status`: what the daemon of this node does.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;

use super::{
    AdminSocket,
    age::age,
    output::{self, Named, OutputArguments, bytes, percent},
    text::{Row, Text},
    watch::WatchArguments,
};
use crate::{
    admin::{
        client,
        status::{
            Drain, Error, Failing, Features, LastReconcile, MapMemory, NetworkNamespace, Otlp, Source,
            Status as Report, Waiting, Workload,
        },
    },
    colours::Mark,
};

/// So many violations are shown in the table.
const SHOWN: usize = 10;

#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    admin: AdminSocket,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    watch: WatchArguments,
    /// Only whether the kernel holds what was resolved: end with 0 if it does, or else with 1 and why.
    #[arg(long, conflicts_with_all = ["live", "output", "watch"])]
    ready: bool,
    /// Only whether the daemon works: end with 0 if it does, or else with 1 and why.
    #[arg(long, conflicts_with_all = ["output", "watch"])]
    live: bool,
}

impl Status {
    /// What is asked by who only wants to know whether all is well, such as kubelet.
    const fn question(&self) -> Option<&'static str> {
        match (self.ready, self.live) {
            (true, _) => Some("/readyz"),
            (false, true) => Some("/healthz"),
            (false, false) => None,
        }
    }

    pub(super) async fn run(self) -> Result<ExitCode> {
        let socket = &self.admin.admin_socket;
        if let Some(question) = self.question() {
            let answer = client::get(socket, question).await?;
            output::write(&String::from_utf8_lossy(&answer))?;
            return Ok(ExitCode::SUCCESS);
        }
        self.watch.print(&self.output, async |begin| self.print(begin).await).await
    }

    /// Whether anybody reads on.
    async fn print(&self, begin: &str) -> Result<bool> {
        let report: Report = client::ask(&self.admin.admin_socket, "/v1/status").await?;
        let now = Timestamp::now();
        Ok(output::write(begin)? && output::print(&self.output, &report, |report, _| table(report, now))?)
    }

    /// Where it asks.
    pub(super) fn admin_socket(self) -> PathBuf {
        self.admin.admin_socket
    }
}

impl Named for Report {
    fn names(&self) -> Vec<String> {
        self.workloads.iter().map(|workload| format!("dataplane/{}", workload.dataplane)).collect()
    }
}

fn table(report: &Report, now: Timestamp) -> Text {
    let mut text = head(report, now);
    text.gap();
    text.table(&["DATAPLANE", "MESH", "ROUTES", "ATTACHED", "CGROUP"], &[2], workloads(report));
    let led = report.network_namespaces.iter().filter(|namespace| namespace.way != "plain");
    let rows: Vec<_> = led
        .map(|NetworkNamespace { inode, way, why, dataplanes, .. }| {
            vec![inode.to_string(), way.clone(), dataplanes.join(", "), why.clone()]
        })
        .collect();
    if !rows.is_empty() {
        text.gap();
        text.table(&["NETWORK NAMESPACE", "SIDECAR", "DATAPLANES", "WHY"], &[], rows);
    }
    let rows = report.maps.iter().map(|map| {
        let share = f64::from(map.entries) / f64::from(map.capacity.max(1));
        vec![map.name.clone(), map.entries.to_string(), map.capacity.to_string(), percent(share)]
    });
    text.gap();
    text.table(&["MAP", "ENTRIES", "CAPACITY", "FULL"], &[1, 2, 3], rows);
    if !report.ejected.is_empty() {
        let rows = report.ejected.iter().map(|out| {
            vec![
                out.dataplane.clone(),
                out.dialled.to_string(),
                out.backend.clone(),
                out.endpoint.to_string(),
                age(now, out.until),
            ]
        });
        text.gap();
        text.table(&["DATAPLANE", "DIALLED", "BACKEND", "TAKEN OUT", "BACK IN"], &[], rows);
    }
    if !report.given_up.is_empty() {
        let rows = report.given_up.iter().take(SHOWN).map(|route| {
            let not_enforced = route.not_enforced.join(", ");
            let at = format!("{} at {}", route.service, route.dialled);
            vec![route.dataplane.clone(), at, not_enforced, route.plaintext.told().to_owned()]
        });
        text.gap();
        text.table(&["DATAPLANE", "BYPASSES TO", "NOT ENFORCED", "PLAINTEXT"], &[], rows);
        if report.given_up.len() > SHOWN {
            text.line("  and more: see --output json");
        }
    }
    if !report.warnings.is_empty() {
        text.gap();
        for warning in &report.warnings {
            text.marked(Mark::Warning, format_args!("warning: {warning}"));
        }
    }
    if !report.rejected.is_empty() {
        let rows = report.rejected.iter().take(SHOWN).map(|rejected| {
            let stays = if rejected.kept { "its last good form" } else { "nothing" };
            let cells = vec![
                rejected.subject.clone(),
                rejected.source.clone(),
                age(rejected.since, now),
                stays.to_owned(),
            ];
            Row::marked(Some(Mark::Error), cells)
        });
        text.gap();
        text.table(&["REJECTED", "SOURCE", "AGE", "IN FORCE"], &[], rows);
        let violations = report.rejected.iter().flat_map(|rejected| &rejected.violations);
        text.extend(violations.clone().take(SHOWN).map(|violation| format!("  {violation}")));
        let more = (report.rejected.len().saturating_sub(SHOWN), violations.count().saturating_sub(SHOWN));
        if more != (0, 0) {
            text.line(format_args!("  and more: {} in all: see --output json", report.rejected.len()));
        }
    }
    if let Some(Error { since, violations }) = &report.error {
        text.gap();
        let since = age(*since, now);
        text.marked(Mark::Error, format_args!("error for {since}: the routes before stay in force"));
        text.extend(violations.iter().take(SHOWN).map(|violation| format!("  {violation}")));
        if violations.len() > SHOWN {
            text.line(format_args!("  and {} more: see --output json", violations.len() - SHOWN));
        }
    }
    text
}

/// Those that are here, and those that are waited for.
fn workloads(report: &Report) -> Vec<Row> {
    let row = |dataplane: &str, mesh: &str, routes: usize, attached: &str, cgroup: &Path, mark| {
        let (routes, cgroup) = (routes.to_string(), cgroup.display().to_string());
        Row::marked(mark, [dataplane, mesh, &routes, attached, &cgroup].map(str::to_owned).to_vec())
    };
    let here =
        report.workloads.iter().map(|Workload { dataplane, mesh, cgroup, routes, attached, .. }| {
            let (attached, mark) = if *attached { ("yes", None) } else { ("no", Some(Mark::Error)) };
            row(dataplane, mesh, *routes, attached, cgroup, mark)
        });
    let waiting = report.waiting.iter().map(|Waiting { dataplane, mesh, cgroup, routes }| {
        row(dataplane, mesh, *routes, "waiting", cgroup, Some(Mark::Warning))
    });
    here.chain(waiting).collect()
}

fn head(report: &Report, now: Timestamp) -> Text {
    let Report { version, pid, started, kernel, features, ready, unwatched, last_reconcile, drain, .. } =
        report;
    let daemon = format!("tcproute {version}, pid {pid}, up {}", age(*started, now));
    let mut text = Text::default();
    if *ready {
        text.line(format_args!("{daemon}: ready"));
    } else {
        let why = "not ready: the kernel does not hold what was resolved";
        text.marked(Mark::Error, format_args!("{daemon}: {why}"));
    }
    let mut lines = vec![format!("kernel   {kernel}")];
    if let Some(features) = features {
        let Features { refuses_with_econnrefused, names_mptcp_peers, tells_failures_apart, names_processes } =
            features;
        let refusal = if *refuses_with_econnrefused { "ECONNREFUSED" } else { "EPERM" };
        let mptcp = if *names_mptcp_peers { "the dialled address" } else { "the endpoint" };
        lines.push(format!("refusal  {refusal}"));
        lines.push(format!("MPTCP    getpeername() shows {mptcp}"));
        let causes = if *tells_failures_apart { "refused, unreachable, timed out" } else { "not told apart" };
        lines.push(format!("failures {causes}"));
        let processes = if *names_processes { "the process that connects" } else { "no processes" };
        lines.push(format!("trace    names {processes}"));
    }
    lines.push(match last_reconcile {
        None => "change   none yet".to_owned(),
        Some(LastReconcile { at, duration_seconds, result }) => {
            let milliseconds = duration_seconds * 1000.0;
            format!("change   {result} {} ago, {milliseconds:.1} ms after it was made", age(*at, now))
        }
    });
    text.extend(lines);
    for source in &report.sources {
        source_lines(source, now, &mut text);
    }
    if let Some(it) = &report.otlp {
        otlp(it, now, &mut text);
    }
    let mut lines = Vec::new();
    if let Some(Drain { grace_seconds, waiting_endpoints, closed_connections }) = drain {
        lines.push(format!(
            "drain    {grace_seconds} s after an endpoint has left: {waiting_endpoints} endpoints wait, {closed_connections} connections closed"
        ));
    }
    let late = report.workloads.iter().filter(|workload| workload.late).count();
    if late > 0 {
        lines.push(format!("late     {late} workloads had processes before the programs were attached"));
    }
    if let Some(why) = unwatched {
        lines.push(format!("files    looked at every second, since they cannot be watched: {why}"));
    }
    let MapMemory { bytes: taken, most_bytes } = report.map_memory;
    lines.push(format!("maps     {} of the kernel, at most {}", bytes(taken), bytes(most_bytes)));
    text.extend(lines);
    text
}

/// What has become of spans.
fn otlp(otlp: &Otlp, now: Timestamp, text: &mut Text) {
    let Otlp { url, failing, taken, queued_spans: queued, delivered_spans: delivered, .. } = otlp;
    let taken = taken.map(|at| format!(", the last {} ago", age(at, now))).unwrap_or_default();
    text.line(format_args!("otlp     {url}: {delivered} spans delivered{taken}, {queued} wait"));
    if let Some(Failing { since, why }) = failing {
        let failing = format!("it does not take them for {}: {why}", age(*since, now));
        text.marked(Mark::Error, format_args!("         {failing}"));
    }
    let missing = [
        (otlp.crowded_out_spans, "spans found no room"),
        (otlp.rejected_spans, "spans were rejected"),
        (otlp.given_up_spans, "spans were given up"),
        (otlp.lost_events, "events were lost"),
    ];
    let missing: Vec<String> = missing
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !missing.is_empty() {
        text.marked(Mark::Warning, format_args!("         {}", missing.join(", ")));
    }
}

fn source_lines(source: &Source, now: Timestamp, text: &mut Text) {
    let Source { name, resources, changed, answered, server, failing, stale, kept } = source;
    let heard = answered.map(|at| format!(", last answer {} ago", age(at, now))).unwrap_or_default();
    let changed = age(*changed, now);
    text.line(format_args!("source   {name}: {resources} resources, changed {changed} ago{heard}"));
    if let Some(server) = server {
        text.line(format_args!("         {server}"));
    }
    if let Some(Failing { since, why }) = failing {
        let failing = format!("it does not answer, or only in part, for {}: {why}", age(*since, now));
        text.marked(Mark::Error, format_args!("         {failing}"));
    }
    if *stale > 0 {
        text.line(format_args!(
            "         stale: {stale} of them are as they were before this daemon's start"
        ));
    }
    if let Some(why) = kept.as_ref().and_then(|kept| kept.error.as_ref()) {
        let kept = format!("it is not all kept for the next start: {why}");
        text.marked(Mark::Warning, format_args!("         {kept}"));
    }
}
