//! Rules, namespaces and daemons come and go.

use std::{
    fs::{self, File},
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tcproute_tests::{
    client::{script, stdout},
    is_slow,
    process::Process,
    sidecar::{APPLICATION, Backend, Families, PYTHON, Pod, Redirection, Version},
    steps::Followed,
    tcproute::{Daemon, binary, run_arguments},
    wait_for,
};

use super::setup::{ROUTED, Setup, UNROUTED, has_table, proxied};

const NFT: Redirection = Redirection::new(Backend::Nft, Families::Both, Version::V2_14);
const LEGACY: Redirection = Redirection::new(Backend::Legacy, Families::V4, Version::V2_4);

fn pid(daemon: &Daemon) -> Pid {
    Pid::from_raw(daemon.pid().cast_signed())
}

/// As by the init container of a pod that is there already.
fn a_redirection_may_come_later(test: &str, redirection: &Redirection) {
    let Some(setup) = Setup::plain(test).filter(|setup| redirection.is_possible(&setup.pod, test)) else {
        return;
    };
    let daemon = setup.daemon(&[]);
    setup.wait_until(&daemon, "plain");
    assert_eq!(setup.ask(&[ROUTED[0]]), ["endpoint"]);
    assert!(!setup.has_table());
    redirection.install(&setup.pod);
    setup.wait_until(&daemon, "past");
    assert_eq!(setup.ask(&[ROUTED[0], UNROUTED[0]]), ["endpoint".to_owned(), proxied(UNROUTED[0])]);
    assert!(setup.has_table());
}

#[test]
fn later_nft() {
    a_redirection_may_come_later("later_nft", &NFT);
}

#[test]
fn later_legacy() {
    a_redirection_may_come_later("later_legacy", &LEGACY);
}

#[test]
fn a_redirection_that_goes_takes_the_table_with_it() {
    let Some(setup) = Setup::new("a_redirection_that_goes_takes_the_table_with_it", &NFT) else { return };
    let daemon = setup.daemon(&[]);
    setup.wait_until(&daemon, "past");
    NFT.flush(&setup.pod);
    setup.wait_until(&daemon, "plain");
    wait_for("the table is gone", || !setup.has_table());
    assert_eq!(setup.ask(&[ROUTED[0], ROUTED[1]]), ["endpoint", "endpoint"]);
}

/// By somebody who flushes all rules, or just ours.
#[test]
fn a_table_that_is_flushed_is_put_back() {
    let Some(setup) = Setup::new("a_table_that_is_flushed_is_put_back", &LEGACY) else { return };
    let daemon = setup.daemon(&[]);
    setup.wait_until(&daemon, "past");
    let table = setup.table();
    for command in ["flush ruleset", "delete table inet tcproute", "flush table inet tcproute"] {
        let mut nft = setup.pod.command(None, 0, "nft");
        assert!(nft.args(command.split(' ')).status().unwrap().success());
        wait_for(&format!("the table is there again after: {command}"), || {
            setup.has_table() && setup.table() == table
        });
    }
    assert_eq!(setup.ask(&[ROUTED[0], UNROUTED[0]]), ["endpoint".to_owned(), proxied(UNROUTED[0])]);
}

/// The sandbox of a pod is made anew: another network namespace in the same cgroup.
#[test]
fn another_namespace_of_the_same_pod() {
    let test = "another_namespace_of_the_same_pod";
    let Some(setup) = Setup::new(test, &NFT) else { return };
    let daemon = setup.daemon(&[]);
    setup.wait_until(&daemon, "past");
    let Setup { sidecar, pause, servers, cgroup, pod: before, mesh, bpffs } = setup;
    drop((sidecar, pause, servers));
    let Some(pod) = Pod::of(test) else { return };
    NFT.install(&pod);
    let _pause = pod.pause(&cgroup);
    wait_for("the table is in the new namespace", || has_table(&pod));
    wait_for("and in the one before no more", || !has_table(&before));
    drop((daemon, mesh, bpffs));
}

/// As of containers that have networks of their own within a pod.
#[test]
fn a_workload_may_be_in_several_namespaces_at_once() {
    let test = "a_workload_may_be_in_several_namespaces_at_once";
    let Some(setup) = Setup::new(test, &NFT) else { return };
    let Some(nested) = Pod::of(test) else { return };
    NFT.install(&nested);
    let daemon = setup.daemon(&[]);
    setup.wait_until(&daemon, "past");
    let _pause = nested.pause(&setup.cgroup);
    wait_for("the nested one has a table as well", || has_table(&nested));
    assert!(setup.has_table());
    assert_eq!(setup.ask(&[ROUTED[0], UNROUTED[0]]), ["endpoint".to_owned(), proxied(UNROUTED[0])]);
    let status = daemon.json("/v1/status");
    let namespaces = status["networkNamespaces"].as_array().unwrap();
    let past = namespaces.iter().filter(|it| it["way"] == "past" && it["dataplanes"][0] == "web");
    assert_eq!(past.count(), 2, "{status:#}");
}

/// Killed at any moment, it goes on in the kernel, and the next daemon finds it.
#[test]
fn daemons_come_and_go() {
    let Some(setup) = Setup::new("daemons_come_and_go", &NFT) else { return };
    let daemon = setup.daemon(&[]);
    setup.wait_until(&daemon, "past");
    let table = setup.table();
    kill(pid(&daemon), Signal::SIGKILL).unwrap();
    drop(daemon);
    let expected = ["endpoint".to_owned(), proxied(UNROUTED[0])];
    assert_eq!(setup.ask(&[ROUTED[0], UNROUTED[0]]), expected);
    let daemon = setup.daemon(&[]);
    assert_eq!(setup.ask(&[ROUTED[0], UNROUTED[0]]), expected);
    assert_eq!((setup.way(&daemon), setup.table()), ("past".to_owned(), table));
    assert_eq!(daemon.metric("tcproute_decisions_total{decision=\"held\"}"), 0);
    drop(daemon);
    // Another mark.
    let daemon = setup.daemon(&["--sidecar-mark", "0x4"]);
    setup.wait_until(&daemon, "past");
    assert!(setup.table().contains("mark & 0x00000004 == 0x00000004"), "{}", setup.table());
    assert_eq!(setup.ask(&[ROUTED[0], UNROUTED[0]]), expected);
    drop(daemon);
    let daemon = setup.daemon(&["--sidecar", "off"]);
    assert!(!setup.has_table());
    drop(daemon);
    let daemon = setup.daemon(&[]);
    setup.wait_until(&daemon, "past");
    drop(daemon);
    let mut detach = Command::new(binary());
    let detached = stdout(&detach.arg("detach").arg("--bpffs").arg(setup.bpffs.path()).output().unwrap());
    assert!(detached.contains("removed the table tcproute from"), "{detached}");
    assert!(!setup.has_table());
    assert_eq!(setup.ask(&[ROUTED[0]]), [proxied(ROUTED[0])]);
}

/// Each with another mark than the one before, killed at more and more of its steps while an application dials.
#[test]
fn nothing_is_routed_by_half_while_daemons_are_killed() {
    let test = "nothing_is_routed_by_half_while_daemons_are_killed";
    let Some(setup) = Setup::new(test, &NFT) else { return };
    let daemon = setup.daemon(&[]);
    setup.wait_until(&daemon, "past");
    kill(pid(&daemon), Signal::SIGKILL).unwrap();
    drop(daemon);
    let body = "
import threading
seen = collections.Counter()
# Until there is nobody to be told.
reader = threading.Thread(target=sys.stdin.read)
reader.start()
while reader.is_alive():
    seen[answer('10.43.0.20', 3001), answer('10.43.0.99', 3001)] += 1
for (routed, other), count in sorted(seen.items()): print(f'{routed}, {other}: {count}')
";
    let mut client = setup.pod.command(Some(&setup.cgroup), APPLICATION, PYTHON);
    client.args(["-SEc", &script(body)]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = client.spawn().unwrap();
    let stride = if is_slow() { 24 } else { 2 };
    let mut step = fastrand::usize(0..stride);
    let mut is_over = false;
    for mark in ["0x4", "0x8"].into_iter().cycle() {
        let directory = tempfile::tempdir().unwrap();
        let (socket, log) = (directory.path().join("admin.sock"), directory.path().join("log"));
        let mut command = Command::new(binary());
        run_arguments(&mut command, &setup.mesh.file(), setup.bpffs.path(), &socket, &setup.workloads());
        command.args(["--sidecar-mark", mark]).stdin(Stdio::null()).stderr(File::create(&log).unwrap());
        let daemon = Process(command.spawn().unwrap());
        let is_in_force = || fs::read_to_string(&log).unwrap().contains("routes in force");
        let mut followed = Followed::seize(daemon.0.id());
        let mut made = 0;
        while made < step && followed.next(is_in_force).is_some() {
            made += 1;
        }
        println!("{test}: killed after {made} steps");
        // With SIGKILL.
        drop(daemon);
        if is_over {
            break;
        }
        // One more after it was in force.
        is_over = made < step;
        step += stride;
    }
    drop(client.stdin.take());
    let output = client.wait_with_output().unwrap();
    let seen = stdout(&output);
    println!("{test}: {seen}");
    let unrouted = proxied(UNROUTED[0]);
    let allowed = ["endpoint".to_owned(), proxied(ROUTED[0])].map(|routed| format!("{routed}, {unrouted}: "));
    let is_allowed = |line: &str| allowed.iter().any(|allowed| line.starts_with(allowed));
    assert!(!seen.is_empty() && seen.lines().all(is_allowed), "{seen}");
    let daemon = setup.daemon(&[]);
    setup.wait_until(&daemon, "past");
    assert_eq!(setup.ask(&[ROUTED[0], UNROUTED[0]]), ["endpoint".to_owned(), unrouted]);
}

/// A workload that is one no more has no table either.
#[test]
fn a_workload_that_goes_takes_its_table_with_it() {
    let Some(setup) = Setup::new("a_workload_that_goes_takes_its_table_with_it", &NFT) else { return };
    let daemon = setup.daemon(&[]);
    setup.wait_until(&daemon, "past");
    drop(daemon);
    let other = tcproute_tests::cgroup::TestCgroup::create();
    let workloads = [("web", other.path())];
    let _daemon = Daemon::start_on(
        &setup.bpffs,
        &mut Command::new(binary()),
        &setup.mesh.file(),
        &workloads,
        &[] as &[&str],
    );
    wait_for("its table is gone", || !setup.has_table());
    assert_eq!(setup.ask(&[ROUTED[0]]), [proxied(ROUTED[0])]);
}

/// Nothing is routed by half where the namespace cannot be entered.
#[test]
fn what_cannot_be_entered_is_told_and_left_alone() {
    let Some(setup) = Setup::new("what_cannot_be_entered_is_told_and_left_alone", &NFT) else { return };
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-sys_admin,-sys_ptrace"]).arg(binary());
    let daemon = setup.daemon_by(&mut command, &[]);
    assert_eq!(setup.ask(&[ROUTED[0], UNROUTED[0]]), [ROUTED[0], UNROUTED[0]].map(proxied));
    assert_eq!(daemon.metric("tcproute_decisions_total{decision=\"held\"}"), 1);
    assert!(!setup.has_table());
    let status = stdout(&daemon.status(&[]));
    let is_told = |line: &str| line.starts_with("warning: ") && line.contains("network namespace");
    assert!(status.lines().any(is_told), "{status}");
}

/// A kernel without nftables is not at hand; a process that gets no socket for them is.
#[test]
fn without_nftables_all_is_left_to_the_sidecar() {
    let Some(setup) = Setup::new("without_nftables_all_is_left_to_the_sidecar", &LEGACY) else { return };
    let without = script(WITHOUT_NFTABLES);
    let mut command = Command::new(PYTHON);
    command.args(["-SEc", &without]).arg(binary());
    let daemon = setup.daemon_by(&mut command, &[]);
    setup.wait_until(&daemon, "held");
    assert_eq!(setup.ask(&[ROUTED[0], UNROUTED[0]]), [ROUTED[0], UNROUTED[0]].map(proxied));
    let status = stdout(&daemon.status(&[]));
    assert!(status.contains("this kernel has no nftables (CONFIG_NF_TABLES)"), "{status}");
    let mut doctor = Command::new(PYTHON);
    doctor.args(["-SEc", &without]).arg(binary()).args(["doctor", "--bpffs"]).arg(setup.bpffs.path());
    let doctor = String::from_utf8_lossy(&doctor.output().unwrap().stdout).into_owned();
    let check = doctor.lines().find(|line| line.contains(" sidecar ")).unwrap();
    assert!(check.contains("this kernel has no nftables"), "{check}");
}

/// Runs another program with socket(AF_NETLINK, …, NETLINK_NETFILTER) failing with EPROTONOSUPPORT (seccomp(2)).
const WITHOUT_NFTABLES: &str = "
import ctypes
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER, FIRST, THIRD = 0, 16, 32
socket_call = {'x86_64': 41, 'aarch64': 198}[os.uname().machine]
program = [
    (LOAD, 0, 0, NUMBER), (JUMP_EQUAL, 0, 5, socket_call),
    (LOAD, 0, 0, FIRST), (JUMP_EQUAL, 0, 3, 16),
    (LOAD, 0, 0, THIRD), (JUMP_EQUAL, 0, 1, 12),
    (RETURN, 0, 0, 0x00050000 | errno.EPROTONOSUPPORT), (RETURN, 0, 0, 0x7fff0000),
]
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *each) for each in program))
libc = ctypes.CDLL(None, use_errno=True)
filter = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(program), ctypes.addressof(code)))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter, 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[1], sys.argv[1:])
";

/// The host's own network namespace, whatever a cgroup says.
#[test]
fn the_host_is_never_touched() {
    let test = "the_host_is_never_touched";
    let Some(setup) = Setup::plain(test) else { return };
    if !std::path::Path::new("/proc/sys/net/core/netdev_max_backlog").exists() {
        println!("SKIPPED {test}: the tests run in a network namespace of their own");
        return;
    }
    let mut on_host = setup.cgroup.command("sleep");
    let _on_host = tcproute_tests::process::Process(on_host.arg("1000").spawn().unwrap());
    let daemon = setup.daemon(&["--sidecar", "bypass"]);
    setup.wait_until(&daemon, "past");
    let listed = Command::new("nft").args(["list", "tables"]).output().unwrap();
    assert!(!stdout(&listed).contains("inet tcproute"), "{}", stdout(&listed));
}
