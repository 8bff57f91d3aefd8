//! How the figures are shown.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tcproute_tests::bench::{
    comparison::Figure,
    machine::Machine,
    markdown::{number, table},
};

use crate::{
    application::Kind,
    changes::{Change, Line, WINDOW},
    rounds::{Extent, Measured},
    site::WEIGHTS,
};

/// Figures of a table, so that a line of it fits a page.
const WIDEST: usize = 3;

/// All that was found, or why nothing was.
pub(crate) struct Report {
    pub(crate) extent: Extent,
    pub(crate) applications: Vec<(&'static Kind, Result<Measured, String>)>,
    /// By what they are about.
    pub(crate) changes: Vec<(&'static str, Result<Line, String>)>,
}

impl Report {
    /// As a page has it.
    pub(crate) fn text(&self) -> String {
        let Extent { rounds, connections } = self.extent;
        let mut text = format!(
            "{}.\n\nMedians of {rounds} interleaved rounds of {connections} connections (what else is done \
             follows). Ratios are taken within a round, to direct connections to the first server; in brackets \
             the bootstrap interval of 95 %.\n",
            Machine::this().text()
        );
        for (kind, measured) in &self.applications {
            match measured {
                Err(why) => {
                    let _ = write!(text, "\n## {}\n\nAbsent: {why}\n", kind.title);
                }
                Ok(measured) => text += &of_application(kind, measured),
            }
        }
        if !self.changes.is_empty() {
            let _ = write!(text, "\n## When a route changes\n\n{}", changes(&self.changes));
        }
        text
    }

    /// The same for other programs, with every round.
    pub(crate) fn json(&self) -> Value {
        let applications = self.applications.iter().map(|(kind, measured)| {
            let mut json = json!({ "name": kind.name, "title": kind.title });
            match measured {
                Err(why) => json["absent"] = why.as_str().into(),
                Ok(measured) => {
                    let figures: Vec<Figure> =
                        kind.jobs.iter().flat_map(|job| job.figures).copied().collect();
                    json["version"] = measured.version.as_str().into();
                    json["jobs"] = kind
                        .jobs
                        .iter()
                        .map(|job| {
                            let figures =
                                job.figures.iter().map(|it| json!({ "key": it.key, "title": it.title }));
                            json!({ "title": job.title, "figures": figures.collect::<Value>() })
                        })
                        .collect();
                    json["contenders"] = measured.comparison.json(&figures);
                }
            }
            json
        });
        let changes = self.changes.iter().map(|(title, line)| match line {
            Ok(line) => json!({ "title": title, "found": line }),
            Err(why) => json!({ "title": title, "absent": why }),
        });
        json!({
            "machine": Machine::this(),
            "rounds": self.extent.rounds,
            "connections": self.extent.connections,
            "weights": WEIGHTS,
            "applications": applications.collect::<Value>(),
            "changes": changes.collect::<Value>(),
            "changesWatchedSeconds": WINDOW.as_secs_f64(),
        })
    }
}

fn of_application(kind: &Kind, Measured { version, comparison }: &Measured) -> String {
    let mut text = format!("\n## {}\n\n{version}.\n", kind.title);
    for job in kind.jobs {
        let _ = write!(text, "\n### {}\n", job.title);
        // Tables of about the same width.
        let tables = job.figures.len().div_ceil(WIDEST);
        for figures in job.figures.chunks(job.figures.len().div_ceil(tables)) {
            let _ = write!(text, "\n{}", comparison.medians(figures));
        }
    }
    let [first, second] = WEIGHTS;
    let _ = write!(text, "\n### The split, which is to be {first}/{second}\n\n{}", comparison.splits());
    text + &comparison.absentees()
}

fn changes(lines: &[(&'static str, Result<Line, String>)]) -> String {
    let head = ["Clients", "route", "`--drain`", "all moved after, s", "left", "what they saw"];
    let rows: Vec<_> = lines
        .iter()
        .map(|(title, line)| match line {
            Err(why) => vec![(*title).to_owned(), format!("absent: {why}")],
            Ok(line) => vec![
                (*title).to_owned(),
                match line.change {
                    Change::Weight => "0/100",
                    Change::Removed => "removed",
                }
                .to_owned(),
                line.drain_seconds.map_or_else(|| "–".to_owned(), |it| format!("{it} s")),
                line.moved_after_seconds
                    .map_or_else(|| format!("not in {}", WINDOW.as_secs()), |it| number(it, 2)),
                format!("{} of {}", line.left, line.connections),
                line.saw.clone(),
            ],
        })
        .collect();
    table(&head.map(str::to_owned), &rows)
}
