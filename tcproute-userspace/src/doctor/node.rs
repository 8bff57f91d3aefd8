//! What a node is like, as far as tcproute depends on it: plain values, and reading them.

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::Result;
use caps::CapsHashSet;
use flate2::read::GzDecoder;
use nix::{
    sys::{
        resource::{RLIM_INFINITY, Resource, getrlimit},
        stat::{major, minor},
        utsname::uname,
    },
    unistd::geteuid,
};

use super::{
    Api,
    cluster::{Cluster, sidecars::Sidecars},
};
use crate::{
    bpf::{
        Datapath, LoadedProgram, Options, PastSidecars,
        attached::{self, Attached},
        pins,
        requirements::{self, Features, KernelVersion},
    },
    drain,
    plan::Limits,
    privileges::{can_load, effective},
    sidecar,
    workloads::cgroups::Cgroup2,
};

/// Where something cannot be told, the reason.
pub(super) type Known<T> = Result<T, String>;

/// Whose bpffs is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BpffsOf {
    /// This process has the mounts that the first one has.
    Here,
    /// It has its own, and among them the node's.
    Node,
    /// It has its own, and one of its own.
    Container,
    /// It cannot be told.
    Unknown(String),
}

/// A node.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
pub(super) struct Node {
    /// Such as `6.1.0-32-cloud-amd64`.
    pub(super) release: String,
    /// The version in it, if there is one.
    pub(super) version: Option<KernelVersion>,
    /// The options of the kernel that are `y` or `m`.
    pub(super) config: Known<BTreeSet<String>>,
    /// Where cgroup2 is mounted.
    pub(super) cgroup2: Known<PathBuf>,
    /// Whether all cgroups are seen there, and not those of a container only.
    pub(super) cgroup2_whole: bool,
    /// Where bpffs was looked for.
    pub(super) bpffs: PathBuf,
    /// Whether it is there.
    pub(super) bpffs_mounted: bool,
    /// And if it is, whose it is.
    pub(super) bpffs_of: BpffsOf,
    /// Whether the kernel describes its own types.
    pub(super) btf: bool,
    /// Whether this process is root.
    pub(super) root: bool,
    /// The effective capabilities (capabilities(7)).
    pub(super) capabilities: Known<CapsHashSet>,
    /// Bytes of memory that this process may lock; `None` without limit.
    pub(super) memlock: Known<Option<u64>>,
    /// Whether that could be raised.
    pub(super) memlock_raised: bool,
    /// `net.core.bpf_jit_enable`; `None` in network namespaces other than the first, and in a kernel without JIT.
    pub(super) jit: Option<u32>,
    /// `net.core.bpf_jit_harden`
    pub(super) jit_harden: Option<u32>,
    /// What the kernel has beyond the oldest one.
    pub(super) features: Known<Features>,
    /// The programs, loaded once and attached nowhere.
    pub(super) programs: Known<Vec<LoadedProgram>>,
    /// Whether connections can be closed.
    pub(super) drain: Known<()>,
    /// Whether connections can be led past a sidecar.
    pub(super) sidecar: Known<()>,
    /// What is attached to cgroups.
    pub(super) attached: Known<Attached>,
    /// What there is if it is a node of a cluster.
    pub(super) cluster: Option<Cluster>,
    /// The sidecars on it.
    pub(super) sidecars: Sidecars,
    /// What an API server allows, if one was to be asked.
    pub(super) api: Option<Api>,
    /// The pid of the daemon.
    pub(super) daemon: Option<u32>,
}

/// The smallest maps there can be.
const PROBE: Limits = Limits { routes: 1, backends: 1, endpoints: 1, outcomes: 1, turns: 1, cursors: 1 };

