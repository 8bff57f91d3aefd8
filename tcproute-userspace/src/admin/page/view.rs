//! What a page draws of a reading: the routes of one page of those that are asked for, and what is refused. Whatever
//! others wrote is escaped and has a bound, and so has the whole.

use std::{cmp::Ordering, net::SocketAddr};

use jiff::Timestamp;
use nix::sys::utsname::uname;
use serde::Serialize;

use super::reading::{CountedBackend, Counts, Rate, Reading, Row};
use crate::{
    admin::status::Status,
    escaped::Escaped,
    routing::{Action, Bypass, Plaintext, ResolvedBackend},
};

/// Routes on a page.
const ROUTES: usize = 50;

/// How much of a route is drawn.
const BACKENDS: usize = 16;
const ENDPOINTS: usize = 6;
const NOTES: usize = 10;

/// How much is drawn of what is refused.
const PROBLEMS: usize = 50;
const REASONS: usize = 5;

/// Characters that are drawn of a text of others. A name of Kubernetes has 253 at most.
const LONGEST: usize = 300;

/// Characters that are looked for.
const FILTER: usize = 200;

/// What a page asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// From 1; one that is not there is the nearest.
    page: usize,
    /// Words, all of which have to be somewhere in a route; in lower case.
    words: Vec<String>,
    sort: Sort,
    show: Show,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Sort {
    #[default]
    Service,
    Client,
    /// The most connections a second first.
    Busiest,
    /// What is wrong first.
    Trouble,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Show {
    #[default]
    All,
    Routed,
    /// Left to the proxy.
    Left,
    Trouble,
}

impl Query {
    /// What is not known counts as not asked for.
    pub(super) fn parse(text: &str) -> Self {
        let mut query = Self { page: 1, ..Self::default() };
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "page" => query.page = value.parse().unwrap_or(1),
                "filter" => {
                    let text: String = value.chars().take(FILTER).collect();
                    query.words = text.to_lowercase().split_whitespace().map(str::to_owned).collect();
                }
                "sort" => {
                    query.sort = match &*value {
                        "client" => Sort::Client,
                        "busiest" => Sort::Busiest,
                        "trouble" => Sort::Trouble,
                        _ => Sort::Service,
                    }
                }
                "show" => {
                    query.show = match &*value {
                        "routed" => Show::Routed,
                        "left" => Show::Left,
                        "trouble" => Show::Trouble,
                        _ => Show::All,
                    }
                }
                _ => {}
            }
        }
        query
    }

    fn wants(&self, row: &Row) -> bool {
        let shown = match self.show {
            Show::All => true,
            Show::Routed => row.is_routed(),
            Show::Left => !row.is_routed(),
            Show::Trouble => !row.trouble.is_empty(),
        };
        shown && (self.words.is_empty() || self.has_words(row))
    }

    fn has_words(&self, row: &Row) -> bool {
        let destination = &row.route.destination;
        let mut text = format!(
            "{}\n{}\n{}\n{}",
            row.client(),
            row.workload.routes.mesh,
            destination.service,
            row.route.dialled
        );
        for policy in &destination.policies {
            text = text + "\n" + policy;
        }
        for ResolvedBackend { target, endpoints, .. } in &destination.backends {
            text = text + "\n" + &target.to_string();
            for endpoint in endpoints.iter().take(ENDPOINTS) {
                text = text + "\n" + &endpoint.to_string();
            }
        }
        let text = text.to_lowercase();
        self.words.iter().all(|word| text.contains(word))
    }

    /// Of the same rank, those by service first.
    fn compare(&self, one: &Row, other: &Row) -> Ordering {
        match self.sort {
            Sort::Service => Ordering::Equal,
            Sort::Client => one.client().cmp(other.client()),
            Sort::Busiest => {
                let rate = |row: &Row| row.rate().map_or(0.0, |rate| rate.established + rate.failed);
                rate(other).total_cmp(&rate(one))
            }
            Sort::Trouble => other.trouble.len().cmp(&one.trouble.len()),
        }
    }
}

/// All that a page draws.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    node: Node,
    totals: Totals,
    problems: Vec<Problem>,
    /// That are not drawn.
    more_problems: usize,
    page: usize,
    pages: usize,
    /// The number of the first route on the page, from 1.
    first: usize,
    /// How many routes are as was asked for.
    matching: usize,
    routes: Vec<Drawn>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    name: String,
    version: String,
    kernel: String,
    pid: u32,
    started: Timestamp,
    ready: bool,
}

