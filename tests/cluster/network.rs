//! The network of the cluster: a namespace of its own, which nothing leaves, with this process, the control plane and
//! one end of a cable to the node.

use std::{net::Ipv4Addr, process::Command};

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CloneFlags, unshare};

/// Of the control plane, as the node's files have it.
pub(crate) const CONTROL_PLANE: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 99, 0, 1), 6443);

/// Takes this process into it.
pub(crate) fn isolate() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
    for arguments in [
        "link set lo up",
        // The node is plugged into this.
        "tuntap add tap0 mode tap",
        "address add 10.99.0.1/24 dev tap0",
        "link set tap0 up",
    ] {
        let status = Command::new("ip").args(arguments.split(' ')).status().context("cannot start ip")?;
        ensure!(status.success(), "ip {arguments}: {status}");
    }
    Ok(())
}
