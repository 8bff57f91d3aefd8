//! What is done with maps of any kind.

use std::os::fd::AsFd as _;

use anyhow::{Context, Result, anyhow};
use aya::{
    Ebpf, Pod,
    maps::{HashMap, Map, MapData, MapError},
};
use nix::libc::ENOENT;

/// Removes an entry, if it is there.
pub(super) fn remove<K: Pod, V: Pod>(map: &mut HashMap<MapData, K, V>, key: &K) -> Result<(), MapError> {
    removed(map, key).map(drop)
}

/// As [`remove`]. Whether it was there.
pub(super) fn removed<K: Pod, V: Pod>(map: &mut HashMap<MapData, K, V>, key: &K) -> Result<bool, MapError> {
    match map.remove(key) {
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(ENOENT) => Ok(false),
        result => result.map(|()| true),
    }
}

/// The same map by a file descriptor of its own.
pub(super) fn again(map: &MapData) -> Result<MapData> {
    Ok(MapData::from_fd(map.fd().as_fd().try_clone_to_owned()?)?)
}

/// Takes a map out of the object.
pub(super) fn take<M: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &str) -> Result<M> {
    let map = ebpf.take_map(name).ok_or_else(|| anyhow!("the eBPF object has no map {name}"))?;
    M::try_from(map).with_context(|| format!("the map {name} of the eBPF object is of another layout"))
}
