//! Installing what this machine lacks: the only place that calls a package manager.

use std::{process::Command, sync::Once};

use anyhow::{Context as _, Result, bail};

use crate::command;

/// What the kernel tests call.
pub(crate) const KERNEL_TESTS: [&str; 7] =
    ["bpftool", "curl", "iproute2", "iptables", "netcat-openbsd", "nftables", "python3"];

/// By what metrics are scraped and rules are tested, where there is nothing slow.
pub(crate) const PROMETHEUS: &str = "prometheus";

/// What shows the page, and a font for it: the same, where there is nothing slow.
pub(crate) const BROWSER: [&str; 2] = ["chromium", "fonts-dejavu-core"];

/// Sees to it that these Debian packages are there, and installs the missing ones where that is possible.
pub(crate) fn ensure(packages: &[&str]) -> Result<()> {
    let missing: Vec<_> = packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let listed = missing.join(" ");
    if !can_install() {
        bail!("missing: {listed}. Install them (Debian: sudo apt-get install {listed})");
    }
    refresh();
    eprintln!("installing by apt-get: {listed}");
    let mut install = apt_get();
    install.args(["install", "--yes", "--no-install-recommends"]).args(&missing);
    command::capture(&mut install).with_context(|| format!("cannot install {listed}"))?;
    Ok(())
}

/// Whether packages can be installed here: by root, where there is apt-get.
pub(crate) fn can_install() -> bool {
    is_root() && command::find("apt-get").is_some()
}

/// Whether this process may do what only root may.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether apt-get could install a package of that name.
pub(crate) fn is_available(package: &str) -> bool {
    refresh();
    command::capture(Command::new("apt-cache").args(["policy", package]))
        .is_ok_and(|answer| has_candidate(&answer))
}

/// A name that apt knows only from other packages' dependencies has no candidate.
fn has_candidate(policy: &str) -> bool {
    policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate:"))
        .any(|candidate| candidate.trim() != "(none)")
}

/// Whether the package, or outside Debian its program, is there.
pub(crate) fn is_installed(package: &str) -> bool {
    if command::find("dpkg-query").is_some() {
        let mut query = Command::new("dpkg-query");
        query.args(["--show", "--showformat=${db:Status-Status}", package]);
        command::capture(&mut query).is_ok_and(|status| status == "installed")
    } else {
        // Not Debian: its names mean nothing here, but the program that each is wanted for can be looked for.
        command::find(main_program(package)).is_some()
    }
}

fn main_program(package: &str) -> &str {
    match package {
        "iproute2" => "ip",
        "netcat-openbsd" => "nc",
        "nftables" => "nft",
        same => same,
    }
}

/// A fresh machine's package lists are empty or old. Once per run is enough.
fn refresh() {
    static REFRESHED: Once = Once::new();
    REFRESHED.call_once(|| {
        eprintln!("refreshing the package lists by apt-get update");
        // One unreachable source must not matter if the others have what is wanted; if none has it, the
        // installation says so.
        if let Err(error) = command::capture(apt_get().arg("update")) {
            eprintln!("warning: {error:#}");
        }
    });
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.arg("--quiet=2").env("DEBIAN_FRONTEND", "noninteractive");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_known_only_by_name_is_not_available() {
        assert!(has_candidate("bpftool:\n  Installed: (none)\n  Candidate: 7.1.0\n  Version table:\n"));
        assert!(!has_candidate("rustc:\n  Installed: (none)\n  Candidate: (none)\n"));
        assert!(!has_candidate(""));
    }
}
