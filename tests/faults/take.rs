//! What is done in each phase, and how it is seen from outside that it has come about.

use std::{ffi::OsStr, fs, path::Path, time::Duration};

use anyhow::{Result, ensure};

use crate::{
    attempt::{Attempt, Seen, attempt},
    fault::Fault,
    mesh::Mesh,
    node::{Node, PATIENCE, names_below},
    phase::Phase,
    suite::Suite,
};

/// Timers of the daemon tick each second.
const TICK: Duration = Duration::from_millis(1200);

impl Suite<'_> {
    /// Goes through a phase. Where maps grow, `size` is how many outbounds there are then.
    pub(crate) fn take(&mut self, phase: Phase, size: u16, fault: Option<&Fault>) -> Result<Attempt> {
        if phase.is_of_a_daemon() {
            self.ensure_daemon()?;
            return of_a_daemon(&mut self.node, phase, size, fault);
        }
        self.ensure_none()?;
        match phase {
            Phase::Start => {
                self.node.allow_plain()?;
                self.detach()?;
            }
            Phase::OtherTables => self.node.age(true)?,
            Phase::OtherStates => self.node.age(false)?,
            Phase::Detach => {
                self.node.allow_plain()?;
                self.node.prepare_detach()?;
                return attempt(&mut self.node, fault, Duration::ZERO, Node::open_gate, |_| false);
            }
            _ => {}
        }
        let mesh = self.node.mesh;
        begin(&mut self.node, fault, Mesh { second: !mesh.second, ..mesh })
    }
}

fn of_a_daemon(node: &mut Node, phase: Phase, size: u16, fault: Option<&Fault>) -> Result<Attempt> {
    let mesh = node.mesh;
    let in_step = |node: &Node| node.differs().is_none();
    let nothing = |_: &mut Node| Ok(());
    let none = Duration::ZERO;
    match phase {
        Phase::Weights => change(node, fault, none, Mesh { second: !mesh.second, ..mesh }),
        Phase::Endpoints => change(node, fault, none, Mesh { moved: !mesh.moved, ..mesh }),
        Phase::Reclaim => {
            change(node, fault, TICK, Mesh { second: !mesh.second, moved: !mesh.moved, ..mesh })
        }
        Phase::Attach => {
            attempt(node, fault, none, Node::add_pod, |node| in_step(node) && node.has_links_of_its_own())
        }
        Phase::Gone => {
            if node.pods.is_empty() {
                node.add_pod()?;
                node.wait("a pod comes", PATIENCE)?;
                node.settle()?;
            }
            let take_away = |node: &mut Node| {
                node.pods.pop();
                Ok(())
            };
            attempt(node, fault, none, take_away, Node::has_links_of_its_own)
        }
        Phase::Pins => {
            let pins = names_below(&node.pins());
            let remove = |node: &mut Node| {
                // Unless the daemon is faster.
                let _ = fs::remove_dir_all(node.pins());
                Ok(())
            };
            attempt(node, fault, none, remove, |node| names_below(&node.pins()) == pins)
        }
        Phase::Asked => {
            let ask = |node: &mut Node| {
                node.ask_all();
                Ok(())
            };
            attempt(node, fault, none, ask, in_step)
        }
        Phase::Growth => grow(node, fault, Mesh { more: size, ..mesh }),
        Phase::Shutdown => {
            let end = |node: &mut Node| node.process()?.terminate();
            attempt(node, fault, none, end, |_| false)
        }
        _ => attempt(node, fault, TICK, nothing, in_step),
    }
}

/// Other resources for a daemon that runs.
fn change(node: &mut Node, fault: Option<&Fault>, least: Duration, mesh: Mesh) -> Result<Attempt> {
    node.allow_in(mesh)?;
    attempt(node, fault, least, |node| node.write(mesh), |node| node.differs().is_none())
}

/// A daemon begins, with other resources than the one before. Where it cannot read these at first, it goes on with what
/// was kept of those.
fn begin(node: &mut Node, fault: Option<&Fault>, mesh: Mesh) -> Result<Attempt> {
    node.allow_in(node.mesh)?;
    node.allow_in(mesh)?;
    node.write(mesh)?;
    node.prepare()?;
    attempt(node, fault, Duration::ZERO, Node::open_gate, |node| node.differs().is_none())
}

/// More outbounds. All is seen when the last of them is routed and nothing is left of the smaller maps.
fn grow(node: &mut Node, fault: Option<&Fault>, mesh: Mesh) -> Result<Attempt> {
    let last = node.dial_last(mesh)?;
    let has_grown = |node: &Node| {
        let is_clean = || !names_below(&node.pins()).iter().any(|pin| is_passing(pin));
        match last.last().as_deref() == Some(mesh.answers()) {
            false => Seen::Nothing,
            true if is_clean() => Seen::All,
            true => Seen::InStep,
        }
    };
    let attempt = attempt(node, fault, Duration::ZERO, |node| node.write(mesh), has_grown)?;
    let wrong = last.wrong();
    ensure!(wrong.is_empty(), "connections went wrong: {}", wrong.join("; "));
    Ok(attempt)
}

/// Whether it is there only while maps grow.
fn is_passing(pin: &Path) -> bool {
    let name = pin.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.starts_with("before-") || name.starts_with("next-")
}
