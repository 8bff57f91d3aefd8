//! Nothing: clients dial an endpoint. No way to it can be better.

use std::fs;

use anyhow::{Context as _, Result};
use tcproute_tests::bench::site::Site;

use super::Prepared;
use crate::mesh::Services;

/// The version is that of the kernel, which does it all.
pub(super) fn prepare(_: &Site, _: Services) -> Result<Prepared> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot tell the kernel")?;
    Ok(Prepared {
        version: format!("Linux {}", release.trim()),
        command: None,
        stays: false,
        is_tracked: false,
        ways: Vec::new(),
        daemon: None,
        keep: Box::new(()),
    })
}
