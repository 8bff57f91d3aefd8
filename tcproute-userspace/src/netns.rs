//! Network namespaces: those of a workload's processes, and doing something inside of one.

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
    libc::{self, ENOENT, ESRCH},
    sched::{CloneFlags, setns},
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

use crate::sockopt;

/// Which one it is, while it is there: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NamespaceId {
    device: u64,
    /// The number that lsns(8) shows.
    pub(crate) inode: u64,
}

/// A network namespace, held open.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) file: File,
    /// A process in it.
    pub(crate) process: u32,
}

/// Network namespaces of processes.
pub(crate) type Namespaces = BTreeMap<NamespaceId, Namespace>;

impl NamespaceId {
    fn of(namespace: &Metadata) -> Self {
        Self { device: namespace.dev(), inode: namespace.ino() }
    }

    /// The one of a process, such as `1`, or `thread-self`.
    pub(crate) fn of_process(process: &str) -> io::Result<Self> {
        fs::metadata(format!("/proc/{process}/ns/net")).map(|namespace| Self::of(&namespace))
    }
}

/// A cgroup and all below it.
pub(crate) fn tree(cgroup: &Path) -> Vec<PathBuf> {
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
pub(crate) fn add(cgroup: &Path, namespaces: &mut Namespaces) -> Result<()> {
    // One that is gone has no processes. One of threads does not tell: the one above it has its processes.
    let processes = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    for process in processes.lines() {
        if process == "0" {
            bail!("{} has processes outside of this PID namespace", cgroup.display());
        }
        let Ok(number) = process.parse() else { continue };
        match open(number, namespaces) {
            // It has ended meanwhile.
            Err(error) if matches!(error.raw_os_error(), Some(ENOENT | ESRCH)) => {}
            opened => {
                opened.with_context(|| format!("cannot open the network namespace of process {process}"))?;
            }
        }
    }
    Ok(())
}

/// Adds the namespace of a process.
pub(crate) fn open(process: u32, namespaces: &mut Namespaces) -> io::Result<()> {
    let path = format!("/proc/{process}/ns/net");
    if let Entry::Vacant(namespace) = namespaces.entry(NamespaceId::of(&fs::metadata(&path)?)) {
        namespace.insert(Namespace { file: File::open(path)?, process });
    }
    Ok(())
}

/// Does something in a network namespace: in its own one at once, in another one by a thread that ends with it.
pub(crate) fn within<T: Send>(namespace: &File, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    // To enter its own one a process needs as much as for others; and no thread can be made without memory.
    if NamespaceId::of_process("thread-self")? == NamespaceId::of(&namespace.metadata()?) {
        return work();
    }
    thread::scope(|scope| {
        let inside = || {
            setns(namespace, CloneFlags::CLONE_NEWNET).context("cannot enter a network namespace")?;
            work()
        };
        let thread = thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, inside)?;
        thread.join().unwrap_or_else(|_| Err(anyhow!("it was given up")))
    })
}

/// The cookie of this network namespace, which no other one of this boot has; `None` if the kernel does not tell, as
/// before 5.14.
pub(crate) fn cookie() -> Result<Option<u64>> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut cookie = [0; 8];
    match sockopt::get(&socket, libc::SOL_SOCKET, libc::SO_NETNS_COOKIE, &mut cookie) {
        Ok(()) => Ok(Some(u64::from_ne_bytes(cookie))),
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(None),
        Err(error) => Err(error).context("cannot ask for the cookie of a network namespace"),
    }
}

/// What the programs know this network namespace by, which is this one: its cookie, or else its inode.
pub(crate) fn key(id: NamespaceId) -> Result<u64> {
    Ok(cookie()?.unwrap_or(id.inode))
}