#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Totals {
    workloads: usize,
    routes: usize,
    left: usize,
    trouble: usize,
    open: u64,
    /// Absent until there are two readings.
    rate: Option<Rate>,
}

/// Something that is not as it should be.
#[derive(Debug, PartialEq, Serialize)]
struct Problem {
    /// A word for what it is.
    kind: &'static str,
    what: String,
    why: Vec<String>,
    since: Option<Timestamp>,
}

/// A route.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Drawn {
    /// The same as long as the route is there.
    id: String,
    client: String,
    mesh: String,
    cgroup: String,
    service: String,
    dialled: SocketAddr,
    protocol: String,
    routed: bool,
    reason: String,
    policies: Vec<String>,
    selection: Option<String>,
    since: Option<Timestamp>,
    verdict: Option<String>,
    trouble: Vec<String>,
    notes: Vec<String>,
    rate: Option<Rate>,
    backends: Vec<DrawnBackend>,
    more_backends: usize,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct DrawnBackend {
    kind: &'static str,
    name: String,
    weight: u32,
    share: f64,
    observed: Option<f64>,
    chosen: Option<u64>,
    counts: Option<Counts>,
    rate: Option<Rate>,
    endpoints: Vec<Endpoint>,
    more_endpoints: usize,
}

#[derive(Debug, PartialEq, Serialize)]
struct Endpoint {
    address: SocketAddr,
    /// Taken out, since it fails.
    ejected: bool,
}

impl View {
    pub(super) fn new(Reading { status, routes }: &Reading, query: &Query) -> Self {
        let mut matching: Vec<&Row> = routes.iter().filter(|row| query.wants(row)).collect();
        matching.sort_by(|one, other| query.compare(one, other));
        let pages = matching.len().div_ceil(ROUTES).max(1);
        let page = query.page.clamp(1, pages);
        let begin = (page - 1) * ROUTES;
        let mut problems = problems(status);
        let more_problems = problems.len().saturating_sub(PROBLEMS);
        problems.truncate(PROBLEMS);
        Self {
            node: Node::new(status),
            totals: Totals::new(status, routes),
            problems,
            more_problems,
            page,
            pages,
            first: begin + 1,
            matching: matching.len(),
            routes: matching.into_iter().skip(begin).take(ROUTES).map(Drawn::new).collect(),
        }
    }
}

impl Node {
    fn new(status: &Status) -> Self {
        let name = uname().map(|name| name.nodename().to_string_lossy().into_owned());
        Self {
            name: shown(&name.unwrap_or_default()),
            version: status.version.clone(),
            kernel: shown(&status.kernel),
            pid: status.pid,
            started: status.started,
            ready: status.ready,
        }
    }
}

impl Totals {
    fn new(status: &Status, routes: &[Row]) -> Self {
        let mut totals = Self { workloads: status.workloads.len(), routes: routes.len(), ..Self::default() };
        for row in routes {
            totals.left += usize::from(!row.is_routed());
            totals.trouble += usize::from(!row.trouble.is_empty());
            let counted = row.counted.iter().flat_map(|counted| &counted.backends);
            totals.open += counted.filter_map(|backend| Some(backend.counts?.open)).sum::<u64>();
            if let Some(rate) = row.rate() {
                let sum = totals.rate.get_or_insert_default();
                sum.established += rate.established;
                sum.failed += rate.failed;
            }
        }
        totals
    }
}

impl Drawn {
    fn new(row: &Row) -> Self {
        let destination = &row.route.destination;
        let counted = row.counted.as_ref();
        let backends = destination.backends.iter().enumerate().take(BACKENDS);
        Self {
            id: id(row),
            client: shown(row.client()),
            mesh: shown(&row.workload.routes.mesh),
            cgroup: shown(&row.workload.cgroup.display()),
            service: shown(&destination.service),
            dialled: row.route.dialled,
            protocol: shown(&destination.protocol),
            routed: destination.action == Action::Route,
            reason: shown(&destination.reason),
            policies: some(&destination.policies, NOTES),
            selection: counted.map(|counted| counted.selection.clone()),
            since: counted.and_then(|counted| counted.since),
            verdict: counted.and_then(|counted| counted.verdict.clone()),
            trouble: row.trouble.clone(),
            notes: some(&notes(row), NOTES),
            rate: row.rate(),
            backends: backends.map(|(index, backend)| DrawnBackend::new(row, index, backend)).collect(),
            more_backends: destination.backends.len().saturating_sub(BACKENDS),
        }
    }
}

