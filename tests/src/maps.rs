//! The maps that a daemon has pinned.

use std::path::Path;

use anyhow::Result;
use aya::maps::{Array, HashMap, Map, MapData};

/// The map `routes`, as bytes.
pub fn routes(pins: &Path) -> Result<HashMap<MapData, [u8; 24], [u8; 20]>> {
    Ok(Map::HashMap(MapData::from_pin(pins.join("routes"))?).try_into()?)
}

/// How many slots of `connections` belong to a socket.
pub fn slots_in_use(pins: &Path) -> Result<usize> {
    let map = Map::Array(MapData::from_pin(pins.join("connections"))?);
    let slots: Array<_, [u64; 8]> = map.try_into()?;
    let mut used = 0;
    for slot in slots.iter() {
        // Behind the lock: the cookie of the socket that has it.
        used += usize::from(slot?[1] != 0);
    }
    Ok(used)
}