impl Node {
    /// Reads this one. Nothing on it is changed.
    pub(super) fn read(bpffs: &Path, api: Option<Api>) -> Result<Self> {
        let release = uname()?.release().to_string_lossy().into_owned();
        let root = geteuid().is_root();
        let memlock = getrlimit(Resource::RLIMIT_MEMLOCK)
            .map(|(limit, _)| (limit != RLIM_INFINITY).then_some(limit))
            .map_err(|error| error.to_string());
        let memlock_raised = requirements::raise_memlock().is_ok();
        let cgroup2 = Cgroup2::find().map_err(|error| format!("{error:#}"));
        let capabilities = effective().map_err(|error| format!("{error:#}"));
        let may_load = root || capabilities.as_ref().is_ok_and(can_load);
        let privileged = |what: &str| if may_load { Ok(()) } else { Err(format!("{what} needs root")) };
        let features = privileged("asking the kernel for features")
            .and_then(|()| Features::probe().map_err(|error| format!("{error:#}")));
        let programs = features.clone().and_then(|features| {
            let options = Options {
                limits: PROBE,
                features,
                log_decisions: false,
                sockets: 1,
                past_sidecars: Some(PastSidecars { value: 1, mask: 1 }),
                sidecar_uid: sidecar::KUMA_UID,
                ejects: true,
                pins: None,
                reuse_tables: false,
            };
            Datapath::load(&options)
                .and_then(|mut datapath| datapath.programs())
                .map_err(|error| format!("{error:#}"))
        });
        let attached = privileged("asking what is attached to cgroups").and_then(|()| {
            let hierarchy = cgroup2.as_ref().map_err(|_| "there is no cgroup2".to_owned())?;
            attached::programs(hierarchy).map_err(|error| format!("{error:#}"))
        });
        let cluster = cgroup2.as_ref().ok().and_then(|hierarchy| Cluster::read(hierarchy.mount()));
        let sidecars = Sidecars::read(cluster.as_ref().map_or(&[], |cluster| &cluster.pods));
        Ok(Self {
            version: KernelVersion::parse(&release),
            config: config(&release),
            release,
            // Every cgroup but the topmost has this file.
            cgroup2_whole: cgroup2
                .as_ref()
                .is_ok_and(|hierarchy| !hierarchy.mount().join("cgroup.events").exists()),
            cgroup2: cgroup2.map(|hierarchy| hierarchy.mount().to_path_buf()),
            bpffs: bpffs.to_path_buf(),
            bpffs_mounted: pins::is_mounted(bpffs),
            bpffs_of: bpffs_of(bpffs, cluster.as_ref().is_some_and(|cluster| cluster.hidden > 0)),
            btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
            root,
            capabilities,
            memlock,
            memlock_raised,
            jit: sysctl("net/core/bpf_jit_enable"),
            jit_harden: sysctl("net/core/bpf_jit_harden"),
            features,
            programs,
            sidecar: privileged("making a network namespace").and_then(|()| sidecar::probe()),
            drain: drain::probe().map_err(|error| error.to_string()),
            attached,
            cluster,
            sidecars,
            api,
            daemon: pins::daemon(bpffs),
        })
    }
}

/// By the mounts of the first process, which are the node's if it is the node's own.
fn bpffs_of(bpffs: &Path, is_hidden: bool) -> BpffsOf {
    if is_hidden {
        return BpffsOf::Unknown(
            "whether it is the node's own is seen in the node's PID namespace alone".to_owned(),
        );
    }
    let read = |process: &str| fs::read_to_string(format!("/proc/{process}/mountinfo"));
    match (fs::metadata(bpffs), read("self"), read("1")) {
        (Ok(root), Ok(own), Ok(first)) => whose(&own, &first, root.dev()),
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
            BpffsOf::Unknown(format!("whether it is the node's own cannot be told: {error}"))
        }
    }
}

/// By two lists of mounts (proc(5)): no mount has the number of another one, in whatever namespace, and each bpffs is a
/// device of its own.
fn whose(own: &str, first: &str, device: u64) -> BpffsOf {
    let device = format!("{}:{}", major(device), minor(device));
    let numbers = |mounts: &str| -> BTreeSet<String> {
        let number = |line: &str| {
            let mut fields = line.split(' ');
            let number = fields.next()?.to_owned();
            (fields.nth(1) == Some(device.as_str())).then_some(number)
        };
        mounts.lines().filter_map(number).collect()
    };
    let (own, first) = (numbers(own), numbers(first));
    match (first.is_empty(), own.is_disjoint(&first)) {
        (true, _) => BpffsOf::Container,
        (false, true) => BpffsOf::Node,
        (false, false) => BpffsOf::Here,
    }
}

/// From the kernel itself, or from where distributions put it.
fn config(release: &str) -> Known<BTreeSet<String>> {
    let mut text = String::new();
    let running =
        fs::File::open("/proc/config.gz").and_then(|file| GzDecoder::new(file).read_to_string(&mut text));
    if running.is_err() {
        let path = format!("/boot/config-{release}");
        text = fs::read_to_string(&path)
            .map_err(|_| format!("neither /proc/config.gz nor {path} can be read"))?;
    }
    Ok(options(&text))
}

fn options(config: &str) -> BTreeSet<String> {
    let is_on = |line: &str| line.strip_suffix("=y").or_else(|| line.strip_suffix("=m")).map(str::to_owned);
    config.lines().filter_map(is_on).collect()
}

/// A number below `/proc/sys`; `None` where there is none or it may not be read.
fn sysctl(name: &str) -> Option<u32> {
    fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_are_on_are_read() {
        let config = "# CONFIG_A is not set\nCONFIG_BPF=y\nCONFIG_VETH=m\nCONFIG_HZ=250\n";
        assert_eq!(options(config), ["CONFIG_BPF", "CONFIG_VETH"].map(str::to_owned).into());
    }

    #[test]
    fn a_bpffs_is_known_by_its_device_and_mounts_by_their_numbers() {
        let device = nix::sys::stat::makedev(0, 50);
        let own = "31 1 0:50 / /sys/fs/bpf rw - bpf bpf rw\n32 1 0:51 / /x rw - bpf bpf rw\n";
        assert_eq!(whose(own, own, device), BpffsOf::Here);
        let first = "71 1 0:50 / /sys/fs/bpf rw,shared:1 - bpf bpf rw\n32 1 0:51 / /x rw - bpf bpf rw\n";
        assert_eq!(whose(own, first, device), BpffsOf::Node);
        assert_eq!(whose(own, "31 1 0:52 / /sys/fs/bpf rw - bpf bpf rw\n", device), BpffsOf::Container);
    }
}
