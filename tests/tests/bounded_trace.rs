//! `tcproute trace`: the storm of one workload hides nothing of another.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tcproute_tests::{
    Loopback,
    cgroup::TestCgroup,
    client::knock,
    is_root,
    mesh::Mesh,
    process::Process,
    tcproute::{Daemon, binary},
    wait_for,
};

const STORM: u64 = 12_000;
const VICTIM: u64 = 300;

#[test]
fn a_storm_of_one_workload_hides_nothing_of_another() {
    if !is_root("a_storm_of_one_workload_hides_nothing_of_another") {
        return;
    }
    let net = Loopback::claim();
    let dialled: SocketAddr = (net.ip(0, 1), 5432).into();
    let mut mesh = Mesh::new();
    mesh.outbound("db", dialled).endpoint("db", "x", (net.ip(1, 1), 1).into());
    mesh.dataplane("victim", "web", "db", dialled);
    mesh.split("db", &[("x", 1)]);
    let [attacker, victim] = [TestCgroup::create(), TestCgroup::create()];
    let daemon = Daemon::start(&mesh.file(), &[("web", attacker.path()), ("victim", victim.path())]);
    let mut trace = Command::new(binary());
    trace.args(["trace", "--output", "json", "--admin-socket"]).arg(daemon.admin_socket());
    let mut trace = Process(trace.stdout(Stdio::piped()).spawn().unwrap());
    wait_for("it listens", || daemon.metric("tcproute_trace_listeners") == 1);

    // Nobody reads while they connect.
    let pid = Pid::from_raw(i32::try_from(daemon.pid()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let _go_on = GoOn(pid);
    knock(&attacker, dialled, STORM);
    knock(&victim, dialled, VICTIM);
    kill(pid, Signal::SIGCONT).unwrap();

    let (mut ended, mut lost) = (BTreeMap::<String, u64>::new(), BTreeMap::<String, u64>::new());
    let output = BufReader::new(trace.0.stdout.take().unwrap());
    for line in output.lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let of = line["dataplane"].as_str().unwrap_or("nobody").to_owned();
        match line["lost"].as_u64() {
            Some(records) => *lost.entry(of).or_default() += records,
            None if line["outcome"] == "refused" => *ended.entry(of).or_default() += 1,
            None => {}
        }
        if ended.get("victim") == Some(&VICTIM) && !lost.is_empty() {
            break;
        }
    }
    println!("seen {ended:?}, lost {lost:?}");
    assert_eq!(ended["victim"], VICTIM);
    assert_eq!(lost.keys().collect::<Vec<_>>(), ["web"], "{lost:?}");
    // Each decision and each end is a record, and all of the storm that was not seen was lost.
    assert!(lost["web"] >= 2 * STORM - 10_083 && ended["web"] > 0, "{ended:?} {lost:?}");
    let exceeded = daemon.get("/metrics").1;
    let exceeded = exceeded.lines().filter(|line| line.starts_with("tcproute_share_exceeded_total")).count();
    assert_eq!(exceeded, 1);
    wait_for("all was read", || daemon.metric("tcproute_share_taken{of=\"events\"}") == 0);
}

/// Also if the test fails meanwhile: who is stopped cannot be ended.
struct GoOn(Pid);

impl Drop for GoOn {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}
