//! What is wanted of tcproute, beside what there is.

use std::fmt;

use serde::Serialize;
use tcproute_tests::bench::markdown::number;

use crate::{
    connect4::Connect4,
    dialling::Which,
    maps::Use,
    point::Point,
    report::{CHANGED, LOADED},
};

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Goal {
    what: String,
    found: f64,
    most: f64,
    #[serde(rename = "isMet")]
    is_met: bool,
}

impl Goal {
    fn new(what: String, found: f64, most: f64) -> Self {
        Self { what, found, most, is_met: found <= most }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, found, most, is_met } = self;
        let verdict = if *is_met { "met" } else { "missed" };
        write!(f, "{verdict}: {what}: {} of at most {}", number(*found, 1), number(*most, 0))
    }
}

/// Of the most services, compared with the fewest.
pub(crate) fn of(points: &[Point], connect4: &Connect4) -> Vec<Goal> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let mut goals = Vec::new();
    if first.services != last.services {
        let (fewer, services) = (first.services, last.services);
        for which in Which::ALL {
            if let Some(more) = connect4.more(which, services.0, fewer.0) {
                let what = format!(
                    "ns that connect4 takes longer with {services} than with {fewer}, {} dialled",
                    which.text()
                );
                goals.push(Goal::new(what, more.median, 20.0));
            }
        }
        if let (Some(before), Some(maps)) = (&first.maps, &last.maps) {
            for what in Use::ALL {
                let bytes = what.each((services, maps), (fewer, before));
                goals.push(Goal::new(format!("bytes of {}", what.text()), bytes, 200.0));
            }
        }
    }
    for (figure, what, most) in [
        (LOADED, "ms to load a snapshot from memory", 500.0),
        (CHANGED, "ms from a changed weight in a snapshot to the first connection that obeys", 5.0),
    ] {
        if let Some((found, _)) = last.comparison.spread("tcproute-in-memory", figure) {
            goals.push(Goal::new(format!("{what}, {}", last.services), found.median, most));
        }
    }
    goals
}
