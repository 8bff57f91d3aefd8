//! `tcproute exec`: exit codes, signals, and nothing left behind.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tcproute_tests::{
    Loopback, cgroup,
    client::stdout,
    is_root,
    mesh::Mesh,
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
