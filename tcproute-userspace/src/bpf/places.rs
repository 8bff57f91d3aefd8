//! Places of sockets that nobody would free any more.
//!
//! A socket's place is freed by the programs of its workload's cgroup. If the workload is detached while the socket is
//! open, nobody does. Such a place does no harm but that others that meet it keep their states in the dearer map.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use aya::maps::{Array, MapData, MapError};
use tcproute_common::{CONNECTIONS, Kept, Phase, SocketAddress};

/// A program that has begun to fill a place is done with it long before: that takes it less than a microsecond.
pub(super) const FILLED: Duration = Duration::from_millis(10);

/// `BPF_F_LOCK` of `linux/bpf.h`: the place is written under its lock, as programs take it.
const UNDER_LOCK: u64 = 4;

/// How many connections are established to each endpoint, by the entry of the map `outcomes` that counts them. Those of
/// sockets that keep their state themselves are not among them.
pub(super) fn established(
    places: &Array<MapData, Kept>,
    generation: u8,
) -> Result<BTreeMap<(u32, SocketAddress), u64>> {
    let mut found = BTreeMap::new();
    for index in 0..CONNECTIONS {
        let place = places.get(&index, 0).context("cannot read the map connections")?;
        let is_counted = place.cookie != 0 && place.generation == generation && place.state.outcomes != 0;
        if is_counted && place.phase == Phase::Established as u8 {
            *found.entry((place.state.outcomes, place.state.chosen())).or_default() += 1;
        }
    }
    Ok(found)
}

/// Frees the places of sockets that count at one of these entries of the map `outcomes`. No program must be attached
/// for their workloads.
pub(super) fn free(
    places: &mut Array<MapData, Kept>,
    generation: u8,
    outcomes: &BTreeSet<u32>,
) -> Result<()> {
    let read = |places: &Array<_, _>, index: u32| {
        let place: Kept = places.get(&index, 0)?;
        let is_theirs = place.generation == generation && outcomes.contains(&place.state.outcomes);
        Ok::<_, MapError>((place.cookie != 0 && is_theirs).then_some(place))
    };
    let mut found = Vec::new();
    for index in 0..CONNECTIONS {
        let place = read(places, index).context("cannot read the map connections")?;
        found.extend(place.map(|place| (index, place)));
    }
    if found.is_empty() {
        return Ok(());
    }
    // One that has just been taken still has the state of the socket before.
    thread::sleep(FILLED);
    for (index, place) in found {
        let again = read(places, index).context("cannot read the map connections")?;
        if again.is_some_and(|again| again.cookie == place.cookie) {
            // Over, so that the next owner does not count its end: the entry of `outcomes` is soon another's. A claim
            // that came too late for the place and is taken back across this would leave it unused; it would have to
            // be as old as the place's owner, though.
            places
                .set(index, Kept { cookie: 0, claims: 0, phase: Phase::Over as u8, ..place }, UNDER_LOCK)
                .context("cannot write the map connections")?;
        }
    }
    Ok(())
}
