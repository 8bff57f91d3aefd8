//! The eBPF object, embedded so that there is one file to ship.

use anyhow::{Result, bail};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tcproute.bpf.o"));

/// The object's bytes. An error if this binary was built before there was one.
pub(super) fn object() -> Result<&'static [u8]> {
    if OBJECT.is_empty() {
        bail!(
            "this tcproute was built without its eBPF programs: run `cargo xtask build-ebpf` and build again"
        );
    }
    Ok(OBJECT)
}
