//! The map `addresses`: those at which programs look, whoever dials them.

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::{Array, MapData},
};
use tcproute_common::{NodeFilter, SocketAddress};

use super::maps::take;

/// See the module.
pub(super) struct Addresses {
    map: Array<MapData, NodeFilter>,
    /// What is in it.
    filter: Box<NodeFilter>,
}

impl Addresses {
    /// With those that an earlier daemon has written, if the map is its.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self> {
        let map: Array<_, NodeFilter> = take(ebpf, "addresses")?;
        let filter = Box::new(map.get(&0, 0).context("cannot read the map addresses")?);
        Ok(Self { map, filter })
    }

    /// Has programs look at these, too. It is never undone: which of them others have is not known, and sockets may
    /// still hold states from routes that have left.
    pub(super) fn extend<'a>(
        &mut self,
        addresses: impl Iterator<Item = &'a SocketAddress> + Clone,
    ) -> Result<()> {
        if addresses.clone().all(|address| self.filter.may_contain(address)) {
            return Ok(());
        }
        let mut filter = self.filter.clone();
        addresses.for_each(|address| filter.insert(address));
        // What is in it already stays as it is at any moment of this.
        self.map.set(0, *filter, 0).context("cannot write the map addresses")?;
        self.filter = filter;
        Ok(())
    }
}
