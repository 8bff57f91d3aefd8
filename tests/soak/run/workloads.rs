//! Workloads come and go: the daemon follows those that it was told of, and another daemon is told of others.

use std::time::Duration;

use anyhow::Result;
use tcproute_tests::clock;

use super::Soak;

impl Soak<'_> {
    pub(super) fn add_workload(&mut self) -> Result<()> {
        let Some(workload) = self.node.present().iter().position(|there| !there) else {
            return self.change();
        };
        let awaited = self.node.is_named(workload);
        if !awaited && self.grows_old {
            return self.change();
        }
        self.count("workload added");
        self.doing = format!("workload {workload} added{}", if awaited { ", as awaited" } else { "" });
        self.node.create(workload);
        if awaited {
            return self.follow(workload);
        }
        self.start_clients(Some(workload))?;
        self.listen(Duration::from_millis(200))?;
        let kill = self.rng.bool();
        self.replace_daemon(kill)
    }

    /// One of several, to be taken away.
    fn workload(&mut self) -> Option<usize> {
        let workloads: Vec<usize> = self.node.existing().collect();
        (workloads.len() > 1).then(|| workloads[self.rng.usize(0..workloads.len())])
    }

    /// Its cgroup goes, and the daemon follows or ends; or its cgroup stays, and the next daemon is not told of it.
    pub(super) fn remove_workload(&mut self) -> Result<()> {
        let Some(workload) = self.workload() else { return self.change() };
        self.count("workload removed");
        if self.grows_old || self.rng.bool() {
            self.doing = format!("workload {workload} removed");
            self.remove_cgroup(workload)?;
            return self.node.wait_attached();
        }
        let kill = self.rng.bool();
        if self.rng.bool() {
            self.doing = format!("workload {workload} removed, daemon ended");
            self.remove_cgroup(workload)?;
            return self.replace_daemon(kill);
        }
        self.doing = format!("workload {workload} not named any more");
        let cgroup = self.node.workloads[workload].take();
        self.replace_daemon(kill)?;
        // Its clients go on as they dial.
        self.listen(Duration::from_millis(500))?;
        self.clients.stop(Some(workload))?;
        drop(cgroup);
        Ok(())
    }

    /// Another cgroup takes the place of one that a daemon was told of.
    pub(super) fn replace_workload(&mut self) -> Result<()> {
        let Some(workload) = self.workload() else { return self.change() };
        self.count("workload replaced");
        self.doing = format!("workload {workload} replaced");
        self.remove_cgroup(workload)?;
        self.node.create(workload);
        self.follow(workload)?;
        if self.grows_old || self.rng.bool() {
            return Ok(());
        }
        let kill = self.rng.bool();
        self.replace_daemon(kill)
    }

    /// Waits until the daemon has attached to a new cgroup, in which clients connect meanwhile.
    fn follow(&mut self, workload: usize) -> Result<()> {
        self.allow()?;
        self.start_clients(Some(workload))?;
        self.node.wait_attached()?;
        self.history.report(clock::now()?);
        self.listen(Duration::from_millis(200))
    }

    /// Ends all that is in a workload's cgroup, and removes it.
    fn remove_cgroup(&mut self, workload: usize) -> Result<()> {
        self.clients.stop(Some(workload))?;
        self.listen(Duration::ZERO)?;
        drop(self.node.workloads[workload].take());
        // Whoever takes the place has no programs until a daemon attaches them.
        self.allow()?;
        self.history.report(clock::now()?);
        Ok(())
    }
}
