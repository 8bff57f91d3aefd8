//! Endpoints, services and outbounds by hundreds and thousands, and back: so the maps grow while clients connect.

use anyhow::Result;
use tcproute_tests::{clock, wait_for};

use super::Soak;
use crate::{bulk::Bulk, change, extent::WORKLOADS, files::Style, history::State};

impl Soak<'_> {
    /// Writes a state with other numbers of something.
    pub(super) fn write_many(&mut self, style: Style) -> Result<&'static str> {
        if self.options.many == 0 {
            return self.write_next(style);
        }
        let grown = change::grow(&self.mesh, self.options.many, &mut self.rng);
        self.write_changed(grown, style)
    }

    pub(super) fn grow(&mut self) -> Result<()> {
        for _ in 0..self.rng.usize(1..=3) {
            let style = self.style();
            let what = self.write_many(style)?;
            self.doing = format!("{what}, {style:?}");
            self.settle()?;
        }
        Ok(())
    }

    /// Of everything there are few again.
    pub(super) fn shrink(&mut self) -> Result<()> {
        while !self.mesh.bulk.is_empty() {
            let style = self.style();
            let shrunk = change::shrink(&self.mesh, &mut self.rng);
            let what = self.write_changed(shrunk, style)?;
            self.doing = format!("{what}, {style:?}");
            self.settle()?;
        }
        Ok(())
    }

    /// Ends the daemon, takes all that is left of it from the kernel, and starts the next one. Until then connections
    /// go as they are dialled. Only so do maps become small again.
    pub(super) fn begin_anew(&mut self) -> Result<()> {
        self.count("everything detached");
        "everything detached".clone_into(&mut self.doing);
        let kill = self.rng.bool();
        self.end_daemon(kill)?;
        self.history.write(clock::now()?, State::new(&self.mesh, &self.addresses, [false; WORKLOADS]));
        self.node.detach()?;
        self.history.report(clock::now()?);
        wait_for("the kernel has freed everything", || self.watch.left() == 0);
        self.start_daemon()
    }

    /// The last daemon begins with small maps, and has everything at its largest soon: what it needs later is not more.
    pub(super) fn begin_last_daemon(&mut self) -> Result<()> {
        self.shrink()?;
        self.begin_anew()?;
        for part in [16, 4, 1] {
            let most = Bulk::full(self.options.many / part);
            let mut next = self.mesh.clone();
            while next.bulk.step_to(&most) {
                let what = self.write_changed((next.clone(), "as many as there may be"), Style::Rename)?;
                what.clone_into(&mut self.doing);
                self.settle()?;
            }
        }
        self.shrink()
    }
}
