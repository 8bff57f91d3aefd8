//! The root file system of the node: Debian, made once, and what each run puts into it.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    command,
    machine::{Archive, Kernel, Tree},
    workspace,
};

/// The release of Debian, of which the kernel is, too.
pub(super) const SUITE: &str = "trixie";

/// What a node has beside what every Debian has.
const PACKAGES: [&str; 12] = [
    "bpftool",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "dbus",
    "iproute2",
    "kmod",
    "nftables",
    "procps",
    "runc",
    "systemd-sysv",
    "udev",
];

/// Of no use to a machine that lives for minutes, and slow where it is emulated.
const UNUSED_UNITS: [&str; 8] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "getty.target",
    "serial-getty@ttyS0.service",
    "systemd-tmpfiles-clean.timer",
];

/// Ours, in `tests/cluster/root`.
const UNITS: [&str; 4] = ["network.service", "images.service", "kubelet.service", "kube-proxy.service"];

/// By which name the program is called in the node.
const PROGRAMS: [&str; 2] = ["kubelet", "kube-proxy"];

/// Bytes of the disk: sparse, so it takes what is in it.
const SIZE: &str = "3G";

/// What comes into the root of a node.
pub(super) struct Content<'c> {
    pub(super) kernel: &'c Kernel,
    /// kubelet and kube-proxy in one.
    pub(super) kubernetes: &'c Path,
    /// Archives of images.
    pub(super) images: &'c [PathBuf],
    /// That of Debian, with which the node is a host without a cluster.
    pub(super) package: &'c Path,
    /// What containers run, for services of such a host.
    pub(super) pod: &'c Path,
}

/// Makes the disk of a node.
pub(super) fn disk(content: &Content<'_>, directory: &Path) -> Result<PathBuf> {
    let tree = base(directory)?;
    let etc = workspace::root().join("tests/cluster/root/etc");
    command::run(
        Command::new("cp").args(["--recursive", "--no-target-directory"]).arg(etc).arg(tree.inside("/etc")),
    )?;
    chroot(&tree, Command::new("systemctl").args(["--quiet", "enable"]).args(UNITS))?;
    modules(&tree, content.kernel)?;
    lay(&tree, "/var/lib/images", content.images)?;
    lay(&tree, "/var/lib/packages", &[content.package])?;
    tree.file(content.kubernetes, "/usr/local/bin/kubernetes")?;
    tree.file(content.pod, "/usr/local/bin/pod")?;
    for program in PROGRAMS {
        let link = tree.inside("/usr/local/bin").join(program);
        let _ = fs::remove_file(&link);
        symlink("kubernetes", link)?;
    }
    let disk = directory.join("node.ext4");
    let _ = fs::remove_file(&disk);
    let mut mkfs = Command::new("mkfs.ext4");
    mkfs.args(["-q", "-F", "-d"]).arg(tree.root()).arg(&disk).arg(SIZE);
    command::run(&mut mkfs)?;
    Ok(disk)
}

/// These files in a directory, and no others.
fn lay(tree: &Tree, directory: &str, files: &[impl AsRef<Path>]) -> Result<()> {
    let _ = fs::remove_dir_all(tree.inside(directory));
    for file in files.iter().map(AsRef::as_ref) {
        let name = file.file_name().with_context(|| format!("{} has no name", file.display()))?;
        tree.file(file, &format!("{directory}/{}", name.to_string_lossy()))?;
    }
    Ok(())
}

/// Debian with the packages of a node, made anew only if these are others.
fn base(directory: &Path) -> Result<Tree> {
    let mut hasher = DefaultHasher::new();
    (SUITE, PACKAGES, UNUSED_UNITS).hash(&mut hasher);
    let root = directory.join(format!("root-{:016x}", hasher.finish()));
    let tree = Tree::at(root.clone());
    if root.exists() {
        return Ok(tree);
    }
    eprintln!("making the root of a Debian {SUITE} with containerd (once, about 3 minutes)");
    let partial = Tree::at(directory.join("root.partial"));
    let _ = fs::remove_dir_all(partial.root());
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", &format!("--include={}", PACKAGES.join(",")), SUITE]);
    debootstrap.arg(partial.root()).arg(Archive::find().url());
    command::capture(&mut debootstrap)?;
    chroot(&partial, Command::new("systemctl").args(["--quiet", "mask"]).args(UNUSED_UNITS))?;
    for unused in ["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"]
    {
        let _ = fs::remove_dir_all(partial.root().join(unused));
    }
    fs::rename(partial.root(), &root)?;
    Ok(tree)
}

/// Those of the kernel, in the place of another one's.
fn modules(tree: &Tree, kernel: &Kernel) -> Result<()> {
    let from = kernel.modules_directory()?;
    let all = tree.inside("/usr/lib/modules");
    let _ = fs::remove_dir_all(&all);
    fs::create_dir_all(&all)?;
    command::run(Command::new("cp").arg("--recursive").arg(from).arg(all))
}

fn chroot(tree: &Tree, command: &Command) -> Result<()> {
    let mut chroot = Command::new("chroot");
    chroot.arg(tree.root()).arg(command.get_program()).args(command.get_args());
    command::capture(&mut chroot).map(drop)
}
