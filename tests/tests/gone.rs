//! What cannot be seen is not gone: programs stay attached and routes in force.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tcproute_tests::{
    Loopback, cgroup::TestCgroup, client::reaches, is_root, routes::OneBackend, tcproute::Daemon, wait_for,
};

/// Whether a connection from this cgroup gets to the backend.
fn is_routed(cgroup: &TestCgroup, route: &OneBackend) -> bool {
    reaches(cgroup, route.dialled, "backend")
}

/// The first number that no open file has. Some are open for a moment only.
fn first_free_file(pid: u32) -> u64 {
    let free = || {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let open: BTreeSet<u64> =
            entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
        (0..=open.len() as u64).find(|number| !open.contains(number)).unwrap()
    };
    (0..20).map(|_| free()).min().unwrap()
}

/// Gives a process another soft limit of open files, and answers with the one before.
fn set_limit(pid: u32, current: u64) -> rustix::io::Result<u64> {
    let pid = Pid::from_raw(pid.try_into().unwrap());
    let before = rustix::process::getrlimit(Resource::Nofile);
    let new = Rlimit { current: Some(current), maximum: before.maximum };
    Ok(prlimit(pid, Resource::Nofile, new)?.current.unwrap())
}

/// A process without a file left, as long as this is there: what it closes it does not get back.
struct NoFiles {
    pid: u32,
    before: u64,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NoFiles {
    fn of(pid: u32) -> Self {
        let before = set_limit(pid, first_free_file(pid)).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                set_limit(pid, first_free_file(pid)).unwrap();
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self { pid, before, is_over, thread: Some(thread) }
    }
}

impl Drop for NoFiles {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
        // Unless it has ended.
        let _ = set_limit(self.pid, self.before);
    }
}

fn is_told(daemon: &Daemon, text: &str) -> bool {
    daemon.json("/v1/status")["warnings"].to_string().contains(text)
}

#[test]
fn a_daemon_without_a_file_left_keeps_its_workloads() {
    if !is_root("a_daemon_without_a_file_left_keeps_its_workloads") {
        return;
    }
    let route = OneBackend::new(Loopback::claim());
    let parent = TestCgroup::create();
    let first = parent.child("pod-1");
    let pattern = parent.path().join("pod-*");
    let daemon = Daemon::start(&route.mesh.file(), &[("web", &pattern)]);
    assert!(is_routed(&first, &route));
    let files = || daemon.metric("tcproute_open_files");
    let few = files();
    assert!(few < daemon.metric("tcproute_open_files_limit"), "{few}");
    let more: Vec<TestCgroup> = (10..30).map(|number| parent.child(&format!("pod-{number}"))).collect();
    wait_for("they are attached", || daemon.metric("tcproute_workloads_attached") == 21);
    wait_for("none of them takes more than a file", || files() <= few + 20);
    drop(more);
    wait_for("they are gone", || daemon.metric("tcproute_workloads_attached") == 1);
    let no_files = NoFiles::of(daemon.pid());
    let second = parent.child("pod-2");
    println!("{}", daemon.wait_for_line("cannot tell which cgroups there are"));
    assert!(is_routed(&first, &route));
    drop(no_files);
    wait_for("the new one is routed", || is_routed(&second, &route));
    wait_for("nothing is told any more", || !is_told(&daemon, "cannot tell"));
    drop(first);
    wait_for("what is gone is gone", || daemon.metric("tcproute_workloads_attached") == 1);
}

/// cgroup2, mounted once more.
struct SecondMount(tempfile::TempDir);

impl SecondMount {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("c").rand_bytes(4).tempdir_in("/tmp").unwrap();
        mount(Some("cgroup2"), directory.path(), Some("cgroup2"), MsFlags::empty(), None::<&str>).unwrap();
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn unmount(&self) {
        let _ = umount2(self.path(), MntFlags::MNT_DETACH);
    }
}

impl Drop for SecondMount {
    fn drop(&mut self) {
        self.unmount();
    }
}

#[test]
fn another_mount_of_the_hierarchy_may_go() {
    if !is_root("another_mount_of_the_hierarchy_may_go") {
        return;
    }
    let route = OneBackend::new(Loopback::claim());
    let parent = TestCgroup::create();
    let (named, rooted) = (parent.child("named"), parent.child("rooted-1"));
    let second = SecondMount::new();
    let usual = parent.path().ancestors().find(|path| {
        path.join("cgroup.procs").exists() && !path.parent().unwrap().join("cgroup.procs").exists()
    });
    let below = |cgroup: &Path| cgroup.strip_prefix(usual.unwrap()).unwrap().to_path_buf();
    let by_second = second.path().join(below(named.path()));
    let pattern = Path::new("/").join(below(parent.path())).join("rooted-*");
    let daemon = Daemon::start(&route.mesh.file(), &[("web", &by_second), ("web", &pattern)]);
    assert!(is_routed(&named, &route) && is_routed(&rooted, &route));
    second.unmount();
    // It has looked again when it has found this one.
    let new = parent.child("rooted-2");
    wait_for("the new one is routed", || is_routed(&new, &route));
    assert!(is_routed(&named, &route) && is_routed(&rooted, &route));
    assert_eq!(daemon.metric("tcproute_workloads_attached"), 3);
}
