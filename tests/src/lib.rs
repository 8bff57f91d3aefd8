//! What the tests share that need a kernel or a cluster: a daemon, cgroups, servers and clients that clean up after
//! themselves, also when a test fails.

pub mod bench;
pub mod bpftool;
pub mod browser;
pub mod cgroup;
pub mod chi_square;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod container;
pub mod control_plane;
pub mod echo;
pub mod hosts;
pub mod installation;
pub mod interrupt;
pub mod load;
pub mod maps;
pub mod mesh;
pub mod namespace;
pub mod node;
pub mod process;
pub mod prometheus;
pub mod rewriter;
pub mod routes;
pub mod sample;
pub mod screen;
pub mod server;
pub mod sidecar;
pub mod steps;
pub mod tcproute;

use std::{
    fs,
    net::Ipv4Addr,
    path::Path,
    sync::atomic::{AtomicU8, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Loopback addresses of a test's own, `127.<n>.0.0/16`, so that tests run side by side.
#[derive(Debug, Clone, Copy)]
pub struct Loopback(u8);

impl Loopback {
    /// Addresses that no other test of this process has.
    pub fn claim() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(100);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The address `127.<n>.<c>.<d>`.
    pub const fn ip(self, c: u8, d: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.0, c, d)
    }
}

/// Whether this test can run; if not, says why.
pub fn is_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("SKIPPED {test}: needs root");
    }
    root
}

/// So many connections for a statistical check, or fewer where each takes long: `TCPROUTE_TEST_DIVISOR` says by what to
/// divide. The chi-square test takes account of how many there are.
pub fn sample(connections: u32) -> u32 {
    connections / divisor()
}

/// How long clients that connect without an end pause after each connection: on a slow machine they would leave nothing
/// for the daemon, which they are there to watch.
pub fn pause() -> Duration {
    if is_slow() { Duration::from_millis(150) } else { Duration::ZERO }
}

/// Whether everything takes long on this machine.
pub fn is_slow() -> bool {
    divisor() > 1
}

fn divisor() -> u32 {
    let divisor = std::env::var("TCPROUTE_TEST_DIVISOR").ok().and_then(|divisor| divisor.parse().ok());
    divisor.unwrap_or(1).max(1)
}

/// Puts a file with this text in the place of what is there, in one step.
pub fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("a file can be written");
    fs::rename(&new, path).expect("a file can be renamed");
}

/// How long anything may take.
fn patience() -> Duration {
    Duration::from_mins(if is_slow() { 5 } else { 1 })
}

/// Waits until the condition holds, at most a minute, or five on a slow machine.
pub fn wait_for(what: &str, condition: impl FnMut() -> bool) {
    wait_within(patience(), what, condition);
}

/// Waits until the condition holds, at most so long.
pub fn wait_within(most: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + most;
    let mut pause = Duration::from_millis(5);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(pause);
        // Many conditions take a process to be looked at.
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}
