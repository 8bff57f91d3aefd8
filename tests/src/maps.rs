//! The maps that a daemon has pinned.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use aya::maps::{Array, HashMap, Map, MapData};

/// The map `routes`, as bytes.
pub fn routes(pins: &Path) -> Result<HashMap<MapData, [u8; 24], [u8; 20]>> {
    Ok(Map::HashMap(MapData::from_pin(pins.join("routes"))?).try_into()?)
}

/// How many slots of `connections` belong to a socket.
pub fn slots_in_use(pins: &Path) -> Result<usize> {
    Ok(slots(pins)?.len())
}

/// What is in the slots of `connections` that belong to a socket, by its cookie.
pub fn slots(pins: &Path) -> Result<BTreeMap<u64, [u64; 8]>> {
    let used = all_slots(pins)?.into_iter().filter(|slot| slot[1] != 0);
    Ok(used.map(|slot| (slot[1], slot)).collect())
}

/// How many free slots still have a connection whose end is to be counted.
pub fn slots_with_a_connection_of_nobody(pins: &Path) -> Result<usize> {
    // Behind the lock: the phase.
    let is_over = |slot: &[u64; 8]| slot[0].to_ne_bytes()[4..6] == [0, 0];
    Ok(all_slots(pins)?.iter().filter(|slot| slot[1] == 0 && !is_over(slot)).count())
}

/// A lock and the phase, the cookie of the socket that has it, and the rest.
fn all_slots(pins: &Path) -> Result<Vec<[u64; 8]>> {
    let map = Map::Array(MapData::from_pin(pins.join("connections"))?);
    let slots: Array<_, [u64; 8]> = map.try_into()?;
    Ok(slots.iter().collect::<Result<_, _>>()?)
}
