//! `tcproute stats`: how connections are split, against how they should be, and what became of them.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;

use super::{
    AdminSocket,
    age::age,
    complete,
    output::{self, Named, OutputArguments, percent},
    text::Text,
    watch::WatchArguments,
};
use crate::{
    admin::client,
    outcomes::{Outcomes, RouteOutcomes, WorkloadOutcomes},
};

#[derive(Debug, Args)]
pub(super) struct Stats {
    #[command(flatten)]
    admin: AdminSocket,
    /// Only the routes of this Dataplane.
    #[arg(long, value_name = "NAME", add = complete::dataplanes())]
    dataplane: Option<String>,
    /// Only the routes to this service.
    #[arg(long, value_name = "NAME", add = complete::services())]
    service: Option<String>,
    #[command(flatten)]
    watch: WatchArguments,
    #[command(flatten)]
    output: OutputArguments,
}

impl Stats {
    pub(super) async fn run(self) -> Result<ExitCode> {
        self.watch.print(&self.output, async |begin| self.print(begin).await).await
    }

    /// Whether anybody reads on.
    async fn print(&self, begin: &str) -> Result<bool> {
        let mut workloads: Vec<WorkloadOutcomes> =
            client::ask(&self.admin.admin_socket, "/v1/outcomes").await?;
        let is_wanted =
            |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
        workloads.retain(|workload| is_wanted(&self.dataplane, &workload.dataplane));
        for workload in &mut workloads {
            workload.routes.retain(|route| is_wanted(&self.service, &route.service));
        }
        Ok(output::write(begin)?
            && output::print(&self.output, &workloads, |workloads, wide| {
                table(workloads, wide, Timestamp::now())
            })?)
    }
}

impl Named for Vec<WorkloadOutcomes> {
    fn names(&self) -> Vec<String> {
        self.iter().map(|workload| format!("dataplane/{}", workload.dataplane)).collect()
    }
}

/// As people read it; what failed by its kinds if it may be wide.
pub(super) fn table(workloads: &[WorkloadOutcomes], wide: bool, now: Timestamp) -> Text {
    let routes =
        workloads.iter().flat_map(|workload| workload.routes.iter().map(move |route| (workload, route)));
    let mut blocks = routes.map(|(workload, route)| block(workload, route, wide, now)).peekable();
    if blocks.peek().is_none() { Text::of("no routes") } else { Text::blocks(blocks) }
}

fn block(workload: &WorkloadOutcomes, route: &RouteOutcomes, wide: bool, now: Timestamp) -> Text {
    let (RouteOutcomes { service, selection, since, .. }, dialled) = (route, route.dialled());
    let since = since.map_or_else(String::new, |since| format!(", for {}", age(since, now)));
    let mut text =
        Text::of(format_args!("{}: {service} at {dialled}, {selection}{since}", workload.dataplane));
    let mut headings = vec![
        "BACKEND",
        "WEIGHT",
        "SHARE",
        "OBSERVED",
        "DEVIATION",
        "CHOSEN",
        "ESTABLISHED",
        "OPEN",
        "FAILED",
    ];
    if wide {
        headings.extend(KINDS.iter().map(|(heading, _)| heading));
    }
    headings.extend(["CONNECT P50", "P99"]);
    let numbers: Vec<usize> = (1..headings.len()).collect();
    let rows = (0..route.backends.len()).map(|index| row(route, index, wide));
    text.table(&headings, &numbers, rows);
    if let Some(verdict) = route.verdict() {
        text.line(verdict);
    }
    text
}

