//! What the figures are called, and how they are shown: a table for each, with a column for each number of services.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};
use tcproute_tests::bench::{
    comparison::{Comparison, Figure},
    machine::Machine,
    markdown::{number, table},
    statistics::Spread,
};

use crate::{
    Options,
    connect4::Connect4,
    contenders::ALL,
    dialling::Which,
    goals::{self, Goal},
    maps::{Maps, Use},
    mesh::{ENDPOINTS, SPLIT, Services},
    point::Point,
};

const fn figure(key: &'static str, title: &'static str, decimals: usize, compared: bool) -> Figure {
    Figure { key, title, decimals, compared }
}

pub(crate) const CONNECT: [Figure; 2] = [
    figure("connectP50Micros", "connect() to the last service, p50, µs", 1, true),
    figure("connectP99Micros", "connect() to the last service, p99, µs", 1, true),
];
pub(crate) const FIRST_BYTE: [Figure; 2] = [
    figure("firstByteP50Micros", "From connect() to the first byte of the last service, p50, µs", 1, true),
    figure("firstByteP99Micros", "From connect() to the first byte of the last service, p99, µs", 1, true),
];
pub(crate) const CONNECT_ANY: [Figure; 2] = [
    figure("connectAnyP50Micros", "connect() to any service, p50, µs", 1, true),
    figure("connectAnyP99Micros", "connect() to any service, p99, µs", 1, true),
];
pub(crate) const FIRST_BYTE_ANY: [Figure; 2] = [
    figure("firstByteAnyP50Micros", "From connect() to the first byte of any service, p50, µs", 1, true),
    figure("firstByteAnyP99Micros", "From connect() to the first byte of any service, p99, µs", 1, true),
];
pub(crate) const LOADED: Figure =
    figure("loadedMillis", "From the start until the last service answers, ms", 1, false);
pub(crate) const CHANGED: Figure =
    figure("changedMillis", "From a changed weight to the first connection that obeys, ms", 2, false);
pub(crate) const RELOADED: Figure = figure("changedByReloadMillis", "The same by a reload, ms", 2, false);
pub(crate) const RESIDENT: Figure =
    figure("residentMebibytes", "Resident memory of what routes, MiB", 1, false);
pub(crate) const REST: Figure = figure("restPercent", "CPU at rest, % of one", 2, false);

const FIGURES: [Figure; 13] = [
    CONNECT[0],
    CONNECT[1],
    FIRST_BYTE[0],
    FIRST_BYTE[1],
    CONNECT_ANY[0],
    CONNECT_ANY[1],
    FIRST_BYTE_ANY[0],
    FIRST_BYTE_ANY[1],
    LOADED,
    CHANGED,
    RELOADED,
    RESIDENT,
    REST,
];

/// The tables, each with its figures.
const TABLES: [(&str, &[Figure]); 9] = [
    ("connect() to the last service, µs: p50 (ratio to direct) / p99", &CONNECT),
    ("From connect() to the first byte of the last service, µs: p50 (ratio to direct) / p99", &FIRST_BYTE),
    ("connect() to any service, µs: p50 (ratio to direct) / p99", &CONNECT_ANY),
    ("From connect() to the first byte of any service, µs: p50 (ratio to direct) / p99", &FIRST_BYTE_ANY),
    (LOADED.title, &[LOADED]),
    (CHANGED.title, &[CHANGED]),
    (RELOADED.title, &[RELOADED]),
    (RESIDENT.title, &[RESIDENT]),
    (REST.title, &[REST]),
];

/// All that was measured.
pub(crate) struct Report<'a> {
    pub(crate) options: &'a Options,
    pub(crate) points: &'a [Point],
    pub(crate) connect4: &'a Connect4,
}

