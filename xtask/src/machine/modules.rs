//! The modules of a kernel that tests need, each behind those that it needs itself: kmod knows.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::command;

/// A kernel may have some of them built in, and others not at all.
const WANTED: [&str; 17] = [
    "veth",
    "tcp_diag",
    // The nat table of iptables-legacy.
    "iptable_nat",
    "ip6table_nat",
    // What rules ask for and do, also those of iptables-nft.
    "xt_REDIRECT",
    "xt_nat",
    "xt_owner",
    "xt_tcpudp",
    "xt_mark",
    "xt_conntrack",
    "xt_comment",
    "nft_compat",
    "nft_chain_nat",
    "nft_nat",
    "nft_redir",
    "nft_ct",
    "nft_counter",
];

/// In the order in which they are loaded, from where the packages of a kernel are unpacked.
pub(crate) fn wanted(root: &Path) -> Result<Vec<PathBuf>> {
    let (base, release) = place(root)?;
    if !base.join("lib/modules").join(&release).join("modules.dep.bin").exists() {
        // The package does so when it is installed.
        command::capture(Command::new("depmod").arg("--basedir").arg(&base).arg(&release))?;
    }
    let mut modules = Vec::new();
    for name in WANTED {
        let mut modprobe = Command::new("modprobe");
        modprobe.arg("--dirname").arg(&base).args(["--set-version", &release, "--show-depends", name]);
        // It fails if there is no such module.
        for module in files(&command::capture(&mut modprobe).unwrap_or_default()) {
            if !modules.contains(&module) {
                modules.push(module);
            }
        }
    }
    Ok(modules)
}

/// The directory with `lib/modules`, and the release of the kernel.
pub(crate) fn place(root: &Path) -> Result<(PathBuf, String)> {
    for base in [root.join("usr"), root.to_owned()] {
        let Ok(mut releases) = fs::read_dir(base.join("lib/modules")) else { continue };
        let release = releases.next().context("a kernel without modules")??.file_name();
        return Ok((base, release.to_string_lossy().into_owned()));
    }
    bail!("{} has no modules", root.display())
}

/// The files that modprobe would load; what is built in has none.
fn files(printed: &str) -> impl Iterator<Item = PathBuf> {
    // Options of the module stand behind its file.
    printed.lines().filter_map(|line| line.strip_prefix("insmod ")?.split(' ').next().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_those_that_are_loaded() {
        let printed = "insmod /m/x_tables.ko.xz \nbuiltin nfnetlink\ninsmod /m/nf_conntrack.ko.xz acct=1\n";
        let expected = ["/m/x_tables.ko.xz", "/m/nf_conntrack.ko.xz"].map(PathBuf::from);
        assert_eq!(files(printed).collect::<Vec<_>>(), expected);
    }
}