fn row(route: &RouteOutcomes, index: usize, wide: bool) -> Vec<String> {
    let backend = &route.backends[index];
    let split = route.split.as_ref();
    let observed = split.and_then(|split| split.observed.get(index));
    let chosen = split.and_then(|split| split.chosen.get(index));
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let outcomes = backend.outcomes.as_ref();
    let count = |of: fn(&Outcomes) -> u64| or_dash(outcomes.map(|outcomes| of(outcomes).to_string()));
    let quantile =
        |share: f64| or_dash(outcomes.and_then(|outcomes| outcomes.latency.quantile(share)).map(below));
    let mut row = vec![
        backend.target.clone(),
        backend.weight.to_string(),
        percent(backend.share),
        or_dash(observed.map(|&observed| percent(observed))),
        or_dash(observed.map(|observed| format!("{:+.1}", (observed - backend.share) * 100.0))),
        or_dash(chosen.map(u64::to_string)),
        count(|outcomes| outcomes.established),
        count(|outcomes| outcomes.open),
        count(|outcomes| outcomes.unsuccessful() + outcomes.no_endpoint),
    ];
    if wide {
        row.extend(KINDS.iter().map(|(_, of)| count(*of)));
    }
    row.extend([quantile(0.5), quantile(0.99)]);
    row
}

/// How many of these there are.
type Kind = fn(&Outcomes) -> u64;

/// What connections fail by.
const KINDS: [(&str, Kind); 7] = [
    ("REFUSED", |it| it.refused),
    ("UNREACHABLE", |it| it.unreachable),
    ("TIMED OUT", |it| it.timed_out),
    ("ABORTED", |it| it.aborted),
    ("UNSENT", |it| it.unsent),
    ("OTHER", |it| it.failed),
    ("NO ENDPOINT", |it| it.no_endpoint),
];

/// The bound of a bucket.
fn below(bound: Duration) -> String {
    match bound.as_micros() {
        micros if micros < 1000 => format!("< {micros} µs"),
        micros if micros < 1_000_000 => format!("< {} ms", micros / 1000),
        micros => format!("< {} s", micros / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcomes::{BackendOutcomes, Split};

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(312)
    }

    fn workload(selection: &str, chosen: [u64; 2]) -> WorkloadOutcomes {
        let backend = |target: &str, weight, share, established| {
            let outcomes = Some(Outcomes { attempted: established, established, ..Outcomes::default() });
            BackendOutcomes { target: target.to_owned(), weight, share, outcomes, total: outcomes }
        };
        let split = Split::new(chosen.to_vec(), &[0.9, 0.1]);
        WorkloadOutcomes {
            mesh: "default".to_owned(),
            dataplane: "web".to_owned(),
            cgroup: "/web".into(),
            routes: vec![RouteOutcomes {
                service: "db".to_owned(),
                address: [127, 0, 0, 1].into(),
                port: 5432,
                selection: selection.to_owned(),
                since: Some(Timestamp::UNIX_EPOCH),
                split: Some(split),
                unweighted: 0,
                unweighted_total: 0,
                backends: vec![backend("db v1", 90, 0.9, chosen[0]), backend("db v2", 10, 0.1, chosen[1])],
            }],
        }
    }

    #[test]
    fn a_split_is_shown_beside_the_configured_one() {
        let text = table(&[workload("random", [905, 95])], false, now());
        let text = text.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "web: db at 127.0.0.1:5432, random, for 5m12s");
        let words: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!(words[2..], ["90", "90.0", "%", "90.5", "%", "+0.5", "905", "905", "0", "0", "-", "-"]);
        assert_eq!(lines[4], "the deviation is explainable by chance (p = 0.60)");
    }

    #[test]
    fn what_chance_does_not_explain_is_said_aloud() {
        let text = table(&[workload("random", [500, 500])], false, now());
        assert!(text.to_string().contains("NOT explainable"), "{text:?}");
        assert!(
            table(&[workload("random", [5, 0])], false, now()).to_string().contains("too few connections")
        );
        assert!(
            table(&[workload("even", [91, 10])], false, now())
                .to_string()
                .contains("at most 0.1 connections")
        );
        assert_eq!(table(&[], false, now()), Text::of("no routes"));
    }
}
