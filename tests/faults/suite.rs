//! The suite of one thread: a node, and phases in it one after the other.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use fastrand::Rng;
use tcproute_tests::interrupt;

use crate::{
    attempt::Attempt,
    fault::{Calls, Fault},
    mesh::Mesh,
    node::{Node, PATIENCE},
    phase::Phase,
    process::shown,
    tally::{Became, Tally},
};

/// See the module.
pub(crate) struct Suite<'t> {
    pub(crate) node: Node,
    rng: Rng,
    tally: &'t Tally,
    /// The calls of each phase, when nothing fails.
    calls: BTreeMap<(Phase, u16), Calls>,
}

/// Outbounds that have the maps grow, each time.
const SIZES: [u16; 3] = [1500, 3000, 6000];

impl<'t> Suite<'t> {
    pub(crate) fn new(rng: Rng, tally: &'t Tally) -> Result<Self> {
        Ok(Self { node: Node::new()?, rng, tally, calls: BTreeMap::new() })
    }

    /// Goes through phases again and again. After a failure it begins in a new node.
    pub(crate) fn run(&mut self, phases: &[Phase]) -> Result<()> {
        while !self.tally.is_enough() && !interrupt::is_interrupted() {
            if let Err(error) = self.round(phases) {
                self.tally.failed(format!("{error:#}"));
                self.tally.connections(self.node.connections());
                self.node = Node::new()?;
            }
        }
        self.tally.connections(self.node.connections());
        Ok(())
    }

    fn round(&mut self, phases: &[Phase]) -> Result<()> {
        for &phase in phases {
            if self.tally.is_enough() || interrupt::is_interrupted() {
                return Ok(());
            }
            let size = if phase == Phase::Growth { self.next_size()? } else { 0 };
            let (fault, attempt) = match self.calls.get(&(phase, size)) {
                None => (None, self.take(phase, size, None)?),
                Some(calls) => {
                    let fault =
                        calls.choose(&mut self.rng).with_context(|| format!("{phase:?} makes no calls"))?;
                    let attempt = self.take(phase, size, Some(&fault));
                    let attempt = attempt.with_context(|| format!("{phase:?}, {fault}"))?;
                    (Some(fault), attempt)
                }
            };
            let log = self.node.process()?.log_since(attempt.said);
            let became = self.judge(phase, fault.as_ref(), &attempt).with_context(|| {
                let hits: Vec<&str> = attempt.hits.iter().map(|hit| hit.line.as_str()).collect();
                format!("{phase:?}, {fault:?}, {hits:?}, log:\n{}", shown(&log))
            })?;
            match fault {
                Some(fault) => self.tally.took(phase, &fault, attempt.hits.len(), became),
                None => {
                    self.tally.lists(phase, attempt.calls.faults());
                    self.calls.insert((phase, size), attempt.calls);
                }
            }
        }
        Ok(())
    }

    /// How many outbounds the maps have no room for.
    fn next_size(&mut self) -> Result<u16> {
        let now = self.node.mesh.more;
        if let Some(&larger) = SIZES.iter().find(|&&size| size > now)
            && self.node.daemon.is_some()
        {
            return Ok(larger);
        }
        self.begin_anew()?;
        Ok(SIZES[0])
    }

    /// With maps of the smallest size.
    fn begin_anew(&mut self) -> Result<()> {
        self.node.daemon = None;
        self.node.allow_plain()?;
        self.detach()?;
        self.node.write(Mesh::FIRST)?;
        self.node.start()
    }

    /// `tcproute detach` that nothing fails, which leaves nothing.
    pub(crate) fn detach(&mut self) -> Result<()> {
        self.node.prepare_detach()?.begin();
        let status = self.node.wait_for_end(PATIENCE)?;
        let log = self.node.process()?.log_since(0);
        ensure!(status.success(), "detach: {status}: {}", shown(&log));
        self.node.daemon = None;
        ensure!(!self.node.pins().exists(), "pins are left");
        self.node.wait_plain()
    }

    /// Sees to it that there is a daemon in step, for a phase that needs one.
    pub(crate) fn ensure_daemon(&mut self) -> Result<()> {
        if self.node.daemon.is_none() {
            let mesh = self.node.mesh;
            self.node.write(mesh)?;
            self.node.start()?;
        }
        Ok(())
    }

    /// Sees to it that there is none: it was killed.
    pub(crate) fn ensure_none(&mut self) -> Result<()> {
        self.ensure_daemon()?;
        self.node.daemon = None;
        Ok(())
    }

    /// Checks what is in force after an attempt, and brings the node in order for the next one.
    fn judge(&mut self, phase: Phase, fault: Option<&Fault>, attempt: &Attempt) -> Result<Became> {
        let log = self.node.process()?.log_since(attempt.said);
        if attempt.is_impossible(&log) {
            self.node.check()?;
            // What is not pinned again yet ends with it.
            self.node.allow_plain()?;
            self.node.daemon = None;
            return Ok(Became::Impossible);
        }
        let mut ended = attempt.ended;
        if ended.is_none()
            && let Some(line) = log.iter().find(|line| line.contains("has come where it cannot go on"))
        {
            // It says so, and ends then.
            match self.node.wait_for_end(PATIENCE) {
                Ok(status) => ended = Some(status),
                Err(_) => bail!("{line}"),
            }
        }
        if ended.is_none()
            && let Err(error) = self.node.wait("after a fault", PATIENCE)
        {
            // Where its routes were in force already it may still end.
            ended = self.node.process()?.ended()?;
            if ended.is_none() {
                return Err(error);
            }
        }
        let log = self.node.process()?.log_since(attempt.said);
        let became = match ended {
            None => {
                self.node.settle()?;
                Became::InStep
            }
            Some(status) if status.success() && phase.ends() => {
                if phase == Phase::Detach {
                    self.node.wait_plain().context("detach says that it is done")?;
                }
                Became::Done
            }
            Some(status) => {
                let fault = fault.with_context(|| format!("it has ended, though nothing fails: {status}"))?;
                Became::Ended(attempt.reason(status, &log, fault)?)
            }
        };
        // Routes are in force after its end as well.
        self.node.check()?;
        if ended.is_some() {
            self.node.daemon = None;
            match phase {
                Phase::Detach => {
                    self.detach()?;
                }
                // What has not come about leaves nothing.
                Phase::Start => self.node.wait_plain()?,
                _ => {}
            }
        }
        Ok(became)
    }
}
