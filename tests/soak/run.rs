//! The run: changes at random, one after the other, and the checks between them.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use tcproute_tests::{maps::Slots, server::Server, wait_for};

use crate::{
    Options, change,
    clients::Clients,
    clock,
    files::{BROKEN, Style},
    history::{History, State},
    interrupt,
    mesh::{Addresses, Destination, Mesh, SERVICES, SLOTS, WORKLOADS},
    node::Node,
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
    changes: u64,
    restarts: u64,
    slowest: Duration,
    /// What was done last, for when something is wrong.
    doing: String,
    _servers: Vec<Server>,
}

impl<'o> Soak<'o> {
    pub(crate) fn new(options: &'o Options, seed: u64) -> Result<Self> {
        let mut rng = Rng::with_seed(seed);
        let (addresses, servers) = listen();
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
            changes: 0,
            restarts: 0,
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

    /// The second half belongs to one daemon, so that it grows old.
    fn may_restart(&self) -> bool {
        self.begun.elapsed() < self.options.duration() / 2
    }

    fn step(&mut self) -> Result<()> {
        match self.rng.u32(0..100) {
            0..60 => self.change(),
            60..68 => self.burst(),
            68..76 => self.spoil(),
            _ if !self.may_restart() => self.change(),
            76..82 => self.restart(true),
            82..86 => self.restart(false),
            86..91 => self.kill_within_a_change(),
            // Workloads that come and go need a daemon that is told so. One that follows cgroups by itself would have
            // actions of its own here, in both halves.
            91..94 => self.add_workload(),
            94..97 => self.remove_workload(),
            _ => self.replace_workload(),
        }
    }

    fn style(&mut self) -> Style {
        if self.rng.bool() { Style::Rename } else { Style::InPlace }
    }

    /// Writes the next state. It may be in force from now on.
    fn write_next(&mut self, style: Style) -> Result<&'static str> {
        let (mesh, what) = change::next(&self.mesh, &mut self.rng);
        self.write(mesh, style)?;
        Ok(what)
    }

    fn write(&mut self, mesh: Mesh, style: Style) -> Result<()> {
        self.history.write(clock::now()?, State::new(&mesh, &self.addresses, self.node.present()));
        self.node.files.write(mesh.files(&self.addresses), style)?;
        self.mesh = mesh;
        self.changes += 1;
        Ok(())
    }

    /// Waits until the last state is in force. From then on no other is allowed.
    fn settle(&mut self) -> Result<()> {
        let begun = Instant::now();
        self.node.wait_in_force(&self.mesh, &self.addresses, self.node.present())?;
        self.history.report(clock::now()?);
        self.slowest = self.slowest.max(begun.elapsed());
        Ok(())
    }

    fn change(&mut self) -> Result<()> {
        let style = self.style();
        let what = self.write_next(style)?;
        self.doing = format!("{what}, {style:?}");
        self.settle()
    }

    /// Changes without a pause, also of several files.
    fn burst(&mut self) -> Result<()> {
        "a burst of changes".clone_into(&mut self.doing);
        for _ in 0..self.rng.usize(2..=6) {
            let style = self.style();
            self.write_next(style)?;
        }
        // So that what is shown cannot be one of the states before.
        let mut last = self.mesh.clone();
        last.mark();
        self.write(last, Style::Rename)?;
        self.settle()
    }

    /// What cannot be used changes nothing until it is mended, and no daemon starts with it.
    fn spoil(&mut self) -> Result<()> {
        let style = self.style();
        let text = BROKEN[self.rng.usize(0..BROKEN.len())];
        let names: Vec<String> = self.node.files.names().cloned().collect();
        let name = if self.rng.bool() {
            "broken.yaml".to_owned()
        } else {
            names[self.rng.usize(0..names.len())].clone()
        };
        self.doing = format!("{name} made unusable by {text:?}, {style:?}");
        self.node.files.spoil(&name, text, style)?;
        self.node.wait_for_error(true)?;
        let restart = self.rng.u32(0..3) == 0 && self.may_restart();
        if restart {
            self.doing += ", daemon killed";
            self.node.take_daemon()?.kill()?;
            self.launch()?;
            self.node.wait_for_rejection()?;
        }
        let pause = Duration::from_millis(self.rng.u64(0..500));
        self.listen(pause)?;
        self.doing += ", mended";
        self.node.files.mend(&name, style)?;
        if restart {
            return self.start_daemon();
        }
        self.node.wait_for_error(false)?;
        self.settle()
    }

    /// By SIGKILL or SIGTERM.
    fn end_daemon(&mut self, kill: bool) -> Result<()> {
        let daemon = self.node.take_daemon()?;
        if kill { daemon.kill() } else { daemon.stop() }
    }

    /// Starts a daemon that chooses in this way or that.
    fn launch(&mut self) -> Result<()> {
        let selection = if self.rng.bool() { "random" } else { "even" };
        self.node.start(self.node.present(), selection)
    }

