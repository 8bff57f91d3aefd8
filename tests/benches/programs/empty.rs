//! The program that does nothing.

use std::{fs::File, path::PathBuf};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    programs::{CgroupAttachMode, CgroupSockAddr},
};
use tcproute_tests::cgroup::TestCgroup;

/// As the kernel calls it.
pub(crate) const NAME: &str = "lb_empty";

/// Attached until this is dropped.
pub(crate) struct Empty(#[expect(dead_code, reason = "it is kept")] Ebpf);

impl Empty {
    /// Beside the programs of these.
    pub(crate) fn attach(cgroups: &[&TestCgroup]) -> Result<Self> {
        let path = object();
        let mut ebpf = Ebpf::load_file(&path)
            .with_context(|| format!("cannot load {}: run `cargo xtask build-ebpf`", path.display()))?;
        let program = ebpf.program_mut(NAME).with_context(|| format!("there is no program {NAME}"))?;
        let program: &mut CgroupSockAddr = program.try_into()?;
        program.load().with_context(|| format!("the kernel refuses the program {NAME}"))?;
        for cgroup in cgroups {
            let directory = File::open(cgroup.path()).context("cannot open a cgroup")?;
            // As a link, so "multi" all the same.
            program.attach(directory, CgroupAttachMode::Single).context("cannot attach it")?;
        }
        Ok(Self(ebpf))
    }
}

/// Where `cargo xtask build-ebpf` puts it.
fn object() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../target/bpf/lru-balancer.bpf.o"].iter().collect()
}
