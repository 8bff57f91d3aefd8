//! The programs of the object: loading them, and attaching them to cgroups.

use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::{Context, Result, anyhow, bail};
use aya::{
    Ebpf,
    programs::{CgroupAttachMode, Program, links::FdLink},
};
use nix::libc::ENOLINK;
use tracing::warn;

use super::{attach_types::HOOKS, pins::PinDirectory, sys};
use crate::workloads::cgroups::{Cgroup, CgroupId};

/// A program as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedProgram {
    /// The kernel's number of it.
    pub id: u32,
    /// Its hook.
    pub name: String,
    /// Bytes after the verifier has rewritten it.
    pub translated: u32,
    /// Bytes of machine code; 0 if the JIT is off.
    pub jited: u32,
    /// Instructions that the verifier went through; from 5.16 on.
    pub verified: Option<u32>,
}

/// A link to a cgroup is always "multi": beside programs of others. The kernel takes no flags for it.
const LINK_MODE: CgroupAttachMode = CgroupAttachMode::Single;

/// Loads every program of the object.
pub(super) fn load(ebpf: &mut Ebpf) -> Result<()> {
    for (hook, _) in HOOKS {
        let loaded = match program(ebpf, hook)? {
            Program::CgroupSockAddr(program) => program.load(),
            Program::CgroupSock(program) => program.load(),
            Program::SockOps(program) => program.load(),
            other => bail!("the program {hook} is of type {:?}", other.prog_type()),
        };
        loaded.with_context(|| format!("the kernel refuses the program {hook}"))?;
    }
    Ok(())
}

/// What the kernel has made of them, by name.
pub(super) fn loaded(ebpf: &mut Ebpf) -> Result<Vec<LoadedProgram>> {
    let programs = HOOKS.map(|(hook, _)| {
        let info = match program(ebpf, hook)? {
            Program::CgroupSockAddr(program) => program.info(),
            Program::CgroupSock(program) => program.info(),
            Program::SockOps(program) => program.info(),
            other => bail!("the program {hook} is of type {:?}", other.prog_type()),
        };
        let info = info.with_context(|| format!("cannot ask the kernel about the program {hook}"))?;
        Ok(LoadedProgram {
            id: info.id(),
            name: hook.to_owned(),
            translated: info.size_translated().unwrap_or(0),
            jited: info.size_jitted(),
            verified: info.verified_instruction_count(),
        })
    });
    programs.into_iter().collect()
}

fn program<'a>(ebpf: &'a mut Ebpf, hook: &str) -> Result<&'a mut Program> {
    ebpf.program_mut(hook).ok_or_else(|| anyhow!("the eBPF object has no program {hook}"))
}

/// Attaches a program by a link that lives as long as its file descriptor.
fn link(program: &mut Program, cgroup: &Cgroup) -> Result<FdLink> {
    let link = match program {
        Program::CgroupSockAddr(program) => {
            let id = program.attach(cgroup.directory(), LINK_MODE)?;
            FdLink::try_from(program.take_link(id)?)
        }
        Program::CgroupSock(program) => {
            let id = program.attach(cgroup.directory(), LINK_MODE)?;
            FdLink::try_from(program.take_link(id)?)
        }
        Program::SockOps(program) => {
            let id = program.attach(cgroup.directory(), LINK_MODE)?;
            FdLink::try_from(program.take_link(id)?)
        }
        other => bail!("it is of type {:?}", other.prog_type()),
    };
    Ok(link?)
}

fn at(hook: &str, cgroup: &Cgroup) -> String {
    format!("cannot attach {hook} to the cgroup {}", cgroup.path().display())
}

/// Attaches all programs for as long as the links are kept.
pub(super) fn attach(ebpf: &mut Ebpf, cgroup: &Cgroup) -> Result<Vec<FdLink>> {
    let attach = |(hook, _)| link(program(ebpf, hook)?, cgroup).with_context(|| at(hook, cgroup));
    HOOKS.map(attach).into_iter().collect()
}

/// Links of all programs to a cgroup, some of them beside older ones.
#[must_use]
pub(super) struct Pinned<'a> {
    pins: &'a PinDirectory,
    cgroup: &'a Cgroup,
    beside: Vec<&'static str>,
}

/// Attaches all programs by pinned links. Where there is a link already, the program behind it is replaced, unless
/// `anew` asks for a link of its own beside it.
pub(super) fn attach_pinned<'a>(
    ebpf: &mut Ebpf,
    cgroup: &'a Cgroup,
    pins: &'a PinDirectory,
    anew: bool,
) -> Result<Pinned<'a>> {
    let mut beside = Vec::new();
    for (hook, _) in HOOKS {
        let program = program(ebpf, hook)?;
        let there = pins.link(cgroup.id(), hook)?;
        let is_there = match there {
            Some(there) if !anew => {
                let replaced = replace(&there, program).with_context(|| at(hook, cgroup))?;
                if replaced == Replaced::Yes {
                    continue;
                }
                pins.remove_link(cgroup.id(), hook)?;
                false
            }
            there => there.is_some(),
        };
        let link = link(program, cgroup).with_context(|| at(hook, cgroup))?;
        if is_there {
            beside.push(hook);
            pins.pin_next_link(cgroup.id(), hook, link)?;
        } else {
            pins.pin_link(cgroup.id(), hook, link)?;
        }
    }
    Ok(Pinned { pins, cgroup, beside })
}

impl Pinned<'_> {
    /// Detaches the older ones.
    pub(super) fn replace(self) -> Result<()> {
        for hook in self.beside {
            self.pins.put_next_link(self.cgroup.id(), hook)?;
        }
        // All of them run: what is not held is held when pins are looked at.
        if let Err(error) = self.pins.hold_links(self.cgroup.id()) {
            warn!("links to the cgroup {} are not held yet: {error:#}", self.cgroup.path().display());
        }
        Ok(())
    }
}

/// Replaces the programs behind all links of a cgroup that are pinned. What has lost its cgroup is left alone.
pub(super) fn replace_pinned(ebpf: &mut Ebpf, cgroup: CgroupId, pins: &PinDirectory) -> Result<()> {
    for (hook, _) in HOOKS {
        if let Some(link) = pins.link(cgroup, hook)? {
            replace(&link, program(ebpf, hook)?)?;
        }
    }
    Ok(())
}

/// Whether the program behind a link was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replaced {
    Yes,
    /// The link has lost its cgroup.
    Lost,
}

fn replace(link: &OwnedFd, program: &Program) -> Result<Replaced> {
    let program = match program {
        Program::CgroupSockAddr(program) => program.fd()?.as_fd(),
        Program::CgroupSock(program) => program.fd()?.as_fd(),
        Program::SockOps(program) => program.fd()?.as_fd(),
        other => bail!("it is of type {:?}", other.prog_type()),
    };
    match sys::update_link(link, program) {
        Ok(()) => Ok(Replaced::Yes),
        Err(error) if error.raw_os_error() == Some(ENOLINK) => Ok(Replaced::Lost),
        Err(error) => Err(error).context("cannot replace the program of the link"),
    }
}
