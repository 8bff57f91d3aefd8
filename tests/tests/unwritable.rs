//! Standard error and output that cannot be written, since a disk is full, a pipe is closed or nobody reads: nothing
//! panics, the daemon goes on, and what is lost is counted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs::{self, File},
    os::fd::OwnedFd,
    path::Path,
    process::{Command, Stdio},
};

use nix::fcntl::{FcntlArg, fcntl};
use tcproute_tests::{
    cgroup::TestCgroup,
    client, is_root,
    process::Process,
    routes::Split,
    tcproute::{self, Bpffs, binary, run_arguments, wait_ready},
    wait_for,
};

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

fn closed_pipe() -> Stdio {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// Connections go to v1; then to v2, after so many of them that the log of decisions is long. How many lines were lost.
fn goes_on(stderr: Stdio) -> u64 {
    let (split, cgroup, bpffs) = (Split::new(), TestCgroup::create(), Bpffs::mount());
    let run = tempfile::tempdir().unwrap();
    let socket = run.path().join("admin.sock");
    let mesh = split.mesh(&[("1", 1)]);
    let mut command = Command::new(binary());
    run_arguments(&mut command, &mesh.file(), bpffs.path(), &socket, &[("web", cgroup.path())]);
    let child = command.arg("--log-decisions").stdin(Stdio::null()).stderr(stderr).spawn().unwrap();
    let mut daemon = Process(child);
    wait_ready(&mut daemon, &socket);
    let ask = |count| client::ask(&cgroup, split.dialled, count);
    assert_eq!(ask(2000), [("v1".to_owned(), 2000)].into());
    fs::write(mesh.file_path(), split.mesh(&[("2", 1)]).text()).unwrap();
    wait_for("the change is in force", || ask(1) == [("v2".to_owned(), 1)].into());
    let lost = || {
        let (code, text) = tcproute::ask(&socket, "/metrics");
        assert_eq!(code, 200, "{text}");
        let value = text.lines().find_map(|line| line.strip_prefix("tcproute_log_lines_lost_total "));
        value.unwrap().parse::<u64>().unwrap()
    };
    // The programs' log loses lines as well, when many are made at once.
    wait_for("lost lines are counted", || {
        ask(500);
        lost() > 100
    });
    assert!(!daemon.has_ended(), "it has ended");
    lost()
}

#[test]
fn a_daemon_outlives_a_full_disk() {
    if is_root("a_daemon_outlives_a_full_disk") {
        println!("{} lines lost", goes_on(full()));
    }
}

#[test]
fn a_daemon_outlives_whoever_read_its_log() {
    if is_root("a_daemon_outlives_whoever_read_its_log") {
        println!("{} lines lost", goes_on(closed_pipe()));
    }
}

#[test]
fn a_daemon_does_not_wait_for_whoever_reads_its_log() {
    if is_root("a_daemon_does_not_wait_for_whoever_reads_its_log") {
        let (_reader, writer): (OwnedFd, OwnedFd) = nix::unistd::pipe().unwrap();
        fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
        println!("{} lines lost", goes_on(writer.into()));
    }
}

#[test]
fn commands_end_as_they_would() {
    let code = |arguments: &[&str], stdout: Stdio, stderr: Stdio| {
        let mut command = Command::new(binary());
        command.args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        command.status().unwrap().code()
    };
    let nobody = ["status", "--admin-socket", "/nowhere/admin.sock"];
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/split-universal.yaml");
    let resolve = ["resolve", "--all", "--resources", examples.to_str().unwrap()];
    // What is wrong with the files goes to stdout: that nobody reads on is no error, that it is lost is one.
    for (broken, invalid) in [(full as fn() -> Stdio, 1), (closed_pipe, 2)] {
        assert_eq!(code(&nobody, Stdio::null(), broken()), Some(1));
        assert_eq!(code(&["status", "--no-such-option"], Stdio::null(), broken()), Some(2));
        assert_eq!(code(&["validate", "/nowhere"], broken(), broken()), Some(invalid));
    }
    // As `head` does it.
    assert_eq!(code(&resolve, closed_pipe(), Stdio::inherit()), Some(0));
    assert_eq!(code(&["completions", "bash"], closed_pipe(), Stdio::inherit()), Some(0));
    assert_eq!(code(&["--help"], closed_pipe(), Stdio::inherit()), Some(0));
}
