//! What is attached to the cgroups of this node, as the kernel tells it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use aya::{
    maps::loaded_maps,
    programs::{ProgramError, ProgramInfo, loaded_programs},
};
use nix::libc::ENODEV;

use super::{
    attach_types::HOOKS,
    pins::{Linked, linked},
    sys::{self, AttachMode},
};
use crate::workloads::cgroups::{Cgroup2, CgroupId};

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
    /// What its maps are called.
    pub maps: Vec<String>,
    /// Whether a tcproute has loaded it: it has such a name and such a map.
    pub ours: bool,
}

/// What was found in the hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// By cgroup and hook.
    pub programs: Vec<AttachedProgram>,
    /// How many cgroups were looked at, if there are more.
    pub cut_off: Option<usize>,
}

/// More cgroups than any node should have; those beyond are not looked at.
const MOST_CGROUPS: usize = 50_000;

/// All programs at those hooks.
pub fn programs(hierarchy: &Cgroup2) -> Result<Attached> {
    let mut found = Vec::new();
    let mut waiting = vec![hierarchy.mount().to_path_buf()];
    let mut seen = 0;
    while seen < MOST_CGROUPS
        && let Some(path) = waiting.pop()
    {
        seen += 1;
        for (hook, attach_type) in HOOKS {
            match File::open(&path).and_then(|directory| sys::attached(&directory, attach_type)) {
                Ok((mode, ids)) => found.extend(ids.into_iter().map(|id| (path.clone(), hook, mode, id))),
                // One that vanishes meanwhile has nothing attached.
                Err(_) if !path.exists() => break,
                Err(error) => {
                    let asking = || format!("cannot ask what is attached to {}", path.display());
                    return Err(error).with_context(asking);
                }
            }
        }
        waiting.extend(below(&path));
    }
    // Named afterwards: a program without a name is one that went away in between.
    let known = known()?;
    let named = found.into_iter().filter_map(|(cgroup, hook, mode, id)| {
        let Program { name, maps, ours } = known.get(&id).cloned()?;
        Some(AttachedProgram { cgroup, hook, mode, id, name, maps, ours })
    });
    let mut programs: Vec<AttachedProgram> = named.collect();
    programs.sort_by(|a, b| (&a.cgroup, a.hook, a.id).cmp(&(&b.cgroup, b.hook, b.id)));
    Ok(Attached { programs, cut_off: (!waiting.is_empty()).then_some(seen) })
}

/// Whether each of these programs is attached to the cgroup of this directory, if it still is that one.
pub fn has_all(directory: &Path, cgroup: CgroupId, programs: &[u32]) -> Result<bool> {
    let asking = || format!("cannot ask what is attached to {}", directory.display());
    let file = match File::open(directory) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).with_context(asking),
    };
    if file.metadata().with_context(asking)?.ino() != cgroup.get() {
        return Ok(false);
    }
    let mut attached = Vec::new();
    for (_, attach_type) in HOOKS {
        match sys::attached(&file, attach_type) {
            Ok((_, ids)) => attached.extend(ids),
            Err(error) if error.raw_os_error() == Some(ENODEV) => return Ok(false),
            Err(error) => return Err(error).with_context(asking),
        }
    }
    Ok(!programs.is_empty() && programs.iter().all(|program| attached.contains(program)))
}

/// The cgroups to which links attach programs of a tcproute, and how many.
pub fn links() -> Result<BTreeMap<CgroupId, usize>> {
    let known = known()?;
    let mut found = BTreeMap::new();
    for id in sys::link_ids().context("cannot list the links in the kernel")? {
        // It may go away meanwhile.
        let Ok(link) = sys::link_by_id(id) else { continue };
        let Some(Linked { cgroup: Some(cgroup), program, .. }) = linked(&link)? else { continue };
        if known.get(&program).is_some_and(|program| program.ours) {
            *found.entry(cgroup).or_default() += 1;
        }
    }
    Ok(found)
}

fn below(cgroup: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cgroup).into_iter().flatten().filter_map(Result::ok);
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).collect()
}

/// What the kernel tells of a program.
#[derive(Clone)]
struct Program {
    name: String,
    maps: Vec<String>,
    ours: bool,
}

/// All of them, by their numbers.
fn known() -> Result<BTreeMap<u32, Program>> {
    // Maps and programs may go away while they are listed.
    let maps: BTreeMap<u32, String> = loaded_maps()
        .filter_map(Result::ok)
        .map(|map| (map.id(), map.name_as_str().unwrap_or_default().to_owned()))
        .collect();
    let maps_of = |program: &ProgramInfo| -> Vec<String> {
        let ids = program.map_ids().ok().flatten().unwrap_or_default();
        ids.iter().filter_map(|id| maps.get(id).cloned()).collect()
    };
    let stays = |program: &Result<ProgramInfo, ProgramError>| !program.as_ref().is_err_and(is_gone);
    let programs = loaded_programs().filter(stays).map(|program| {
        let program = program.context("cannot list the programs in the kernel")?;
        let name = program.name_as_str().unwrap_or_default().to_owned();
        let maps = maps_of(&program);
        let ours = HOOKS.iter().any(|(hook, _)| *hook == name) && maps.iter().any(|map| map == "connections");
        Ok((program.id(), Program { name, maps, ours }))
    });
    programs.collect()
}

fn is_gone(error: &ProgramError) -> bool {
    matches!(error, ProgramError::SyscallError(error) if error.io_error.kind() == io::ErrorKind::NotFound)
}
