//! What is attached to the cgroups of this node, as the kernel tells it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use aya::{
    maps::loaded_maps,
    programs::{ProgramInfo, loaded_programs},
};

use super::{
    attach_types::HOOKS,
    cgroup::Cgroup2,
    sys::{self, AttachMode},
};

/// A program that is attached to a cgroup at a hook that tcproute uses, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedProgram {
    /// Its directory.
    pub cgroup: PathBuf,
    /// The hook, such as `connect4`.
    pub hook: &'static str,
    /// Whether others may be attached beside it or below.
    pub mode: AttachMode,
    /// The kernel's number of it.
    pub id: u32,
    /// As its maker calls it; the kernel keeps 15 characters.
    pub name: String,
    /// Whether a tcproute has loaded it: it has such a name and such a map.
    pub ours: bool,
}

/// More cgroups than any node should have; those beyond are not looked at.
const MOST_CGROUPS: usize = 50_000;

/// All programs at those hooks.
pub fn programs(hierarchy: &Cgroup2) -> Result<Vec<AttachedProgram>> {
    let known = known()?;
    let mut found = Vec::new();
    let mut waiting = vec![hierarchy.mount().to_path_buf()];
    let mut seen = 0;
    while let Some(path) = waiting.pop() {
        seen += 1;
        if seen > MOST_CGROUPS {
            break;
        }
        // One that vanishes meanwhile has nothing attached.
        let Ok(directory) = File::open(&path) else { continue };
        for (hook, attach_type) in HOOKS {
            let Ok((mode, ids)) = sys::attached(&directory, attach_type) else { continue };
            found.extend(ids.into_iter().map(|id| {
                let (name, ours) = known.get(&id).cloned().unwrap_or_default();
                AttachedProgram { cgroup: path.clone(), hook, mode, id, name, ours }
            }));
        }
        waiting.extend(below(&path));
    }
    found.sort_by(|a, b| (&a.cgroup, a.hook, a.id).cmp(&(&b.cgroup, b.hook, b.id)));
    Ok(found)
}

fn below(cgroup: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cgroup).into_iter().flatten().filter_map(Result::ok);
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).collect()
}

/// The name of every program, and whether it is ours.
fn known() -> Result<BTreeMap<u32, (String, bool)>> {
    // Maps and programs may go away while they are listed.
    let maps: BTreeMap<u32, String> = loaded_maps()
        .filter_map(Result::ok)
        .map(|map| (map.id(), map.name_as_str().unwrap_or_default().to_owned()))
        .collect();
    let has_our_map = |program: &ProgramInfo| {
        let ids = program.map_ids().ok().flatten().unwrap_or_default();
        ids.iter().any(|id| maps.get(id).is_some_and(|name| name == "connections"))
    };
    let programs = loaded_programs().map(|program| {
        let program = program.context("cannot list the programs in the kernel")?;
        let name = program.name_as_str().unwrap_or_default().to_owned();
        let ours = HOOKS.iter().any(|(hook, _)| *hook == name) && has_our_map(&program);
        Ok((program.id(), (name, ours)))
    });
    programs.collect()
}
