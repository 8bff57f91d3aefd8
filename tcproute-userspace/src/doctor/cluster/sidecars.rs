//! The sidecars of a node, as far as its processes and network namespaces show them: of which version each is, and who
//! redirects connections where.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read as _},
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::Error;
use nix::{
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    libc,
};

use super::{
    bootstrap::{self, Versions},
    command, processes,
};
use crate::{
    netns::{self, NamespaceId, Namespaces},
    sidecar::{self, Backend, Redirector},
};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::doctor) struct Sidecars {
    /// Those of Kuma.
    pub(in crate::doctor) proxies: Vec<Proxy>,
    /// Who redirects where.
    pub(in crate::doctor) redirections: Vec<Redirection>,
    /// What cannot be told, and why.
    pub(in crate::doctor) blind: Option<String>,
}

/// A sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::doctor) struct Proxy {
    /// The process of kuma-dp.
    pub(in crate::doctor) process: u32,
    /// By the number that lsns(8) shows, if it may be seen.
    pub(in crate::doctor) namespace: Option<u64>,
    /// Or why they are not known.
    pub(in crate::doctor) versions: Result<Versions, String>,
}

/// Who redirects connections in a network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::doctor) struct Redirection {
    /// By its number.
    pub(in crate::doctor) namespace: u64,
    pub(in crate::doctor) redirector: Redirector,
    pub(in crate::doctor) backend: Backend,
}

impl Sidecars {
    /// Looks at all sidecars, and at the network namespaces of them and of the pods in these directories.
    pub(in crate::doctor) fn read(pods: &[PathBuf]) -> Self {
        let mut this = Self::default();
        let mut namespaces = Namespaces::new();
        for cgroup in pods.iter().flat_map(|pod| netns::tree(pod)) {
            if let Err(error) = netns::add(&cgroup, &mut namespaces) {
                this.blind.get_or_insert(format!("{error:#}"));
            }
        }
        let kumas: BTreeSet<u32> =
            processes().filter(|&it| command(it).as_deref() == Some("kuma-dp")).collect();
        let envoys = if kumas.is_empty() { BTreeMap::new() } else { envoys() };
        for process in kumas {
            let namespace = NamespaceId::of_process(&process.to_string());
            if let Err(error) = netns::open(process, &mut namespaces)
                && !has_ended(&error)
            {
                this.blind.get_or_insert(format!("the network namespace of process {process}: {error}"));
            }
            let versions = match envoys.get(&process) {
                Some(&envoy) => versions(envoy),
                None => Err("its Envoy does not run".to_owned()),
            };
            let namespace = namespace.ok().map(|namespace| namespace.inode);
            this.proxies.push(Proxy { process, namespace, versions });
        }
        for (id, namespace) in &namespaces {
            let redirection =
                |(redirector, backend)| Redirection { namespace: id.inode, redirector, backend };
            match sidecar::survey(&namespace.file) {
                Ok(found) => this.redirections.extend(found.into_iter().map(redirection)),
                Err(error) => {
                    this.blind.get_or_insert(told(id.inode, &error));
                }
            }
        }
        this
    }
}

fn told(namespace: u64, error: &Error) -> String {
    format!("network namespace {namespace}: {error:#}")
}

/// Each Envoy by what has started it.
fn envoys() -> BTreeMap<u32, u32> {
    let envoys = processes().filter(|&process| command(process).as_deref() == Some("envoy"));
    envoys.filter_map(|process| Some((parent(process)?, process))).collect()
}

fn parent(process: u32) -> Option<u32> {
    let status = fs::read(format!("/proc/{process}/status")).ok()?;
    let status = String::from_utf8_lossy(&status).into_owned();
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// More is not read of the configuration of an Envoy.
const MOST: u64 = 1 << 20;

fn versions(envoy: u32) -> Result<Versions, String> {
    let why = |error: io::Error| match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => "looking into its files needs CAP_SYS_PTRACE".to_owned(),
        _ => format!("the configuration of its Envoy: {error}"),
    };
    let arguments = fs::read(format!("/proc/{envoy}/cmdline")).map_err(why)?;
    let path = bootstrap::path(&arguments).ok_or("the arguments of its Envoy name no file")?;
    let file = open_inside(envoy, Path::new(path)).map_err(why)?;
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text).map_err(why)?;
    bootstrap::versions(&text)
}

/// A file as a process sees it. Its links lead nowhere outside of what it sees, and what is no file is not opened.
fn open_inside(process: u32, path: &Path) -> io::Result<File> {
    let path_only = (OFlag::O_PATH | OFlag::O_CLOEXEC).bits();
    let root = File::options().read(true).custom_flags(path_only).open(format!("/proc/{process}/root"))?;
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT);
    let found = File::from(openat2(&root, path, how)?);
    if !found.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))
}

fn has_ended(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}