    /// For the workloads that have a cgroup, with what is in the files.
    fn start_daemon(&mut self) -> Result<()> {
        let state = State::new(&self.mesh, &self.addresses, self.node.present());
        self.history.write(clock::now()?, state);
        self.launch()?;
        self.settle()?;
        self.restarts += 1;
        self.watch.started(&self.node)
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
            let state = State::new(&self.mesh, &self.addresses, self.node.present());
            self.history.write(clock::now()?, state);
            self.launch()?;
            std::thread::sleep(Duration::from_millis(self.rng.u64(0..150)));
            self.end_daemon(true)?;
        }
        self.start_daemon()
    }

    fn kill_within_a_change(&mut self) -> Result<()> {
        let style = self.style();
        let what = self.write_next(style)?;
        let wait = self.rng.u64(0..30);
        self.doing = format!("{what}, {style:?}, daemon killed {wait} ms later");
        std::thread::sleep(Duration::from_millis(wait));
        self.end_daemon(true)?;
        self.start_daemon()
    }

    fn add_workload(&mut self) -> Result<()> {
        let Some(workload) = self.node.present().iter().position(|there| !there) else {
            return self.change();
        };
        self.doing = format!("workload {workload} added");
        self.node.create(workload);
        self.start_clients(Some(workload))?;
        self.listen(Duration::from_millis(200))?;
        let kill = self.rng.bool();
        self.end_daemon(kill)?;
        self.start_daemon()
    }

    /// One of several, to be taken away.
    fn workload(&mut self) -> Option<usize> {
        let present = self.node.present();
        let workloads: Vec<usize> = (0..WORKLOADS).filter(|&workload| present[workload]).collect();
        (workloads.len() > 1).then(|| workloads[self.rng.usize(0..workloads.len())])
    }

    /// Either its cgroup goes first, or it is not named any more.
    fn remove_workload(&mut self) -> Result<()> {
        let Some(workload) = self.workload() else { return self.change() };
        let kill = self.rng.bool();
        if self.rng.bool() {
            self.doing = format!("workload {workload} removed while the daemon runs");
            self.remove_cgroup(workload)?;
            self.end_daemon(kill)?;
            return self.start_daemon();
        }
        self.doing = format!("workload {workload} not named any more");
        self.end_daemon(kill)?;
        let cgroup = self.node.workloads[workload].take();
        self.start_daemon()?;
        // Its clients go on as they dial.
        self.listen(Duration::from_millis(500))?;
        self.clients.stop(Some(workload))?;
        drop(cgroup);
        Ok(())
    }

    /// Another cgroup takes the place of one that a daemon was told of.
    fn replace_workload(&mut self) -> Result<()> {
        let Some(workload) = self.workload() else { return self.change() };
        self.doing = format!("workload {workload} replaced");
        self.remove_cgroup(workload)?;
        self.node.create(workload);
        // The daemon follows.
        self.history.write(clock::now()?, State::new(&self.mesh, &self.addresses, self.node.present()));
        self.start_clients(Some(workload))?;
        self.node.wait_attached()?;
        self.history.report(clock::now()?);
        self.listen(Duration::from_millis(200))?;
        if self.rng.bool() {
            return Ok(());
        }
        let kill = self.rng.bool();
        self.end_daemon(kill)?;
        self.start_daemon()
    }

    /// Ends all that is in a workload's cgroup, and removes it.
    fn remove_cgroup(&mut self, workload: usize) -> Result<()> {
        self.clients.stop(Some(workload))?;
        self.listen(Duration::ZERO)?;
        drop(self.node.workloads[workload].take());
        // Whoever takes the place has no programs until a daemon attaches them.
        let now = clock::now()?;
        self.history.write(now, State::new(&self.mesh, &self.addresses, self.node.present()));
        self.history.report(now);
        Ok(())
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
        if self.sampled.elapsed() >= SAMPLE {
            let outbounds = |workload| self.mesh.routes(&self.addresses, workload).len();
            let present = self.node.present();
            let routes = (0..WORKLOADS).filter(|&workload| present[workload]).map(outbounds).sum();
            self.watch.sample(&self.node, routes)?;
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

    /// Ends everything, and sees what is left.
    fn finish(&mut self) -> Result<()> {
        "the end".clone_into(&mut self.doing);
        let present = self.node.present();
        let workloads = (0..WORKLOADS).filter(|&workload| present[workload]).map(Some);
        for workload in workloads.chain([None]) {
            self.clients.stop(workload)?;
        }
        while let Some(said) = self.clients.said(Duration::ZERO) {
            self.tally.take(said, &self.history, &self.addresses, &self.doing)?;
        }
        println!("soak: {}", self.progress());
        let slots = Slots::open(&self.node.pins())?.in_use()?.len();
        let overflowed = self.watch.overflowed;
        println!("soak: {slots} slots in use without a socket, {overflowed} states beside their slots");
        self.end_daemon(false)?;
        self.node.detach()?;
        wait_for("the kernel has freed everything", || self.watch.left() == 0);

        let mut good = slots == 0 && self.tally.wrong == 0;
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

/// A server at every address that there is: so the server tells where a connection went, wherever that is.
fn listen() -> (Addresses, Vec<Server>) {
    let mut servers = Vec::new();
    let mut listen = |address: SocketAddr| {
        let server = Server::start_named_by_its_address(address);
        let address = server.address();
        servers.push(server);
        address
    };
    let v4 = |service: usize, slot: usize| {
        SocketAddr::from((Ipv4Addr::new(127, 250, service as u8 + 1, slot as u8 + 1), 0))
    };
    let mut destinations: Vec<Destination> =
        (0..SERVICES).map(|service| Destination { service, dialled: listen(v4(service, 200)) }).collect();
    let v6 = (0..2).map(|service| Destination { service, dialled: listen((Ipv6Addr::LOCALHOST, 0).into()) });
    destinations.extend(v6);
    let endpoints = (0..SERVICES).map(|service| (0..SLOTS).map(|slot| listen(v4(service, slot))).collect());
    (Addresses { destinations, endpoints: endpoints.collect() }, servers)
}

/// What a backend without endpoint makes connect() fail with, by the kernel's version.
fn refusal() -> Result<i32> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let major: u32 = release.split('.').next().unwrap_or_default().parse().context(release.clone())?;
    Ok(if major >= 6 { nix::libc::ECONNREFUSED } else { nix::libc::EPERM })
}
