//! `tcproute exec`: exit codes, signals, and nothing left behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tcproute_tests::{
    Loopback, cgroup,
    client::{script, stdout},
    is_root,
    mesh::Mesh,
    server::Server,
    tcproute::{exec, exec_command},
    wait_for,
};

fn resources() -> Mesh {
    let net = Loopback::claim();
    let mut mesh = Mesh::new();
    mesh.outbound("db", (net.ip(0, 1), 1).into()).endpoint("db", "x", (net.ip(1, 1), 1).into());
    mesh
}

#[test]
fn the_exit_code_is_the_commands() {
    if !is_root("the_exit_code_is_the_commands") {
        return;
    }
    let mesh = resources();
    let code = |command: &[&str]| exec(&mesh.file(), "web", command).status.code();
    assert_eq!(code(&["true"]), Some(0));
    assert_eq!(code(&["sh", "-c", "exit 42"]), Some(42));
    assert_eq!(code(&["sh", "-c", "kill -KILL $$"]), Some(128 + 9));
    assert_eq!(code(&["/no/such/program"]), Some(127));
    assert_eq!(code(&["/"]), Some(126));
}

#[test]
fn signals_are_passed_on() {
    if !is_root("signals_are_passed_on") {
        return;
    }
    let mesh = resources();
    let trap =
        "trap 'exit 7' TERM; trap 'exit 8' INT; trap 'exit 9' USR1; echo ready; while :; do sleep 0.01; done";
    for (signal, code) in [(Signal::SIGTERM, 7), (Signal::SIGINT, 8), (Signal::SIGUSR1, 9)] {
        let mut child =
            exec_command(&mesh.file(), "web", &["sh", "-c", trap]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
    }
}

#[test]
fn what_the_command_left_running_is_ended_and_the_cgroup_removed() {
    if !is_root("what_the_command_left_running_is_ended_and_the_cgroup_removed") {
        return;
    }
    let mesh = resources();
    // A grandchild in a cgroup of its own below, which outlives the command.
    let body = "own=$(sed -n 's/^0:://p' /proc/self/cgroup); dir=$0$own; mkdir $dir/inner; \
                (echo 0 > $dir/inner/cgroup.procs; exec sleep 600) >/dev/null 2>&1 & echo $! $dir";
    let mount = cgroup::mount();
    let out = stdout(&exec(&mesh.file(), "web", &["sh", "-c", body, mount.to_str().unwrap()]));
    let (pid, directory) = out.split_once(' ').unwrap();
    assert!(directory.contains("tcproute-exec-"), "{directory}");
    assert!(!PathBuf::from(directory).exists(), "{directory} is left");
    let comm = PathBuf::from(format!("/proc/{pid}/comm"));
    wait_for("the grandchild is gone", || fs::read_to_string(&comm).is_err());
}

/// `exec` with another flag.
fn exec_with(flag: &str, mesh: &Mesh, command: &[&str]) -> Command {
    let exec = exec_command(&mesh.file(), "web", command);
    let mut with = Command::new(exec.get_program());
    let mut arguments = exec.get_args();
    with.arg(arguments.next().unwrap()).arg(flag).args(arguments).stdin(Stdio::null());
    with
}

/// A client that dials so often, whatever comes of it.
fn dials(address: SocketAddr, times: u32) -> String {
    let body = "
for _ in range(TIMES):
    try: dial('IP', PORT).close()
    except OSError: pass
print('done')
";
    let body = body.replace("TIMES", &times.to_string()).replace("IP", &address.ip().to_string());
    script(&body.replace("PORT", &address.port().to_string()))
}

#[test]
fn each_connection_is_shown_and_in_the_end_their_split() {
    if !is_root("each_connection_is_shown_and_in_the_end_their_split") {
        return;
    }
    let net = Loopback::claim();
    let [dialled, nobody] = [1, 2].map(|last| SocketAddr::from((net.ip(0, last), 5432)));
    let server = Server::start((net.ip(1, 1), 0), "a");
    let mut mesh = Mesh::new();
    mesh.outbound("db", dialled).split("db", &[("a", 1), ("gone", 0)]).endpoint("db", "a", server.address());
    mesh.outbound("nobody", nobody).split("nobody", &[("x", 0)]);

    let command = |body: &str| exec_with("--show", &mesh, &["python3", "-SEc", body]).output().unwrap();
    let output = command(&dials(dialled, 3));
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("{shown}");
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"done\n"[..]), "its output is its own");
    let lines: Vec<&str> = shown.lines().filter(|line| line.contains(" python3 ")).collect();
    assert_eq!(lines.len(), 3);
    for line in lines {
        for part in [" db ", &dialled.to_string(), &server.address().to_string(), "established", "a, "] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    let end = shown.lines().skip_while(|line| !line.starts_with("web: db at ")).collect::<Vec<_>>();
    let row = end.iter().find(|line| line.contains(" v=a ")).unwrap();
    let words: Vec<&str> = row.split_whitespace().skip(3).collect();
    assert_eq!(words[..10], ["1", "100.0", "%", "100.0", "%", "+0.0", "3", "3", "0", "0"], "{row}");
    assert!(!shown.contains("nobody at"), "only routes that were used");

    let shown = String::from_utf8(command(&dials(nobody, 2)).stderr).unwrap();
    println!("{shown}");
    let refused = shown.lines().filter(|line| line.contains("refused here: no endpoint"));
    assert_eq!(refused.count(), 2);
    assert!(shown.contains("(no backendRef has a weight)"), "{shown}");
    assert!(shown.contains("2 refused: no backendRef has a weight"), "{shown}");

    let shown = String::from_utf8(command(&dials(server.address(), 1)).stderr).unwrap();
    println!("{shown}");
    assert!(shown.contains("no connection to any of the 2 routed addresses of web"), "{shown}");
    let failed = exec_with("--show", &mesh, &["/no/such/program"]).output().unwrap();
    assert_eq!(failed.status.code(), Some(127));
}

