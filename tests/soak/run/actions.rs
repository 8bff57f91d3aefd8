//! What happens to the resources and the daemon.

use std::time::{Duration, Instant};

use anyhow::Result;
use tcproute_tests::clock;

use super::Soak;
use crate::{
    change,
    extent::WORKLOADS,
    files::{BROKEN, Style},
    history::State,
    mesh::Mesh,
};

impl Soak<'_> {
    /// Does one thing of all that there are.
    pub(super) fn step(&mut self) -> Result<()> {
        // The second half belongs to one daemon.
        if !self.grows_old && self.begun.elapsed() >= self.options.duration() / 2 {
            self.grows_old = true;
            return self.begin_last_daemon();
        }
        if !self.mesh.bulk.is_empty() && self.rng.u32(0..4) == 0 {
            return self.shrink();
        }
        match self.rng.u32(0..100) {
            0..36 => self.change(),
            36..44 => self.burst(),
            44..50 => self.spoil(),
            50..60 => self.reject(),
            60..69 => self.grow(),
            69..74 => self.add_workload(),
            74..79 => self.remove_workload(),
            79..84 => self.replace_workload(),
            _ if self.grows_old => self.change(),
            84..89 => self.restart(true),
            89..92 => self.restart(false),
            92..95 => self.begin_anew(),
            _ => self.kill_within_a_change(),
        }
    }

    pub(super) fn style(&mut self) -> Style {
        if self.rng.bool() { Style::Rename } else { Style::InPlace }
    }

    /// Writes the next state. It may be in force from now on.
    pub(super) fn write_next(&mut self, style: Style) -> Result<&'static str> {
        let next = change::next(&self.mesh, &mut self.rng);
        self.write_changed(next, style)
    }

    pub(super) fn write_changed(
        &mut self,
        (mesh, what): (Mesh, &'static str),
        style: Style,
    ) -> Result<&'static str> {
        self.count(what);
        self.write(mesh, style)?;
        Ok(what)
    }

    fn write(&mut self, mesh: Mesh, style: Style) -> Result<()> {
        self.mesh = mesh;
        self.allow()?;
        self.node.files.write(self.mesh.files(&self.addresses), style)?;
        self.changes += 1;
        Ok(())
    }

    /// What follows from the resources and the cgroups may be in force from now on.
    pub(super) fn allow(&mut self) -> Result<()> {
        let state = State::new(&self.mesh, &self.addresses, self.node.present());
        self.history.write(clock::now()?, state);
        Ok(())
    }

    /// Waits until the last state is in force. From then on no other is allowed.
    pub(super) fn settle(&mut self) -> Result<()> {
        let begun = Instant::now();
        self.node.wait_in_force(&self.mesh, &self.addresses)?;
        self.history.report(clock::now()?);
        self.slowest = self.slowest.max(begun.elapsed());
        self.watch.look(&self.node)
    }

    pub(super) fn change(&mut self) -> Result<()> {
        let style = self.style();
        let what = self.write_next(style)?;
        self.doing = format!("{what}, {style:?}");
        self.settle()
    }

    /// Changes without a pause, also of several files.
    fn burst(&mut self) -> Result<()> {
        "a burst of changes".clone_into(&mut self.doing);
        self.count("burst");
        for _ in 0..self.rng.usize(2..=6) {
            let style = self.style();
            self.write_next(style)?;
        }
        self.mark()
    }

    /// Waits until all that was written is read: what is shown cannot be one of the states before.
    fn mark(&mut self) -> Result<()> {
        let mut marked = self.mesh.clone();
        marked.mark();
        self.write(marked, Style::Rename)?;
        self.settle()
    }

    /// A policy gets a form that cannot be used. Its last good one stays in force, if it had one.
    fn reject(&mut self) -> Result<()> {
        // Else it could not be told which was the last: not every change of a policy is one of the routes.
        self.mark()?;
        let style = self.style();
        let rejected = change::reject(&self.mesh, &mut self.rng);
        let what = self.write_changed(rejected, style)?;
        self.doing = format!("{what}, {style:?}");
        self.settle()
    }

    /// What cannot be used changes nothing until it is mended, and no daemon that is strict starts with it.
    fn spoil(&mut self) -> Result<()> {
        let style = self.style();
        let text = BROKEN[self.rng.usize(0..BROKEN.len())];
        // Of files that are well: so what is said of others stays.
        let names = self.node.files.names().filter(|name| !self.mesh.is_spoilt(name));
        let names: Vec<String> = names.cloned().collect();
        let name = if self.rng.bool() {
            "broken.yaml".to_owned()
        } else {
            names[self.rng.usize(0..names.len())].clone()
        };
        self.count("file spoilt");
        self.doing = format!("{name} made unusable by {text:?}, {style:?}");
        self.node.files.spoil(&name, text, style)?;
        self.node.wait_more_rejected(&self.mesh)?;
        let restart = self.rng.u32(0..3) == 0 && !self.grows_old;
        if restart {
            self.doing += ", daemon killed";
            self.end_daemon(true)?;
            self.launch(&["--strict"])?;
            self.node.wait_for_refusal()?;
        }
        let pause = Duration::from_millis(self.rng.u64(0..500));
        self.listen(pause)?;
        self.doing += ", mended";
        self.node.files.mend(&name, style)?;
        if restart {
            return self.start_daemon();
        }
        self.settle()
    }

    /// By SIGKILL or SIGTERM.
    pub(super) fn end_daemon(&mut self, kill: bool) -> Result<()> {
        let daemon = self.node.take_daemon()?;
        self.growths += daemon.growths();
        self.count(if kill { "daemon killed" } else { "daemon stopped" });
        if kill { daemon.kill() } else { daemon.stop() }
    }

    /// Starts a daemon that chooses in this way or that, and waits for workloads that are not there yet or does not
    /// know of them. The last one waits for all.
    fn launch(&mut self, more: &[&str]) -> Result<()> {
        let present = self.node.present();
        let absent = (0..WORKLOADS).filter(|&workload| !present[workload] && self.node.may_come(workload));
        let awaited: Vec<usize> = absent.filter(|_| self.grows_old || self.rng.bool()).collect();
        let selection = if self.rng.bool() { "random" } else { "even" };
        self.node.start(&awaited, &[more, &["--selection", selection]].concat())
    }

    /// For the workloads that have a cgroup, with what is in the files. Waits for nothing.
    fn begin_daemon(&mut self) -> Result<()> {
        self.mesh.forget_last_good_forms();
        self.allow()?;
        self.launch(&[])
    }

    pub(super) fn start_daemon(&mut self) -> Result<()> {
        self.begin_daemon()?;
        self.settle()?;
        self.restarts += 1;
        self.watch.started(&self.node, self.mesh.bulk.is_empty())
    }

    /// Ends the daemon, and starts the next one at once.
    pub(super) fn replace_daemon(&mut self, kill: bool) -> Result<()> {
        self.end_daemon(kill)?;
        self.start_daemon()
    }

    fn restart(&mut self, kill: bool) -> Result<()> {
        self.doing = format!("daemon {}", if kill { "killed" } else { "stopped" });
        self.end_daemon(kill)?;
        let pause = Duration::from_millis(self.rng.u64(0..1000));
        self.listen(pause)?;
        if self.rng.bool() {
            self.doing += ", changed meanwhile";
            self.write_next(Style::Rename)?;
        }
        if self.rng.u32(0..3) == 0 {
            self.doing += ", killed while it starts";
            self.begin_daemon()?;
            std::thread::sleep(Duration::from_millis(self.rng.u64(0..150)));
            self.end_daemon(true)?;
        }
        self.start_daemon()
    }

    fn kill_within_a_change(&mut self) -> Result<()> {
        let style = self.style();
        let what = if self.rng.bool() { self.write_many(style)? } else { self.write_next(style)? };
        let wait = self.rng.u64(0..30);
        self.doing = format!("{what}, {style:?}, daemon killed {wait} ms later");
        std::thread::sleep(Duration::from_millis(wait));
        self.replace_daemon(true)
    }
}
