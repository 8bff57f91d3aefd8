//! Which daemon holds the directory of pins: the one that has locked it.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use nix::sys::stat::{major, minor};

use super::NAME;

/// Its pid, as far as this process may see it.
pub fn daemon(bpffs: &Path) -> Option<u32> {
    let metadata = fs::symlink_metadata(bpffs.join(NAME)).ok()?;
    holder(&fs::read_to_string("/proc/locks").ok()?, metadata.dev(), metadata.ino())
}

/// The pid in the line of `/proc/locks` (proc(5)) about a lock by flock(2) on this file.
fn holder(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let file = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    locks.lines().find_map(|line| {
        // `1: FLOCK  ADVISORY  WRITE 1234 00:2f:5678 0 EOF`; a waiting one has an arrow before its kind.
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(1) == Some(&"FLOCK") && fields.get(5) == Some(&file.as_str()))
            .then(|| fields[4].parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found() {
        let locks = "\
1: POSIX  ADVISORY  WRITE 77 00:2f:5678 0 EOF
2: FLOCK  ADVISORY  WRITE 1234 00:2f:5678 0 EOF
2: -> FLOCK  ADVISORY  WRITE 4321 00:2f:5678 0 EOF
";
        assert_eq!(holder(locks, 0x2f, 5678), Some(1234));
        assert_eq!(holder(locks, 0x2f, 5679), None);
    }
}
