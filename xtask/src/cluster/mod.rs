//! `cargo xtask cluster`: a cluster with a node, which is a virtual machine, and what tcproute does in it.
//!
//! The control plane runs on this machine, as it is elsewhere in most clusters. The node has Debian's kernel and root,
//! containerd, kubelet and kube-proxy. What is done with them is in `tests/cluster`.

mod root;

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    command,
    go_programs::{KUBERNETES, NODE, Programs},
    machine::{APPEND, EMULATED, Kernel, Source, Tree},
    package, provision,
    release::build_tests_binary,
    workspace,
};
use root::Content;

/// `cargo xtask cluster`
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write what was seen to docs/cluster.md
    #[arg(long)]
    record: bool,
}

/// Beside what the kernel tests call, of which containers have some.
const PACKAGES: [&str; 8] =
    ["cpio", "debootstrap", "e2fsprogs", "kmod", "qemu-system-x86", "tar", "util-linux", "xz-utils"];

/// What all pods but those of tcproute run.
const POD: &str = "localhost/pod:1";

/// What is all of kubelet, kube-proxy, kubectl and others.
const NODE_PROGRAM: &str = "kubernetes";

/// Has the rules of a redirection in a pod.
const XTABLES: &str = "/usr/lib/x86_64-linux-gnu/xtables";

/// By this it is one of the tests.
const WANTED: &str = "TCPROUTE_TEST_CLUSTER";

/// Boots the cluster, goes through all that there is to be seen, and prints what was seen.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !provision::is_root() {
        // With the PATH, since sudo's own seldom has cargo.
        bail!("the cluster needs root; run: sudo -E env \"PATH=$PATH\" cargo xtask cluster");
    }
    match build_and_run(options)? {
        None => Ok(()),
        Some(why) => bail!("{why}"),
    }
}

/// As a step of the tests: why it is skipped, if it is.
pub(crate) fn step() -> Result<Option<String>> {
    if env::var_os(WANTED).is_none_or(|wanted| wanted != "1") {
        return Ok(Some(format!("it takes 20 minutes; {WANTED}=1 has it run")));
    }
    if !provision::is_root() {
        return Ok(Some("needs root".to_owned()));
    }
    build_and_run(&Options { record: false })
}

/// Tells why there cannot be a cluster here, if there cannot.
fn build_and_run(options: &Options) -> Result<Option<String>> {
    if !cfg!(target_arch = "x86_64") {
        return Ok(Some("the node is one for x86-64".to_owned()));
    }
    provision::ensure(&[&provision::KERNEL_TESTS[..], &PACKAGES].concat())?;
    let control_plane = KUBERNETES.now()?;
    if let Some(why) = control_plane.why_not() {
        return Ok(Some(why.to_owned()));
    }
    let kubernetes = match NODE.now()? {
        Programs::In(directory) => directory,
        Programs::None(why) => return Ok(Some(why)),
    };
    name(&kubernetes)?;
    let directory = workspace::target().join("cluster");
    fs::create_dir_all(&directory)?;
    let kernel = Source::Debian { series: "6.12", suite: root::SUITE }.obtain(&directory)?;
    let images = [pod_image(&directory)?, package::image_for_this_machine()?];
    let content = Content {
        kernel: &kernel,
        kubernetes: &kubernetes.join(NODE_PROGRAM),
        images: &images,
        package: &package::debian_for_this_machine()?,
        pod: &build_tests_binary("pod")?,
    };
    let disk = root::disk(&content, &directory)?;
    let mut cluster = Command::new(build_tests_binary("cluster")?);
    cluster.arg("--kubernetes").arg(&kubernetes).arg("--directory").arg(&directory);
    if options.record {
        cluster.arg("--record").arg(workspace::root().join("docs/cluster.md"));
    }
    cluster.arg("--").args(machine(&kernel, &disk));
    KUBERNETES.tell(&control_plane, &mut cluster);
    let result = command::run(&mut cluster);
    // It is large, and made from what is kept.
    fs::remove_file(&disk)?;
    result.map(|()| None)
}

/// Has the one program of [`NODE`] called by the names of those that are wanted outside of the node.
fn name(kubernetes: &Path) -> Result<()> {
    for name in ["kubectl", "kube-controller-manager", "kube-scheduler"] {
        let link = kubernetes.join(name);
        if !link.is_symlink() {
            symlink(NODE_PROGRAM, &link).with_context(|| format!("cannot make {}", link.display()))?;
        }
    }
    Ok(())
}

fn pod_image(directory: &Path) -> Result<PathBuf> {
    let content = tempfile::tempdir()?;
    let tree = Tree::at(content.path().to_owned());
    tree.program(&build_tests_binary("pod")?, "/usr/bin/pod")?;
    for program in ["/usr/sbin/iptables-nft-restore", "/usr/bin/nsenter"] {
        tree.program(Path::new(program), program)?;
    }
    tree.all(Path::new(XTABLES))?;
    // iptables has its lock in this directory, which is there only with something in it.
    fs::create_dir_all(tree.inside("/run"))?;
    fs::write(tree.inside("/run/xtables.lock"), "")?;
    let mut files = package::tree::Tree::default();
    files.programs_of(tree.root())?;
    let archive = directory.join("pod.tar");
    package::layout::write(POD, (&["/usr/bin/pod"], &["pause"]), &files, &archive)?;
    Ok(archive)
}

/// The machine, as a command line. What it writes to its disk is gone when it is.
fn machine(kernel: &Kernel, disk: &Path) -> Vec<String> {
    let words = "qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -m 4096 -display none -monitor none -serial stdio \
                 -nic tap,ifname=tap0,script=no,downscript=no,model=virtio-net-pci -device nvme,drive=disk,serial=1";
    let mut line: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let more = [
        ("-cpu", EMULATED.to_owned()),
        ("-drive", format!("file={},if=none,id=disk,format=raw,snapshot=on", disk.display())),
        ("-kernel", kernel.image.display().to_string()),
        // The driver of NVMe is built in, so there need be no initramfs.
        ("-append", format!("root=/dev/nvme0n1 rw net.ifnames=0 {APPEND}")),
    ];
    line.extend(more.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
    line
}
