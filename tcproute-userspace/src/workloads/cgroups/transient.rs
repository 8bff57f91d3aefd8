//! A cgroup for one command, which ends with it.

use std::{
    fs::{self, File, TryLockError},
    io,
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
    /// Dies with this process, however that ends: so one that can be locked is abandoned.
    _lock: File,
}

const PREFIX: &str = "tcproute-exec-";

/// So many names are tried.
const MOST_NAMES: u32 = 1000;

/// How long killed processes get to vanish.
const EMPTYING: Duration = Duration::from_secs(5);

impl TransientCgroup {
    /// Below `parent`, with a name that this process alone uses.
    pub fn create(hierarchy: &Cgroup2, parent: &Cgroup) -> Result<Self> {
        remove_abandoned(parent.path());
        for attempt in 0..MOST_NAMES {
            // In another PID namespace another process may have the same number.
            let name = match attempt {
                0 => format!("{PREFIX}{}", std::process::id()),
                _ => format!("{PREFIX}{}-{attempt}", std::process::id()),
            };
            let path = parent.path().join(name);
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot make the cgroup {}", path.display()));
                }
            }
            let locked = hierarchy.open(&path).map_err(Into::into).and_then(|cgroup| {
                let lock = lock(&path)?;
                Ok((cgroup, lock))
            });
            match locked {
                Ok((cgroup, Some(lock))) if !cgroup.is_gone() => return Ok(Self { cgroup, _lock: lock }),
                // Another command has taken it for abandoned.
                Ok(_) => {}
                Err(_) if !path.exists() => {}
                Err(error) => {
                    let _ = fs::remove_dir(&path);
                    return Err(error);
                }
            }
        }
        bail!("the cgroup {} has too many of other commands", parent.path().display());
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

/// `None` if another process holds the lock of this directory.
fn lock(path: &Path) -> Result<Option<File>> {
    let cannot = || format!("cannot lock the cgroup {}", path.display());
    let directory = File::open(path).with_context(cannot)?;
    match directory.try_lock() {
        Ok(()) => Ok(Some(directory)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(cannot),
    }
}

/// Removes those whose command was killed before it could, if nothing runs there any more. What cannot be removed is no
/// harm.
fn remove_abandoned(parent: &Path) {
    for path in child_cgroups(parent).unwrap_or_default() {
        let is_ours =
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
        if is_ours
            && let Ok(Some(_lock)) = lock(&path)
            && let Ok(false) = populated(&path)
        {
            let _ = remove_tree(&path);
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
