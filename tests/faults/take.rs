//! What is done in each phase, and how it is seen from outside that it has come about.

use std::{ffi::OsStr, fs, path::Path, time::Duration};

use anyhow::{Result, ensure};

use crate::{
    attempt::{Attempt, Seen, attempt},
    fault::Fault,
    mesh::Mesh,
    phase::Phase,
    suite::Suite,
    world::{PATIENCE, World, names_below},
};

/// Timers of the daemon tick each second.
const TICK: Duration = Duration::from_millis(1200);

impl Suite<'_> {
    /// Goes through a phase. Where maps grow, `size` is how many outbounds there are then.
    pub(crate) fn take(&mut self, phase: Phase, size: u16, fault: Option<&Fault>) -> Result<Attempt> {
        if phase.is_of_a_daemon() {
            self.ensure_daemon()?;
            return of_a_daemon(&mut self.world, phase, size, fault);
        }
        self.ensure_none()?;
        match phase {
            Phase::Start => {
                self.world.allow_plain()?;
                self.detach()?;
            }
            Phase::OtherTables => self.world.age("layout-0-2-0")?,
            Phase::OtherStates => self.world.age("layout-0-0-0")?,
            Phase::Detach => {
                self.world.allow_plain()?;
                self.world.prepare_detach()?;
                return attempt(&mut self.world, fault, Duration::ZERO, World::open_gate, |_| false);
            }
            _ => {}
        }
        let mesh = self.world.mesh;
        self.world.begin(fault, Mesh { second: !mesh.second, ..mesh })
    }
}

fn of_a_daemon(world: &mut World, phase: Phase, size: u16, fault: Option<&Fault>) -> Result<Attempt> {
    let mesh = world.mesh;
    let in_step = |world: &World| world.differs().is_none();
    let nothing = |_: &mut World| Ok(());
    let none = Duration::ZERO;
    match phase {
        Phase::Weights => world.change(fault, none, Mesh { second: !mesh.second, ..mesh }),
        Phase::Endpoints => world.change(fault, none, Mesh { moved: !mesh.moved, ..mesh }),
        Phase::Reclaim => {
            world.change(fault, TICK, Mesh { second: !mesh.second, moved: !mesh.moved, ..mesh })
        }
        Phase::Attach => attempt(world, fault, none, World::add_pod, |world| {
            in_step(world) && world.has_links_of_its_own()
        }),
        Phase::Gone => {
            if world.pods.is_empty() {
                world.add_pod()?;
                world.wait("a pod comes", PATIENCE)?;
                world.settle()?;
            }
            let take_away = |world: &mut World| {
                world.pods.pop();
                Ok(())
            };
            attempt(world, fault, none, take_away, World::has_links_of_its_own)
        }
        Phase::Pins => {
            let pins = names_below(&world.pins());
            let remove = |world: &mut World| {
                // Unless the daemon is faster.
                let _ = fs::remove_dir_all(world.pins());
                Ok(())
            };
            attempt(world, fault, none, remove, |world| names_below(&world.pins()) == pins)
        }
        Phase::Asked => {
            let ask = |world: &mut World| {
                world.ask_all();
                Ok(())
            };
            attempt(world, fault, none, ask, in_step)
        }
        Phase::Growth => grow(world, fault, Mesh { more: size, ..mesh }),
        Phase::Shutdown => {
            let end = |world: &mut World| world.process()?.terminate();
            attempt(world, fault, none, end, |_| false)
        }
        _ => attempt(world, fault, TICK, nothing, in_step),
    }
}

/// More outbounds. All is seen when the last of them is routed and nothing is left of the smaller maps.
fn grow(world: &mut World, fault: Option<&Fault>, mesh: Mesh) -> Result<Attempt> {
    let last = world.dial_last(mesh)?;
    let has_grown = |world: &World| {
        let is_clean = || !names_below(&world.pins()).iter().any(|pin| is_passing(pin));
        match last.last().as_deref() == Some(mesh.answers()) {
            false => Seen::Nothing,
            true if is_clean() => Seen::All,
            true => Seen::InStep,
        }
    };
    let attempt = attempt(world, fault, Duration::ZERO, |world| world.write(mesh), has_grown)?;
    let wrong = last.wrong();
    ensure!(wrong.is_empty(), "connections went wrong: {}", wrong.join("; "));
    Ok(attempt)
}

/// Whether it is there only while maps grow.
fn is_passing(pin: &Path) -> bool {
    let name = pin.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.starts_with("before-") || name.starts_with("next-")
}