#[test]
fn a_command_that_ends_at_once_has_its_decisions_logged() {
    if !is_root("a_command_that_ends_at_once_has_its_decisions_logged") {
        return;
    }
    let net = Loopback::claim();
    let (dialled, server) = (SocketAddr::from((net.ip(0, 1), 5432)), Server::start((net.ip(1, 1), 0), "a"));
    let mut mesh = Mesh::new();
    mesh.outbound("db", dialled).endpoint("db", "a", server.address());
    let body = dials(dialled, 1);
    let output = exec_with("--log-decisions", &mesh, &["python3", "-SEc", &body]).output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains(&format!("{} port {}", dialled.ip(), dialled.port())), "{log}");
}

/// In PID namespaces of their own, as in containers that share a cgroup, each of them is the process 1.
#[test]
fn commands_with_the_same_pid_have_cgroups_of_their_own() {
    if !is_root("commands_with_the_same_pid_have_cgroups_of_their_own") {
        return;
    }
    let mesh = resources();
    let inside = |script: &str| {
        let exec = exec_command(&mesh.file(), "web", &["sh", "-c", script]);
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--fork", "--kill-child"]).arg(exec.get_program()).args(exec.get_args());
        unshare
    };
    let waits = "echo ready; read line";
    let start = || {
        let mut child = inside(waits).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        child
    };
    let (mut first, mut second) = (start(), start());
    for child in [&mut first, &mut second] {
        drop(child.stdin.take());
        child.wait().unwrap();
    }
    // One that was killed leaves its cgroup to the next.
    let mut killed = start();
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(inside("exit 0").status().unwrap().success());
    wait_for("nothing is left", || {
        inside("exit 0").status().unwrap().success() && abandoned(&cgroup::mount()).is_empty()
    });
}

/// Cgroups of commands with the pid 1.
fn abandoned(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    // One that vanishes meanwhile is none.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "tcproute-exec-1" || name.starts_with("tcproute-exec-1-") {
            found.push(entry.path());
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(abandoned(&entry.path()));
        }
    }
    found
}
