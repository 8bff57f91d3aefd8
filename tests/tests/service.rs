//! The daemon as a service of systemd: what it tells, and the unit that it is started by.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tcproute_tests::{
    cgroup::TestCgroup,
    is_root,
    mesh::Mesh,
    tcproute::{Daemon, binary},
    wait_for,
};

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd/tcproute.service")
}

/// What a service manager hears.
struct Manager {
    socket: UnixDatagram,
    directory: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        Self { socket, directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("notify")
    }

    /// Waits for a message with this line, and answers with all of it.
    fn hears(&self, line: &str) -> String {
        loop {
            let mut message = [0; 4096];
            let length = self.socket.recv(&mut message).unwrap_or_else(|error| panic!("no {line}: {error}"));
            let text = String::from_utf8_lossy(&message[..length]).into_owned();
            if text.lines().any(|it| it == line) {
                return text;
            }
        }
    }
}

fn mesh() -> Mesh {
    let mut mesh = Mesh::new();
    mesh.outbound("db", "127.0.0.1:1".parse().unwrap());
    mesh
}

#[test]
fn a_service_manager_is_told_that_it_is_ready_that_it_lives_and_that_it_stops() {
    if !is_root("a_service_manager_is_told_that_it_is_ready_that_it_lives_and_that_it_stops") {
        return;
    }
    let (manager, cgroup, mesh) = (Manager::new(), TestCgroup::create(), mesh());
    let mut command = Command::new(binary());
    command.env("NOTIFY_SOCKET", manager.path()).env("WATCHDOG_USEC", "200000");
    let workloads = [("web", cgroup.path())];
    let mut daemon = Daemon::start_with(&mut command, &mesh.file(), &workloads, &[] as &[&str]);
    let told = manager.hears("READY=1");
    assert!(told.contains("STATUS=routes in force for 1 workloads"), "{told}");
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
    // A daemon that hangs does not say that it lives.
    let pid = Pid::from_raw(daemon.pid().cast_signed());
    kill(pid, Signal::SIGSTOP).unwrap();
    // What it has said before is heard first.
    let silent = |patience| {
        manager.socket.set_read_timeout(Some(patience)).unwrap();
        manager.socket.recv(&mut [0; 4096]).is_err()
    };
    wait_for("it is silent", || silent(Duration::from_millis(1)));
    assert!(silent(Duration::from_millis(600)), "for three times as long as it may be");
    manager.socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    kill(pid, Signal::SIGCONT).unwrap();
    manager.hears("WATCHDOG=1");
    assert_eq!(daemon.stop(), Some(0));
    manager.hears("STOPPING=1");
}

#[test]
fn a_reload_tells_what_has_changed_and_ends_nothing() {
    if !is_root("a_reload_tells_what_has_changed_and_ends_nothing") {
        return;
    }
    let (manager, cgroup, mesh) = (Manager::new(), TestCgroup::create(), mesh());
    let configuration = manager.directory.path().join("config.yaml");
    let workload = format!("workload: {{web: {}}}\n", cgroup.path().display());
    fs::write(&configuration, format!("{workload}eject-after: 3\n")).unwrap();
    let mut command = Command::new(binary());
    command.env("NOTIFY_SOCKET", manager.path()).env("TCPROUTE_CONFIG", &configuration);
    let daemon = Daemon::start_with(&mut command, &mesh.file(), &[], &[] as &[&str]);
    manager.hears("READY=1");
    let reload = || kill(Pid::from_raw(daemon.pid().cast_signed()), Signal::SIGHUP).unwrap();
    for (text, told) in [
        ("eject-after: 3\n", "the configuration is as it was"),
        ("eject-after: 4\ndrain: 5\n", "holds from the next start on: --drain, --eject-after"),
        ("no-such: 4\n", "the next start would fail: "),
    ] {
        fs::write(&configuration, format!("{workload}{text}")).unwrap();
        reload();
        let heard = manager.hears("RELOADING=1");
        assert!(heard.contains("MONOTONIC_USEC="), "{heard}");
        daemon.wait_for_line(told);
        manager.hears("READY=1");
    }
    assert_eq!(daemon.json("/v1/status")["workloads"].as_array().unwrap().len(), 1);
}

#[test]
fn settings_have_one_order() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yaml");
    fs::write(&file, "drain: 1\neject-after: 1\nurl: http://of-file\n").unwrap();
    let config = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["config", "--changed", "--output", "json"]).args(arguments);
        command.env("TCPROUTE_CONFIG", &file).env("TCPROUTE_DRAIN", "2").env("TCPROUTE_EJECT_AFTER", "2");
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, text) = config(&["--drain", "3"]);
    assert_eq!(code, Some(0), "{text}");
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let of = |flag: &str| {
        let value = all.as_array().unwrap().iter().find(|value| value["flag"] == flag).unwrap();
        (value["values"][0].as_str().unwrap().to_owned(), value["from"].as_str().unwrap().to_owned())
    };
    assert_eq!(of("--drain"), ("3".to_owned(), "command line".to_owned()));
    assert_eq!(of("--eject-after"), ("2".to_owned(), "TCPROUTE_EJECT_AFTER".to_owned()));
    assert_eq!(of("--url"), ("http://of-file".to_owned(), format!("{}:3", file.display())));
    fs::write(&file, "drian: 1\n").unwrap();
    let (code, text) = config(&[]);
    assert_eq!(code, Some(2));
    assert!(
        text.contains(&format!("{}:1:1: unknown setting \"drian\", did you mean \"drain\"?", file.display())),
        "{text}"
    );
}

/// Each flag in it is there, and systemd takes all of it.
#[test]
fn the_unit_is_in_order_and_hardened() {
    const TEST: &str = "the_unit_is_in_order_and_hardened";
    let text = fs::read_to_string(unit()).unwrap();
    let start = text.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/tcproute ")).unwrap();
    let mut command = Command::new(binary());
    let help = command.args(start.split(' ')).arg("--help").output().unwrap();
    assert!(help.status.success());
    let analyze = |arguments: &[&str]| Command::new("systemd-analyze").args(arguments).arg(unit()).output();
    // Of 10, where 0 is a service that can do nothing; what is left is what it is for.
    match analyze(&["security", "--offline=true", "--no-pager", "--threshold=40"]) {
        Err(error) => println!("SKIPPED {TEST}, by systemd-analyze: {error}"),
        Ok(output) => {
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            if text.contains("unrecognized option") || text.contains("not booted with systemd") {
                return println!("SKIPPED {TEST}, by systemd-analyze: {text}");
            }
            assert!(output.status.success(), "{text}");
            println!("{}", text.lines().last().unwrap_or_default());
        }
    }
}
