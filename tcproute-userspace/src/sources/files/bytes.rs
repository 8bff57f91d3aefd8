//! The bytes of a file, while it is read.
//!
//! Many are in memory of their own and not on the heap: the allocator would keep that room, and fill it with what
//! stays.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    ops::Deref,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use memmap2::MmapMut;
use nix::libc::O_NONBLOCK;

use super::super::documents::limits;

/// See the module.
#[derive(Debug)]
pub(super) enum Bytes {
    Few(Vec<u8>),
    /// The first so many of them.
    Many(MmapMut, usize),
}

/// From here on they are many.
const MANY: usize = 1 << 17;

impl Bytes {
    /// Reads a file, unless it is too large. With `is_regular` nothing else is read.
    pub(super) fn read(path: &Path, is_regular: bool) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.read(true);
        if is_regular {
            // Else a pipe would be waited for as long as nobody writes to it.
            options.custom_flags(O_NONBLOCK);
        }
        let mut file = options.open(path)?;
        let metadata = file.metadata()?;
        if is_regular && !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        // Its size tells whether to begin at all; but a device or a pipe has none.
        let Some(size) = usize::try_from(metadata.len()).ok().filter(|size| *size <= limits::FILE) else {
            return Ok(None);
        };
        if size < MANY {
            return few(file, Vec::with_capacity(size + 1));
        }
        // One more, to see that there are no more.
        let mut map = MmapMut::map_anon(size + 1)?;
        let read = fill(&mut file, &mut map)?;
        if read > size {
            // Somebody goes on writing.
            return few(file, map.to_vec());
        }
        Ok(Some(Self::Many(map, read)))
    }
}

/// Reads what is left of a file.
fn few(file: File, mut bytes: Vec<u8>) -> io::Result<Option<Bytes>> {
    let most = limits::FILE - bytes.len() + 1;
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= limits::FILE).then_some(Bytes::Few(bytes)))
}

/// Reads up to the end of either.
fn fill(file: &mut File, room: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < room.len() {
        match file.read(&mut room[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Few(bytes) => bytes,
            Self::Many(map, filled) => &map[..*filled],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn few_and_many_are_read_and_too_many_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        for size in [0, 1, MANY - 1, MANY, 3 * MANY] {
            let text: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            fs::write(&path, &text).unwrap();
            let read = Bytes::read(&path, true).unwrap().unwrap();
            assert!(*read == *text, "{size}");
            assert_eq!(matches!(read, Bytes::Many(..)), size >= MANY);
        }
        File::options().write(true).open(&path).unwrap().set_len(limits::FILE as u64 + 1).unwrap();
        assert!(Bytes::read(&path, true).unwrap().is_none());
        let error = Bytes::read(directory.path(), true).unwrap_err();
        assert_eq!(error.to_string(), "it is no regular file");
    }

    #[test]
    fn what_was_written_meanwhile_is_read_as_well() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "abcdef").unwrap();
        let mut file = File::open(&path).unwrap();
        let mut room = [0; 3];
        assert_eq!(fill(&mut file, &mut room).unwrap(), 3);
        assert_eq!(*few(file, room.to_vec()).unwrap().unwrap(), *b"abcdef");
    }
}
