//! What must not grow, and what must hold whenever nothing is under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tcproute_tests::maps::Slots;

use crate::{
    daemon::{metric, sum_of_metric},
    growth::Series,
    kernel::{self, Maps},
    node::Node,
};

/// No client keeps a connection so long.
const LINGERING: Duration = Duration::from_secs(30);
/// Programs of a workload.
const PROGRAMS: usize = 6;

pub(crate) struct Watch {
    /// Memory of each daemon when its first routes are in force.
    starts: Series,
    /// Memory and files of the daemon that runs to the end.
    memory: Series,
    files: Series,
    /// Through all daemons.
    map_memory: Series,
    map_count: Series,
    backends: Series,
    endpoints: Series,
    programs: Series,
    /// Every program and map that was ever seen.
    seen_programs: BTreeSet<u32>,
    seen_maps: BTreeSet<u32>,
    /// Of the last sample.
    pub(crate) overflowed: u64,
    /// Slots that belong to a socket, by its cookie, and since when; `None` if it was told of.
    slots: BTreeMap<u64, Option<Instant>>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            starts: Series::new("KiB of a daemon that was just started", 1.15, 2048.0),
            memory: Series::new("KiB of the last daemon", 1.15, 2048.0),
            files: Series::new("files of the last daemon", 1.0, 4.0),
            map_memory: Series::new("bytes of the pinned maps", 1.1, 65_536.0),
            map_count: Series::new("pinned maps", 1.0, 0.0),
            backends: Series::new("entries taken in the map backends", 2.0, 100.0),
            endpoints: Series::new("entries taken in the map endpoints", 2.0, 100.0),
            programs: Series::new("programs that were ever attached and still are there", 1.0, 5.0),
            seen_programs: BTreeSet::new(),
            seen_maps: BTreeSet::new(),
            overflowed: 0,
            slots: BTreeMap::new(),
        }
    }

    /// A daemon has been started.
    pub(crate) fn started(&mut self, node: &Node) -> Result<()> {
        self.starts.push(node.daemon()?.memory()?);
        self.memory.clear();
        self.files.clear();
        Ok(())
    }

    /// While nothing is under way. The daemon has these routes, and each workload has its programs.
    pub(crate) fn sample(&mut self, node: &Node, routes: usize, rejected: usize) -> Result<()> {
        let daemon = node.daemon()?;
        let held = daemon.held()?;
        self.memory.push(daemon.memory()?);
        self.files.push(held.files as f64);
        let cgroups = node.cgroup_ids()?;
        check_links(&kernel::links(&node.pins())?, &cgroups, &held.programs)?;
        self.seen_programs.extend(&held.programs);
        self.seen_maps.extend(&held.maps);
        self.programs.push(kernel::alive(&self.seen_programs) as f64);
        let maps = Maps::pinned(&node.pins())?;
        self.seen_maps.extend(maps.ids.values());
        self.map_count.push(maps.ids.len() as f64);
        self.map_memory.push(maps.memory as f64);

        let metrics = daemon.get("/metrics")?;
        let expected = [
            ("tcproute_ready", 1),
            ("tcproute_source_errors", u64::from(rejected > 0)),
            ("tcproute_workloads_attached", cgroups.len() as u64),
            ("tcproute_map_entries{map=\"routes\"}", routes as u64),
            ("tcproute_connections_total{decision=\"internal_error\"}", 0),
            ("tcproute_connection_states_total{place=\"nowhere\"}", 0),
        ];
        for (name, wanted) in expected {
            let value = metric(&metrics, name)?;
            ensure!(value == wanted, "{name} is {value} and not {wanted}");
        }
        let told = sum_of_metric(&metrics, "tcproute_rejected")?;
        ensure!(told == rejected as u64, "tcproute_rejected tells of {told} and not {rejected}");
        self.look_for_lingering(node)?;
        self.backends.push(metric(&metrics, "tcproute_map_entries{map=\"backends\"}")? as f64);
        self.endpoints.push(metric(&metrics, "tcproute_map_entries{map=\"endpoints\"}")? as f64);
        self.overflowed = metric(&metrics, "tcproute_connection_states_total{place=\"overflow\"}")?;
        Ok(())
    }

    /// Tells of slots whose socket is gone.
    fn look_for_lingering(&mut self, node: &Node) -> Result<()> {
        let slots = Slots::open(&node.pins())?.in_use()?;
        let now = Instant::now();
        self.slots.retain(|cookie, _| slots.iter().any(|slot| slot.cookie() == *cookie));
        for slot in slots {
            let since = self.slots.entry(slot.cookie()).or_insert(Some(now));
            if since.is_some_and(|since| now.duration_since(since) > LINGERING) {
                println!("soak: a slot is in use for long: {:#x?}", slot.0);
                *since = None;
            }
        }
        Ok(())
    }

    /// For the line that is printed now and then.
    pub(crate) fn shown(&self) -> String {
        let memory = self.memory.last().or(self.starts.last()).unwrap_or_default() / 1024.0;
        let maps = self.map_memory.last().unwrap_or_default() / 1_048_576.0;
        format!("daemon {memory:.1} MiB, maps {maps:.1} MiB")
    }

    /// What each series came to, and whether it is within its bound.
    pub(crate) fn judge(&self) -> Vec<(String, bool)> {
        let series = [
            &self.starts,
            &self.memory,
            &self.files,
            &self.map_memory,
            &self.map_count,
            &self.backends,
            &self.endpoints,
            &self.programs,
        ];
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
