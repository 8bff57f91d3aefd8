//! Cgroups for workloads.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::wait_for;

/// Where cgroup2 is mounted.
pub fn mount() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("proc is mounted");
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let point = fields.next()?;
        (fields.next()? == "cgroup2").then(|| PathBuf::from(point))
    });
    mount.expect("cgroup2 is mounted")
}

/// A cgroup that is removed when it is dropped, with those below it.
#[derive(Debug)]
pub struct TestCgroup {
    path: PathBuf,
}

impl TestCgroup {
    /// At the top of the hierarchy.
    pub fn create() -> Self {
        Self::create_at(mount().join(unique()))
    }

    /// The same, with the name of a slice of systemd.
    pub fn create_slice() -> Self {
        Self::create_at(mount().join(format!("{}.slice", unique())))
    }

    /// Inside this one.
    pub fn child(&self, name: &str) -> Self {
        Self::create_at(self.path.join(name))
    }

    /// Deep inside this one. Those between are removed with this one.
    pub fn descendant(&self, path: &str) -> Self {
        let path = self.path.join(path);
        let parent = path.parent().expect("it is inside");
        fs::create_dir_all(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
        Self::create_at(path)
    }

    fn create_at(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path }
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that will run inside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
            .arg(self.path.join("cgroup.procs"))
            .arg(program);
        command
    }
}

impl Drop for TestCgroup {
    fn drop(&mut self) {
        wait_for("the cgroup is empty", || {
            remove(&self.path);
            !self.path.exists()
        });
    }
}

/// A name that no other test has.
fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("tcproute-test-{}-{number}", std::process::id())
}

/// Removes a cgroup and those below it, as far as there are no processes in them.
fn remove(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    // Whether it has worked is seen by whether it is there.
    let _ = fs::remove_dir(path);
}