impl DrawnBackend {
    fn new(row: &Row, index: usize, backend: &ResolvedBackend) -> Self {
        let target = backend.target.to_string();
        let kind = backend.target.kind();
        let counted: Option<&CountedBackend> = row.counted(index, backend);
        let is_out = |address| row.ejected.iter().any(|(of, out)| *out == address && *of == target);
        let endpoints = backend.endpoints.iter().take(ENDPOINTS);
        Self {
            kind,
            name: shown(target.strip_prefix(kind).unwrap_or(&target).trim_start()),
            weight: backend.weight.get(),
            share: backend.share,
            observed: counted.and_then(|counted| counted.observed),
            chosen: counted.and_then(|counted| counted.chosen),
            counts: counted.and_then(|counted| counted.counts),
            rate: counted.and_then(|counted| counted.rate),
            endpoints: endpoints.map(|&address| Endpoint { address, ejected: is_out(address) }).collect(),
            more_endpoints: backend.endpoints.len().saturating_sub(ENDPOINTS),
        }
    }
}

/// What names a route in the document: of no text of others.
fn id(row: &Row) -> String {
    let service = crc32fast::hash(row.service().as_bytes());
    format!("{}-{}-{service:08x}", row.workload.id.get(), row.route.dialled)
}

/// What the operator should know of a route that is no trouble.
fn notes(row: &Row) -> Vec<String> {
    let destination = &row.route.destination;
    let mut notes = destination.warnings.clone();
    notes.extend(destination.denied.iter().map(ToString::to_string));
    let not_enforced = row.route.not_enforced(&row.workload.routes.other_policies);
    if !not_enforced.is_empty() {
        notes.push(format!("nobody enforces there: {}", not_enforced.join(", ")));
    }
    if let Some(Bypass { plaintext: plaintext @ Plaintext::Permissive, .. }) = &destination.bypass {
        notes.push(plaintext.told().to_owned());
    }
    notes
}

/// The most pressing first.
fn problems(status: &Status) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(error) = &status.error {
        problems.push(Problem {
            kind: "not in force",
            what: "the kernel does not hold what was resolved; the routes before stay in force".to_owned(),
            why: some(&error.violations, REASONS),
            since: Some(error.since),
        });
    }
    problems.extend(status.sources.iter().filter_map(|source| {
        let failing = source.failing.as_ref()?;
        let (what, why) = (shown(&source.name), vec![shown(&failing.why)]);
        Some(Problem { kind: "source fails", what, why, since: Some(failing.since) })
    }));
    problems.extend(status.rejected.iter().map(|rejected| {
        let mut why = some(&rejected.violations, REASONS);
        if rejected.kept {
            why.push("its last good form stays in force".to_owned());
        }
        Problem { kind: "refused", what: shown(&rejected.subject), why, since: Some(rejected.since) }
    }));
    problems.extend(status.waiting.iter().map(|waiting| Problem {
        kind: "waits",
        what: shown(&format_args!("{} of mesh {}", waiting.dataplane, waiting.mesh)),
        why: vec![shown(&format_args!("there is no cgroup {}", waiting.cgroup.display()))],
        since: None,
    }));
    problems.extend(status.warnings.iter().map(|warning| Problem {
        kind: "warning",
        what: shown(warning),
        why: Vec::new(),
        since: None,
    }));
    problems
}

/// A text of others as it may be drawn.
fn shown(text: &(impl std::fmt::Display + ?Sized)) -> String {
    let text = Escaped(text).to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// So many of these, and how many more there are.
fn some(texts: &[impl AsRef<str>], most: usize) -> Vec<String> {
    let more = texts.len().saturating_sub(most);
    let some = texts.iter().take(most).map(|text| shown(text.as_ref()));
    some.chain((more > 0).then(|| format!("and {more} more"))).collect()
}

#[cfg(test)]
mod tests;