impl Report<'_> {
    /// As a page has it.
    pub(crate) fn text(&self) -> String {
        let Options { rounds, connections, tries, patience, .. } = self.options;
        let [first, second] = SPLIT;
        let mut text = format!(
            "{}.\n\nServices with two backendRefs, {first}/{second}, and {ENDPOINTS} endpoints each. Connections: \
             medians of {rounds} interleaved rounds of {connections}, ratios within a round. Changes: medians of \
             {tries}, [least..greatest]. Who takes more than {patience} s is absent.\n",
            Machine::this().text()
        );
        for (title, figures) in TABLES {
            if let Some(rows) = self.of(figures) {
                let _ = write!(text, "\n### {title}\n\n{rows}");
            }
        }
        let _ = write!(
            text,
            "\n### connect4 of tcproute, net ns a run\n\nBy the kernel's accounting, less an empty program in the same \
             cgroup; daemons side by side. *More* is within the rounds, with \
             the interval in which its median is with 95 %.\n\n{}",
            self.of_connect4()
        );
        let _ = write!(
            text,
            "\n### Kernel memory of tcproute's maps, bytes\n\nMore than with {}, where each map has the least size; \
             the daemon makes them with room for two fifths more.\n\n{}",
            self.points.first().map_or_else(String::new, |it| it.services.to_string()),
            self.of_maps()
        );
        text += "\n### Goals\n\n";
        for goal in self.goals() {
            let _ = writeln!(text, "- {goal}");
        }
        let absent: Vec<String> = self.absent().collect();
        if !absent.is_empty() {
            let _ = write!(text, "\n### Absent\n\n{}", absent.concat());
        }
        text
    }

    fn goals(&self) -> Vec<Goal> {
        goals::of(self.points, self.connect4)
    }

    fn head(&self, first: &str) -> Vec<String> {
        let numbers = self.points.iter().map(|point| number(point.services.0.into(), 0));
        std::iter::once(first.to_owned()).chain(numbers).collect()
    }

    /// A line for each who has any.
    fn of(&self, figures: &[Figure]) -> Option<String> {
        let has = |name: &str| {
            let mut all = self.points.iter().flat_map(|it| figures.iter().map(move |&figure| (it, figure)));
            all.any(|(it, figure)| it.comparison.spread(name, figure).is_some())
        };
        let rows: Vec<Vec<String>> = ALL
            .iter()
            .filter(|kind| has(kind.name))
            .map(|kind| {
                let title = match figures {
                    [CHANGED] => format!("{}: {}", kind.title, kind.changes),
                    _ => kind.title.to_owned(),
                };
                let cells = self.points.iter().map(|point| cells(&point.comparison, kind.name, figures));
                std::iter::once(title).chain(cells).collect()
            })
            .collect();
        (!rows.is_empty()).then(|| table(&self.head("Contender"), &rows))
    }

    fn of_connect4(&self) -> String {
        let fewest = self.points.first().map_or(1, |it| it.services.0);
        let row = |title: String, value: &dyn Fn(Services) -> Option<String>| {
            let cells = self.points.iter().map(|point| value(point.services).unwrap_or_else(none));
            std::iter::once(title).chain(cells).collect::<Vec<_>>()
        };
        let mut rows = Vec::new();
        for which in Which::ALL {
            let title = format!("{} dialled", which.text());
            rows.push(row(title, &|services| Some(spread(self.connect4.spread(which, services.0)?, 0))));
            rows.push(row("more".to_owned(), &|services| {
                let more = self.connect4.more(which, services.0, fewest).filter(|_| services.0 != fewest)?;
                let [low, high] = more.interval;
                Some(format!("{} ({}–{})", number(more.median, 0), number(low, 0), number(high, 0)))
            }));
        }
        table(&self.head("Services"), &rows)
    }

    fn of_maps(&self) -> String {
        let row = |what: Use| {
            let each = |point| {
                let found = self.each(point).find(|(key, _)| *key == what.key());
                found.map_or_else(none, |(_, bytes)| number(bytes, 0))
            };
            std::iter::once(what.text().to_owned()).chain(self.points.iter().map(each)).collect()
        };
        table(&self.head("Maps"), &Use::ALL.map(row))
    }

    /// Bytes of one service or endpoint, by what they are for; none with the fewest services.
    fn each(&self, point: &Point) -> impl Iterator<Item = (&'static str, f64)> {
        let first = self.maps().next().filter(|(fewer, _)| *fewer < point.services);
        let both = first.and_then(|first| Some((first, (point.services, point.maps.as_ref()?))));
        both.into_iter().flat_map(|(first, more)| Use::ALL.map(|what| (what.key(), what.each(more, first))))
    }

    fn maps(&self) -> impl Iterator<Item = (Services, &Maps)> {
        self.points.iter().filter_map(|point| Some((point.services, point.maps.as_ref()?)))
    }

    fn absent(&self) -> impl Iterator<Item = String> {
        self.points.iter().flat_map(|point| {
            let failed = point.failed.iter().map(|(title, why)| (*title, why.as_str()));
            let line = |(title, why)| format!("- {title}, with {}: {why}\n", point.services);
            point.comparison.absent().chain(failed).map(line)
        })
    }

    /// The same for other programs, with every round and every try.
    pub(crate) fn json(&self) -> Value {
        let Options { rounds, connections, tries, patience, .. } = self.options;
        let fewest = self.points.first().map_or(1, |it| it.services.0);
        let point = |point: &Point| {
            let connect4 = |which| {
                let services = point.services.0;
                json!({
                    "netNanoseconds": self.connect4.spread(which, services),
                    "moreThanWithTheFirst": self.connect4.more(which, services, fewest),
                    "rounds": self.connect4.rounds(which, services),
                })
            };
            json!({
                "services": point.services.0,
                "contenders": point.comparison.json(&FIGURES),
                "connect4": { "last": connect4(Which::Last), "any": connect4(Which::Any) },
                "failed": point.failed.iter().map(|(title, why)| json!({ "title": title, "why": why }))
                    .collect::<Vec<_>>(),
                "mapBytes": point.maps,
                "kernelMemory": self.each(point).collect::<BTreeMap<_, _>>(),
            })
        };
        json!({
            "machine": Machine::this(),
            "rounds": rounds,
            "connections": connections,
            "tries": tries,
            "patienceSeconds": patience,
            "weights": SPLIT,
            "endpoints": ENDPOINTS,
            "figures": FIGURES.iter().map(|it| (it.key, it.title)).collect::<BTreeMap<_, _>>(),
            "points": self.points.iter().map(point).collect::<Vec<_>>(),
            "goals": self.goals(),
        })
    }
}

