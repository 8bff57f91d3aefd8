//! The maps that a daemon has pinned.

use std::{path::Path, process::Command};

use anyhow::Result;
use aya::maps::{Array, HashMap, Map, MapData};

use crate::client::stdout;

/// The map `routes`, as bytes.
pub fn routes(pins: &Path) -> Result<HashMap<MapData, [u8; 24], [u8; 24]>> {
    Ok(Map::HashMap(MapData::from_pin(pins.join("routes"))?).try_into()?)
}

/// What `bpftool map create` makes a map of that is none of ours.
pub const FOREIGN: &str = "type array key 4 value 4 entries 1 name x";

/// Pins a new map there, as `bpftool map create` is told of it.
pub fn create(at: &Path, what: &str) {
    let mut bpftool = Command::new("bpftool");
    let created = bpftool.args(["map", "create"]).arg(at).args(what.split(' ')).output();
    stdout(&created.expect("bpftool can be started"));
}

/// A place of `connections`: a lock and the phase, the cookie of the socket that has it, and the rest.
#[derive(Debug, Clone, Copy)]
pub struct Place(pub [u64; 8]);

impl Place {
    /// The socket that has it; 0 if none has.
    pub const fn cookie(&self) -> u64 {
        self.0[1]
    }

    /// Whether no end of a connection is to be counted any more.
    pub const fn is_over(&self) -> bool {
        let [.., low, high, _, _] = self.0[0].to_ne_bytes();
        low == 0 && high == 0
    }
}

/// The places of `connections`.
pub struct Places(Array<MapData, [u64; 8]>);

impl Places {
    /// As they are pinned.
    pub fn open(pins: &Path) -> Result<Self> {
        Ok(Self(Map::Array(MapData::from_pin(pins.join("connections"))?).try_into()?))
    }

    /// The one in which the socket with this cookie has its state, unless another had it first.
    pub fn of(&self, cookie: u64) -> Result<Place> {
        let index = u32::try_from(cookie % u64::from(self.0.len()))?;
        Ok(Place(self.0.get(&index, 0)?))
    }

    /// Those that belong to a socket. It takes long to read them all where a call of the kernel does.
    pub fn in_use(&self) -> Result<Vec<Place>> {
        let all: Vec<Place> = self.0.iter().map(|place| Ok(Place(place?))).collect::<Result<_>>()?;
        Ok(all.into_iter().filter(|place| place.cookie() != 0).collect())
    }
}
