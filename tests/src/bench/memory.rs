//! What memory something takes, as the kernel tells it.

use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::{Context as _, Result};
use aya::maps::loaded_maps;

/// What a process has in memory, in bytes. Not less what it shares, since that is with other contenders of the same
/// program.
pub fn of_process(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    resident(&text).with_context(|| format!("{path} does not tell"))
}

/// The same of all processes of a cgroup.
pub fn of_processes(cgroup: &Path) -> Result<u64> {
    let path = cgroup.join("cgroup.procs");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    text.lines().map(|pid| of_process(pid.parse()?)).sum()
}

/// What the BPF maps and programs take of the kernel's memory that a process holds, in bytes.
pub fn of_bpf(pid: u32) -> Result<u64> {
    Ok(bpf_objects(pid)?.values().sum())
}

/// The same of each map, by the name that the kernel has for it.
pub fn of_maps(pid: u32) -> Result<BTreeMap<String, u64>> {
    let objects = bpf_objects(pid)?;
    let mut maps = BTreeMap::new();
    for map in loaded_maps() {
        // One that has gone meanwhile is none of these.
        let Ok(map) = map else { continue };
        if let Some(memory) = objects.get(&("map_id", map.id().into())) {
            *maps.entry(map.name_as_str().unwrap_or_default().to_owned()).or_default() += memory;
        }
    }
    Ok(maps)
}

fn bpf_objects(pid: u32) -> Result<BTreeMap<(&'static str, u64), u64>> {
    let path = format!("/proc/{pid}/fdinfo");
    let mut objects = BTreeMap::new();
    for entry in fs::read_dir(&path).with_context(|| format!("cannot read {path}"))? {
        match fs::read_to_string(entry?.path()) {
            Ok(text) => objects.extend(bpf_object(&text)),
            // It was closed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {path}")),
        }
    }
    Ok(objects)
}

/// Of `smaps_rollup`.
fn resident(text: &str) -> Option<u64> {
    field(text, "Rss").map(|kib| kib * 1024)
}

/// Whose `fdinfo` it is, a map's or a program's, and how much it takes. One may have several descriptors.
fn bpf_object(text: &str) -> Option<((&'static str, u64), u64)> {
    let memory = field(text, "memlock")?;
    ["map_id", "prog_id"].iter().find_map(|&kind| Some(((kind, field(text, kind)?), memory)))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_resident_is_read() {
        let text =
            "55d0-7ffd ---p 00000000 00:00 0   [rollup]\nRss:   4200 kB\nPss:   1320 kB\nPss_Dirty: 9 kB\n";
        assert_eq!(resident(text), Some(4200 * 1024));
        assert_eq!(resident("Pss: 1 kB\n"), None);
    }

    #[test]
    fn maps_and_programs_are_told_from_other_files() {
        let map = "pos:\t0\nmap_type:\t9\nmax_entries:\t65536\nmemlock:\t4195264\nmap_id:\t17\nfrozen:\t0\n";
        assert_eq!(bpf_object(map), Some((("map_id", 17), 4_195_264)));
        assert_eq!(
            bpf_object("prog_type:\t18\nmemlock:\t4096\nprog_id:\t17\n"),
            Some((("prog_id", 17), 4096))
        );
        assert_eq!(bpf_object("pos:\t0\nflags:\t02\nino:\t12\n"), None);
    }

    #[test]
    fn this_process_has_memory() {
        let pid = std::process::id();
        assert!(of_process(pid).expect("the kernel tells") > 0);
        assert_eq!(of_bpf(pid).expect("the kernel tells"), 0);
    }
}
