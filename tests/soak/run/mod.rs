//! The run: changes at random, one after the other, and the checks between them.

mod actions;
mod bulk;
mod workloads;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use tcproute_tests::{clock, interrupt, maps::Places, server::Server, wait_for};

use crate::{
    Options, change,
    clients::Clients,
    extent::WORKLOADS,
    files::Style,
    history::History,
    mesh::{Addresses, Mesh},
    node::Node,
    servers,
    tally::Tally,
    watch::Watch,
};

/// Between two looks at what must not grow.
const SAMPLE: Duration = Duration::from_secs(5);
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);
/// No connection takes so long.
const MEMORY: Duration = Duration::from_mins(5);
/// With more that is wrong there is no point in going on.
const ENOUGH: u64 = 100;

pub(crate) struct Soak<'o> {
    options: &'o Options,
    rng: Rng,
    clients: Clients,
    node: Node,
    addresses: Addresses,
    mesh: Mesh,
    history: History,
    tally: Tally,
    watch: Watch,
    begun: Instant,
    sampled: Instant,
    shown: Instant,
    /// The daemon that runs is the last one.
    grows_old: bool,
    changes: u64,
    restarts: u64,
    /// How often daemons have made the maps larger.
    growths: u64,
    /// How often each thing was done.
    done: BTreeMap<&'static str, u64>,
    slowest: Duration,
    /// What was done last, for when something is wrong.
    doing: String,
    _servers: Vec<Server>,
}

impl<'o> Soak<'o> {
    pub(crate) fn new(options: &'o Options, seed: u64) -> Result<Self> {
        let mut rng = Rng::with_seed(seed);
        let (addresses, servers) = servers::listen();
        let mesh = change::first(&mut rng);
        let now = Instant::now();
        Ok(Self {
            options,
            clients: Clients::new(),
            node: Node::new()?,
            mesh,
            history: History::new(&addresses, refusal()?),
            tally: Tally::new(rng.fork()),
            watch: Watch::new(),
            rng,
            addresses,
            begun: now,
            sampled: now,
            shown: now,
            grows_old: false,
            changes: 0,
            restarts: 0,
            growths: 0,
            done: BTreeMap::new(),
            slowest: Duration::ZERO,
            doing: "starting".to_owned(),
            _servers: servers,
        })
    }

    /// Everything, from the first daemon to what is left after the last.
    pub(crate) fn run(&mut self) -> Result<()> {
        self.start_clients(None)?;
        self.node.files.write(self.mesh.files(&self.addresses), Style::Rename)?;
        for workload in 0..WORKLOADS - 1 {
            self.node.create(workload);
            self.start_clients(Some(workload))?;
        }
        self.start_daemon()?;
        let end = self.begun + self.options.duration();
        while Instant::now() < end && !interrupt::is_interrupted() && self.tally.wrong < ENOUGH {
            self.step().with_context(|| format!("while doing this: {}", self.doing))?;
            let pause = Duration::from_millis(self.rng.u64(0..=self.options.pause));
            self.pause(pause).with_context(|| format!("after doing this: {}", self.doing))?;
        }
        self.finish()
    }

    fn start_clients(&mut self, workload: Option<usize>) -> Result<()> {
        let cgroup = match workload {
            Some(workload) => self.node.workloads[workload].as_ref().context("there is no cgroup")?,
            None => &self.node.elsewhere,
        };
        for _ in 0..self.options.clients {
            let destinations = self.addresses.destinations.iter().map(|d| d.dialled);
            let seed = self.rng.u64(..);
            self.clients.start(cgroup, workload, destinations, self.options.rate, seed)?;
        }
        Ok(())
    }

    /// Judges what clients say, for so long. All that was done before must have been told to the history.
    fn listen(&mut self, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.clients.said(left) {
                Some(said) => self.tally.take(said, &self.history, &self.addresses, &self.doing)?,
                None => break,
            }
            if left.is_zero() {
                // What was said before, and not what is being said.
                break;
            }
        }
        self.clients.check()
    }

    /// While nothing is under way.
    fn pause(&mut self, duration: Duration) -> Result<()> {
        self.listen(duration)?;
        // Where there are few of everything as much is taken each time.
        if self.sampled.elapsed() >= SAMPLE && self.mesh.bulk.is_empty() {
            let entries = self.mesh.entries(&self.addresses, self.node.existing());
            self.watch.sample(&self.node, entries, self.mesh.rejected().len())?;
            self.sampled = Instant::now();
        }
        if self.shown.elapsed() >= PROGRESS {
            self.shown = Instant::now();
            println!("soak: {}", self.progress());
            let memory = u64::try_from(MEMORY.as_nanos())?;
            self.history.forget_before(clock::now()?.saturating_sub(memory));
        }
        Ok(())
    }

    fn progress(&self) -> String {
        let Tally { connections, refused, wrong, .. } = &self.tally;
        format!(
            "{:.0} s, {connections} connections ({refused} refused), {} changes, {} daemons, {wrong} wrong, {}",
            self.begun.elapsed().as_secs_f64(),
            self.changes,
            self.restarts,
            self.watch.shown()
        )
    }

    fn count(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    /// Ends everything, and sees what is left.
    fn finish(&mut self) -> Result<()> {
        "the end".clone_into(&mut self.doing);
        for workload in self.node.existing().map(Some).chain([None]) {
            self.clients.stop(workload)?;
        }
        while let Some(said) = self.clients.said(Duration::ZERO) {
            self.tally.take(said, &self.history, &self.addresses, &self.doing)?;
        }
        println!("soak: {}", self.progress());
        let done = self.done.iter().map(|(what, count)| format!("{what} {count}"));
        println!("soak: done: {}", done.collect::<Vec<_>>().join(", "));
        let places = Places::open(&self.node.pins())?.in_use()?.len();
        let overflowed = self.watch.overflowed;
        self.end_daemon(false)?;
        println!("soak: maps made larger {} times", self.growths);
        println!("soak: {places} places in use without a socket, {overflowed} states beside their places");
        self.node.detach()?;
        wait_for("the kernel has freed everything", || self.watch.left() == 0);

        let mut good = places == 0 && self.tally.wrong == 0;
        for (text, within) in self.watch.judge() {
            println!("soak: {text}{}", if within { "" } else { ": GROWS" });
            good &= within;
        }
        let fit = self.tally.shares.fit();
        println!(
            "soak: {} choices of {} routes: chi-square {:.1}, at most {:.1}",
            fit.choices, fit.routes, fit.statistic, fit.critical
        );
        println!("soak: the slowest change or start took {:.1} ms", self.slowest.as_secs_f64() * 1000.0);
        good &= fit.is_good();
        ensure!(good, "the soak failed");
        Ok(())
    }
}

/// What a backend without endpoint makes connect() fail with, by the kernel's version.
fn refusal() -> Result<i32> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let major: u32 = release.split('.').next().unwrap_or_default().parse().context(release.clone())?;
    Ok(if major >= 6 { nix::libc::ECONNREFUSED } else { nix::libc::EPERM })
}