fn none() -> String {
    "–".to_owned()
}

/// Of one contender: the median, and what there is beside it.
fn cells(comparison: &Comparison, name: &str, figures: &[Figure]) -> String {
    let is_absent = comparison.0.iter().any(|it| it.name == name && it.found.is_err());
    let all = figures.iter().enumerate().map(|(number, &figure)| {
        let (found, ratio) = comparison.spread(name, figure)?;
        Some(cell(found, ratio.filter(|_| number == 0), figure))
    });
    match all.collect::<Option<Vec<_>>>() {
        Some(cells) => cells.join(" / "),
        None if is_absent => "absent".to_owned(),
        None => none(),
    }
}

fn cell(found: Spread, ratio: Option<f64>, figure: Figure) -> String {
    let median = number(found.median, figure.decimals);
    // Measured once, where there is no other.
    let is_alone = (found.greatest - found.least).abs() < f64::EPSILON;
    match ratio {
        Some(ratio) => format!("{median} ({ratio:.2})"),
        None if is_alone || figure.compared => median,
        None => spread(found, figure.decimals),
    }
}

fn spread(found: Spread, decimals: usize) -> String {
    let number = |value| number(value, decimals);
    format!("{} [{}..{}]", number(found.median), number(found.least), number(found.greatest))
}
