//! The network namespaces of a workload: those of its processes.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context, Result, anyhow, bail};
use nix::{
    libc::{ENOENT, ESRCH},
    sched::{CloneFlags, setns},
};

/// Network namespaces by device and inode, held open.
pub(super) type Namespaces = BTreeMap<(u64, u64), File>;

/// A cgroup and all below it.
pub(super) fn tree(cgroup: &Path) -> Vec<PathBuf> {
    let (mut all, mut next) = (vec![cgroup.to_path_buf()], 0);
    while let Some(directory) = all.get(next) {
        next += 1;
        // One may vanish meanwhile.
        let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
        let below: Vec<PathBuf> = entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect();
        all.extend(below);
    }
    all
}

/// Adds the namespaces of the processes in this very cgroup.
pub(super) fn add(cgroup: &Path, namespaces: &mut Namespaces) -> Result<()> {
    // One that is gone has no processes. One of threads does not tell: the one above it has its processes.
    let processes = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    for process in processes.lines() {
        if process == "0" {
            bail!("{} has processes outside of this PID namespace", cgroup.display());
        }
        match open(process, namespaces) {
            // It has ended meanwhile.
            Err(error) if matches!(error.raw_os_error(), Some(ENOENT | ESRCH)) => {}
            opened => {
                opened.with_context(|| format!("cannot open the network namespace of process {process}"))?;
            }
        }
    }
    Ok(())
}

fn open(process: &str, namespaces: &mut Namespaces) -> io::Result<()> {
    let path = format!("/proc/{process}/ns/net");
    if let Entry::Vacant(namespace) = namespaces.entry(identity(&fs::metadata(&path)?)) {
        namespace.insert(File::open(path)?);
    }
    Ok(())
}

fn identity(namespace: &Metadata) -> (u64, u64) {
    (namespace.dev(), namespace.ino())
}

/// Does something in a network namespace, in a thread that ends with it.
pub(super) fn within<T: Send>(namespace: &File, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let inside = || {
            let own = fs::metadata("/proc/thread-self/ns/net")?;
            // To enter its own one a process needs as much as for others.
            if identity(&own) != identity(&namespace.metadata()?) {
                setns(namespace, CloneFlags::CLONE_NEWNET).context("cannot enter a network namespace")?;
            }
            work()
        };
        let thread = thread::Builder::new().name("drain".to_owned()).spawn_scoped(scope, inside)?;
        thread.join().unwrap_or_else(|_| Err(anyhow!("it was given up")))
    })
}
