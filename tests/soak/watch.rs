//! What must not grow, and what must hold whenever nothing is under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tcproute_tests::maps::Places;

use crate::{
    daemon::{Held, metric, sum_of_metric},
    growth::Series,
    kernel::{self, Maps},
    mesh::Entries,
    node::Node,
};

/// No client keeps a connection so long.
const LINGERING: Duration = Duration::from_secs(30);
/// Programs of a workload.
const PROGRAMS: usize = 6;
/// Maps that are pinned.
const PINNED: usize = 16;
/// Maps that are not: the constants of programs.
const CONSTANTS: usize = 6;
/// Longer than it takes until what is not needed any more is given back, also where processors are emulated.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) struct Watch {
    /// Memory of each daemon when its first routes are in force.
    starts: Series,
    /// Memory and files of the daemon that runs to the end.
    memory: Series,
    files: Series,
    /// Every program and map that was ever seen.
    seen_programs: BTreeSet<u32>,
    seen_maps: BTreeSet<u32>,
    /// Bytes of the pinned maps in the last sample.
    maps: u64,
    /// Of the last sample.
    pub(crate) overflowed: u64,
    /// Places that belong to a socket, by its cookie, and since when; `None` if it was told of.
    places: BTreeMap<u64, Option<Instant>>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            starts: Series::new("KiB of a daemon that was just started", 1.15, 2048.0),
            memory: Series::new("KiB of the last daemon", 1.15, 2048.0),
            files: Series::new("files of the last daemon", 1.0, 4.0),
            seen_programs: BTreeSet::new(),
            seen_maps: BTreeSet::new(),
            maps: 0,
            overflowed: 0,
            places: BTreeMap::new(),
        }
    }

    /// A daemon has been started. `small` is whether it has little to do.
    pub(crate) fn started(&mut self, node: &Node, small: bool) -> Result<()> {
        if small {
            self.starts.push(node.daemon()?.memory()?);
        }
        self.memory.clear();
        self.files.clear();
        Ok(())
    }

    /// Takes note of the programs and maps that there are. Between two looks others may come and go, but none that
    /// lasts.
    pub(crate) fn look(&mut self, node: &Node) -> Result<()> {
        let Held { programs, maps, .. } = node.daemon()?.held()?;
        self.seen_programs.extend(programs);
        self.seen_maps.extend(maps);
        self.seen_maps.extend(Maps::pinned(&node.pins())?.ids.values());
        Ok(())
    }

    /// While nothing is under way. At most this is taken in the maps, and each workload has its programs.
    pub(crate) fn sample(&mut self, node: &Node, entries: Entries, rejected: usize) -> Result<()> {
        self.look(node)?;
        self.wait_for_rest(node, entries)?;
        let daemon = node.daemon()?;
        let held = daemon.held()?;
        self.memory.push(daemon.memory()?);
        self.files.push(held.files as f64);
        let cgroups = node.cgroup_ids()?;
        check_links(&kernel::links(&node.pins())?, &cgroups, &held.programs)?;

        let metrics = daemon.get("/metrics")?;
        let expected = [
            ("tcproute_ready", 1),
            ("tcproute_source_errors", u64::from(rejected > 0)),
            ("tcproute_workloads_attached", cgroups.len() as u64),
            ("tcproute_map_entries{map=\"routes\"}", entries.routes),
            ("tcproute_decisions_total{decision=\"internal_error\"}", 0),
            ("tcproute_connection_states_total{place=\"nowhere\"}", 0),
        ];
        for (name, wanted) in expected {
            let value = metric(&metrics, name)?;
            ensure!(value == wanted, "{name} is {value} and not {wanted}");
        }
        let told = sum_of_metric(&metrics, "tcproute_rejected")?;
        ensure!(told == rejected as u64, "tcproute_rejected tells of {told} and not {rejected}");
        self.look_for_lingering(node)?;
        self.overflowed = metric(&metrics, "tcproute_connection_states_total{place=\"overflow\"}")?;
        Ok(())
    }

    /// Waits until nothing is left of what was: programs and maps that were replaced, and entries that are not needed.
    fn wait_for_rest(&mut self, node: &Node, entries: Entries) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = self.left_over(node, entries)?;
            if left.is_empty() {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "with nothing under way there is more than is needed: {}\n{}",
                left.join(", "),
                node.daemon()?.log()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// What is there and not needed, in words.
    fn left_over(&mut self, node: &Node, entries: Entries) -> Result<Vec<String>> {
        let daemon = node.daemon()?;
        let held = daemon.held()?;
        let pinned = Maps::pinned(&node.pins())?;
        let mut left = Vec::new();
        let mut compare = |what: &str, is: usize, most: usize| {
            if is > most {
                left.push(format!("{is} {what} instead of {most}"));
            }
        };
        compare("programs", kernel::alive(&self.seen_programs), PROGRAMS);
        compare("pinned maps", pinned.ids.len(), PINNED);
        compare("maps of the daemon", held.maps.len(), PINNED + CONSTANTS);
        let in_use = held.maps.iter().chain(pinned.ids.values()).collect::<BTreeSet<_>>().len();
        compare("maps", kernel::alive_maps(&self.seen_maps), in_use);
        let metrics = daemon.get("/metrics")?;
        let Entries { routes, backends, endpoints, turns } = entries;
        // Each backend has its count, and each route a place in its turns.
        let most = [
            ("routes", routes),
            ("backends", backends),
            ("endpoints", endpoints),
            ("outcomes", backends),
            ("cursors", routes),
            ("turns", turns),
        ];
        for (map, most) in most {
            let taken = metric(&metrics, &format!("tcproute_map_entries{{map=\"{map}\"}}"))?;
            compare(&format!("entries of {map}"), usize::try_from(taken)?, usize::try_from(most)?);
        }
        self.maps = pinned.memory;
        Ok(left)
    }

    /// Tells of places whose socket is gone.
    fn look_for_lingering(&mut self, node: &Node) -> Result<()> {
        let places = Places::open(&node.pins())?.in_use()?;
        let now = Instant::now();
        self.places.retain(|cookie, _| places.iter().any(|place| place.cookie() == *cookie));
        for place in places {
            let since = self.places.entry(place.cookie()).or_insert(Some(now));
            if since.is_some_and(|since| now.duration_since(since) > LINGERING) {
                println!("soak: a place is in use for long: {:#x?}", place.0);
                *since = None;
            }
        }
        Ok(())
    }

    /// For the line that is printed now and then.
    pub(crate) fn shown(&self) -> String {
        let memory = self.memory.last().or(self.starts.last()).unwrap_or_default() / 1024.0;
        let maps = self.maps as f64 / 1_048_576.0;
        format!("daemon {memory:.1} MiB, maps {maps:.1} MiB")
    }

    /// What each series came to, and whether it is within its bound.
    pub(crate) fn judge(&self) -> Vec<(String, bool)> {
        let series = [&self.starts, &self.memory, &self.files];
        series.into_iter().map(Series::judge).collect()
    }

    /// Programs and maps that the kernel still has of all that were ever seen.
    pub(crate) fn left(&self) -> usize {
        kernel::alive(&self.seen_programs) + kernel::alive_maps(&self.seen_maps)
    }
}

