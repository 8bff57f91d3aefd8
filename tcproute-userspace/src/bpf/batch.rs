//! Many entries of a map by few calls, where the kernel has that: hashes from 5.6 on, arrays from 5.13.

use std::io;

use aya::{
    Pod,
    maps::{Array, HashMap, IterableMap, MapData, MapError},
};

use super::sys::update_batch;

/// So many entries are written by one call.
const AT_A_TIME: usize = 2048;

/// `ENOTSUPP` of include/linux/errno.h, which no header of the C library has.
const ENOTSUPP: i32 = 524;

/// A map whose entries can be written.
pub(super) trait Writable<K: Pod, V: Pod> {
    fn data(&self) -> &MapData;
    fn write(&mut self, key: &K, value: &V) -> Result<(), MapError>;
}

impl<V: Pod> Writable<u32, V> for Array<MapData, V> {
    fn data(&self) -> &MapData {
        self.map()
    }

    fn write(&mut self, index: &u32, value: &V) -> Result<(), MapError> {
        self.set(*index, value, 0)
    }
}

impl<K: Pod, V: Pod> Writable<K, V> for HashMap<MapData, K, V> {
    fn data(&self) -> &MapData {
        self.map()
    }

    fn write(&mut self, key: &K, value: &V) -> Result<(), MapError> {
        self.insert(key, value, 0)
    }
}

/// Writes entries: by batches, or one by one if the kernel has no batches for such a map. If that fails, some of them
/// have been written.
pub(super) fn write_all<K: Pod, V: Pod>(
    map: &mut impl Writable<K, V>,
    entries: impl Iterator<Item = (K, V)>,
) -> Result<(), MapError> {
    let mut entries = entries.peekable();
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    while entries.peek().is_some() {
        keys.clear();
        values.clear();
        for (key, value) in entries.by_ref().take(AT_A_TIME) {
            keys.push(key);
            values.push(value);
        }
        match update_batch(map.data().fd(), &keys, &values) {
            Ok(()) => {}
            Err(error) if is_unsupported(&error) => {
                for (key, value) in keys.iter().zip(&values) {
                    map.write(key, value)?;
                }
            }
            Err(error) => return Err(MapError::IoError(error)),
        }
    }
    Ok(())
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ENOTSUPP | nix::libc::EOPNOTSUPP))
}
