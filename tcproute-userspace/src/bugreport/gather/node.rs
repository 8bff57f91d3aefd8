//! The kernel, mounts, cgroups and maps of a node.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use nix::{
    sys::utsname::uname,
    unistd::{SysconfVar, geteuid, sysconf},
};
use serde::Serialize;
use serde_json::json;

use super::{super::Content, files};
use crate::{bpf::pins, workloads::cgroups::Cgroup2};

/// More is not read of a file of the system, in bytes.
const MOST: u64 = 1 << 20;

pub(super) fn about() -> Result<Content, String> {
    let name = uname().map_err(|error| error.to_string())?;
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    let system = files::beginning(Path::new("/etc/os-release"), MOST).unwrap_or_default();
    let system: BTreeMap<&str, &str> = system
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| ["NAME", "VERSION_ID", "PRETTY_NAME"].contains(name))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect();
    Ok(Content::Json(json!({
        "tcproute": env!("CARGO_PKG_VERSION"),
        "now": Timestamp::now(),
        "host": text(name.nodename()),
        "kernel": {"release": text(name.release()), "version": text(name.version()), "machine": text(name.machine())},
        "system": system,
        "root": geteuid().is_root(),
        "processors": sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten(),
        "memoryPages": sysconf(SysconfVar::_PHYS_PAGES).ok().flatten(),
    })))
}

/// The file systems whose mounts matter. Options of others may have secrets in them.
const MOUNTS: [&str; 5] = ["cgroup", "cgroup2", "bpf", "proc", "sysfs"];

pub(super) fn mounts() -> Result<Content, String> {
    let path = Path::new("/proc/self/mountinfo");
    let all = files::beginning(path, MOST).map_err(|error| format!("{}: {error}", path.display()))?;
    let matters = |line: &&str| {
        let kind = line.split_once(" - ").and_then(|(_, kind)| kind.split(' ').next());
        kind.is_some_and(|kind| MOUNTS.contains(&kind))
    };
    Ok(Content::Text(all.lines().filter(matters).flat_map(|line| [line, "\n"]).collect()))
}

/// More cgroups are not listed.
const MOST_CGROUPS: usize = 5000;

pub(super) fn cgroups() -> Result<Content, String> {
    let hierarchy = Cgroup2::find().map_err(|error| format!("{error:#}"))?;
    let mut text = format!("{}\n", hierarchy.mount().display());
    let mut waiting = vec![hierarchy.mount().to_path_buf()];
    let mut seen = 0;
    while let Some(path) = waiting.pop() {
        seen += 1;
        if seen > MOST_CGROUPS {
            text.push_str("and more\n");
            break;
        }
        let processes = match fs::read_to_string(path.join("cgroup.procs")) {
            Ok(processes) => processes.lines().count().to_string(),
            Err(error) => error.to_string(),
        };
        let below = path.strip_prefix(hierarchy.mount()).unwrap_or(&path);
        // A string takes all that is written to it.
        let _ = writeln!(text, "/{}: {processes}", below.display());
        let mut inner = directories(&path);
        inner.sort_by(|a, b| b.cmp(a));
        waiting.extend(inner);
    }
    Ok(Content::Text(text))
}

fn directories(path: &Path) -> Vec<PathBuf> {
    // One may vanish meanwhile.
    let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// A map that is pinned.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", untagged)]
enum Pinned {
    Map {
        id: u32,
        name: String,
        key_size: u32,
        value_size: u32,
        capacity: u32,
    },
    /// It is no map, or cannot be asked.
    Other {
        why: String,
    },
}

pub(super) fn maps(bpffs: &Path) -> Result<Content, String> {
    let directory = pins::directory(bpffs);
    let entries = fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut pinned = BTreeMap::new();
    let mut directories = BTreeMap::new();
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let count = fs::read_dir(entry.path()).into_iter().flatten().count();
            directories.insert(name, count);
            continue;
        }
        let asked = aya::maps::MapInfo::from_pin(entry.path());
        pinned.insert(
            name,
            match asked {
                Ok(map) => Pinned::Map {
                    id: map.id(),
                    name: map.name_as_str().unwrap_or_default().to_owned(),
                    key_size: map.key_size(),
                    value_size: map.value_size(),
                    capacity: map.max_entries(),
                },
                Err(error) => Pinned::Other { why: error.to_string() },
            },
        );
    }
    Ok(Content::Json(json!({"at": directory, "pinned": pinned, "directories": directories})))
}