/// Each of these cgroups, and no other, has a link for each hook, to a program that the daemon holds.
fn check_links(
    links: &BTreeMap<u64, BTreeMap<String, u32>>,
    cgroups: &[u64],
    programs: &BTreeSet<u32>,
) -> Result<()> {
    for cgroup in cgroups {
        let hooks = links.get(cgroup).map(BTreeMap::len).unwrap_or_default();
        ensure!(hooks == PROGRAMS, "a workload has {hooks} links instead of {PROGRAMS}");
    }
    ensure!(links.len() == cgroups.len(), "links to {} cgroups for {} workloads", links.len(), cgroups.len());
    for (cgroup, hooks) in links {
        for (hook, program) in hooks {
            ensure!(programs.contains(program), "{hook} of the cgroup {cgroup} is not the daemon's program");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_too_few_or_to_an_old_program_is_found() {
        let hooks = |programs: std::ops::Range<u32>| {
            programs.map(|program| (program.to_string(), program)).collect::<BTreeMap<_, _>>()
        };
        let held = (10..16).collect();
        assert!(check_links(&[(7, hooks(10..16))].into(), &[7], &held).is_ok());
        assert!(check_links(&[(7, hooks(10..15))].into(), &[7], &held).is_err(), "one is missing");
        assert!(check_links(&[(7, hooks(9..15))].into(), &[7], &held).is_err(), "one is old");
        assert!(check_links(&[(7, hooks(10..16))].into(), &[], &held).is_err(), "one is left");
    }
}
