//! `tcproute status`: what the daemon of this node does.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{
    AdminSocket,
    output::{self, Named, OutputArguments, percent},
    text::Text,
};
use crate::admin::{
    client,
    status::{
        Drain, Error, Failing, Features, LastReconcile, NetworkNamespace, Otlp, Source, Status as Report,
    },
};

/// So many violations are shown in the table.
const SHOWN: usize = 10;

#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    admin: AdminSocket,
    #[command(flatten)]
    output: OutputArguments,
    /// Only whether the kernel holds what was resolved: end with 0 if it does, or else with 1 and why.
    #[arg(long, conflicts_with_all = ["live", "output"])]
    ready: bool,
    /// Only whether the daemon works: end with 0 if it does, or else with 1 and why.
    #[arg(long, conflicts_with = "output")]
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
        let report: Report = client::ask(socket, "/v1/status").await?;
        output::print(&self.output, &report, |report, _| table(report))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Named for Report {
    fn names(&self) -> Vec<String> {
        self.workloads.iter().map(|workload| format!("dataplane/{}", workload.dataplane)).collect()
    }
}

fn table(report: &Report) -> Text {
    let mut text = head(report);
    let rows = report.workloads.iter().map(|workload| {
        let attached = if workload.attached { "yes" } else { "no" };
        vec![
            workload.dataplane.clone(),
            workload.mesh.clone(),
            workload.routes.to_string(),
            attached.to_owned(),
            workload.cgroup.display().to_string(),
        ]
    });
    let waiting = report.waiting.iter().map(|waiting| {
        vec![
            waiting.dataplane.clone(),
            waiting.mesh.clone(),
            waiting.routes.to_string(),
            "waiting".to_owned(),
            waiting.cgroup.display().to_string(),
        ]
    });
    text.gap();
    text.table(&["DATAPLANE", "MESH", "ROUTES", "ATTACHED", "CGROUP"], &[2], rows.chain(waiting));
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
                format!("{:.0}", out.until),
            ]
        });
        text.gap();
        text.table(&["DATAPLANE", "DIALLED", "BACKEND", "TAKEN OUT", "UNTIL"], &[], rows);
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
        text.extend(report.warnings.iter().map(|warning| format!("warning: {warning}")));
    }
    if !report.rejected.is_empty() {
        let rows = report.rejected.iter().take(SHOWN).map(|rejected| {
            let stays = if rejected.kept { "its last good form" } else { "nothing" };
            vec![
                rejected.subject.clone(),
                rejected.source.clone(),
                format!("{:.0}", rejected.since),
                stays.to_owned(),
            ]
        });
        text.gap();
        text.table(&["REJECTED", "SOURCE", "SINCE", "IN FORCE"], &[], rows);
        let violations = report.rejected.iter().flat_map(|rejected| &rejected.violations);
        text.extend(violations.clone().take(SHOWN).map(|violation| format!("  {violation}")));
        let more = (report.rejected.len().saturating_sub(SHOWN), violations.count().saturating_sub(SHOWN));
        if more != (0, 0) {
            text.line(format_args!("  and more: {} in all: see --output json", report.rejected.len()));
        }
    }
    if let Some(Error { since, violations }) = &report.error {
        text.gap();
        text.line(format_args!("error since {since:.0}: the routes before stay in force"));
        text.extend(violations.iter().take(SHOWN).map(|violation| format!("  {violation}")));
        if violations.len() > SHOWN {
            text.line(format_args!("  and {} more: see --output json", violations.len() - SHOWN));
        }
    }
    text
}

fn head(report: &Report) -> Text {
    let Report { version, pid, started, kernel, features, ready, unwatched, last_reconcile, drain, .. } =
        report;
    let ready = if *ready { "ready" } else { "not ready: the kernel does not hold what was resolved" };
    let mut lines = vec![
        format!("tcproute {version}, pid {pid}, since {started:.0}: {ready}"),
        format!("kernel   {kernel}"),
    ];
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
            format!("change   {result} at {at:.0}, {:.1} ms after it was made", duration_seconds * 1000.0)
        }
    });
    for Source { name, resources, changed, answered, server, failing, stale, kept } in &report.sources {
        let heard = answered.map(|at| format!(", last answer at {at:.0}")).unwrap_or_default();
        lines.push(format!("source   {name}: {resources} resources, changed at {changed:.0}{heard}"));
        if let Some(server) = server {
            lines.push(format!("         {server}"));
        }
        if let Some(Failing { since, why }) = failing {
            lines.push(format!("         it does not answer, or only in part, since {since:.0}: {why}"));
        }
        if *stale > 0 {
            lines
                .push(format!("         stale: {stale} of them are as they were before this daemon's start"));
        }
        if let Some(why) = kept.as_ref().and_then(|kept| kept.error.as_ref()) {
            lines.push(format!("         it is not all kept for the next start: {why}"));
        }
    }
    if let Some(Drain { grace_seconds, waiting_endpoints, closed_connections }) = drain {
        lines.push(format!(
            "drain    {grace_seconds} s after an endpoint has left: {waiting_endpoints} endpoints wait, {closed_connections} connections closed"
        ));
    }
    lines.extend(report.otlp.iter().flat_map(otlp));
    let late = report.workloads.iter().filter(|workload| workload.late).count();
    if late > 0 {
        lines.push(format!("late     {late} workloads had processes before the programs were attached"));
    }
    if let Some(why) = unwatched {
        lines.push(format!("files    looked at every second, since they cannot be watched: {why}"));
    }
    let mut text = Text::default();
    text.extend(lines);
    text
}

/// What has become of spans.
fn otlp(otlp: &Otlp) -> Vec<String> {
    let Otlp { url, failing, taken, queued_spans: queued, delivered_spans: delivered, .. } = otlp;
    let taken = taken.map(|at| format!(", the last at {at:.0}")).unwrap_or_default();
    let mut lines = vec![format!("otlp     {url}: {delivered} spans delivered{taken}, {queued} wait")];
    if let Some(Failing { since, why }) = failing {
        lines.push(format!("         it does not take them since {since:.0}: {why}"));
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
        lines.push(format!("         {}", missing.join(", ")));
    }
    lines
}
