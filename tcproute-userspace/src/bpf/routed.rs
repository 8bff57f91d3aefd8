//! Which sockets the programs have routed, for those who find the sockets elsewhere.

use std::os::fd::{AsFd, BorrowedFd};

use super::maps::again;
use anyhow::{Context, Result, bail};
use aya::maps::{Array, Map, MapData};
use tcproute_common::{CONNECTIONS, ConnectionState, Kept};

/// The states of sockets, by file descriptors of its own.
pub struct RoutedSockets {
    connections: Array<MapData, Kept>,
    overflow: MapData,
}

/// What was decided for the socket with this cookie, if it has a place.
pub(super) fn state_of(connections: &Array<MapData, Kept>, cookie: u64) -> Result<Option<ConnectionState>> {
    let index = cookie as u32 & (CONNECTIONS - 1);
    let place = connections.get(&index, 0).context("cannot read the map connections")?;
    Ok((place.cookie == cookie).then_some(place.state))
}

impl RoutedSockets {
    /// Of these maps.
    pub(super) fn open(connections: &MapData, overflow: &Map) -> Result<Self> {
        let Map::SkStorage(overflow) = overflow else { bail!("the map overflow is of another kind") };
        let connections = again(connections).context("cannot open the map connections")?;
        Ok(Self {
            connections: Array::try_from(Map::Array(connections))?,
            overflow: again(overflow).context("cannot open the map overflow")?,
        })
    }

    /// What was decided for the socket with this cookie, if it has a place.
    pub fn state(&self, cookie: u64) -> Result<Option<ConnectionState>> {
        state_of(&self.connections, cookie)
    }

    /// The map with the states of those that have none.
    pub fn overflow(&self) -> BorrowedFd<'_> {
        self.overflow.fd().as_fd()
    }
}
