//! A cgroup for one command, which ends with it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Cgroup, Cgroup2};

/// A cgroup of our own making. When it is dropped, whatever still runs in it is killed and it is removed.
#[derive(Debug)]
pub struct TransientCgroup {
    cgroup: Cgroup,
}

/// How long killed processes get to vanish.
const EMPTYING: Duration = Duration::from_secs(5);

impl TransientCgroup {
    /// Below `parent`, with a name that this process alone uses.
    pub fn create(hierarchy: &Cgroup2, parent: &Cgroup) -> Result<Self> {
        let path = parent.path().join(format!("tcproute-exec-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make the cgroup {}", path.display()))?;
        match hierarchy.open(&path) {
            Ok(cgroup) => Ok(Self { cgroup }),
            Err(error) => {
                let _ = fs::remove_dir(&path);
                Err(error.into())
            }
        }
    }

    /// The cgroup itself.
    pub const fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Kills what still runs inside and removes the cgroup with those below it.
    fn remove(&self) -> Result<()> {
        let path = self.cgroup.path();
        let deadline = Instant::now() + EMPTYING;
        while populated(path)? {
            if Instant::now() > deadline {
                bail!("processes in {} do not end", path.display());
            }
            // cgroup.kill is there from 5.14 on.
            if fs::write(path.join("cgroup.kill"), "1").is_err() {
                kill_all(path)?;
            }
            thread::sleep(Duration::from_millis(2));
        }
        remove_tree(path).with_context(|| format!("cannot remove the cgroup {}", path.display()))
    }
}

impl Drop for TransientCgroup {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!("{error:#}");
        }
    }
}

fn populated(cgroup: &Path) -> Result<bool> {
    let events = cgroup.join("cgroup.events");
    let text = fs::read_to_string(&events).with_context(|| format!("cannot read {}", events.display()))?;
    Ok(text.lines().any(|line| line == "populated 1"))
}

fn kill_all(cgroup: &Path) -> Result<()> {
    for pid in fs::read_to_string(cgroup.join("cgroup.procs"))?.lines() {
        // One that ended meanwhile is as good as killed.
        let _ = kill(Pid::from_raw(pid.parse()?), Signal::SIGKILL);
    }
    for child in child_cgroups(cgroup)? {
        kill_all(&child)?;
    }
    Ok(())
}

fn remove_tree(cgroup: &Path) -> io::Result<()> {
    for child in child_cgroups(cgroup)? {
        remove_tree(&child)?;
    }
    fs::remove_dir(cgroup)
}

fn child_cgroups(cgroup: &Path) -> io::Result<Vec<PathBuf>> {
    let mut children = Vec::new();
    for entry in fs::read_dir(cgroup)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            children.push(entry.path());
        }
    }
    Ok(children)
}
