//! Whose directory it is: `<bpffs>/tcproute` is used if it is ours, and moved aside if it is not.
//!
//! Ours is a directory, no symbolic link, on the bpffs itself, of the user that this process runs as. Whoever is not
//! that user and not root can put nothing else in its place: bpffs is mounted with mode 1777, so nobody renames what
//! others have made.

use std::{
    fs::{File, TryLockError},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    sys::{
        stat::FileStat,
        statfs::{BPF_FS_MAGIC, fstatfs},
    },
    unistd::geteuid,
};
use tracing::warn;

use super::{
    NAME, daemon,
    directory::{Directory, is_directory},
};

/// The directory of pins, and the lock that keeps others out.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) directory: Directory,
    _lock: Lock,
}

/// Dies with the process, however that ends: so a directory that can be locked has no daemon.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Others may hold the directory open still. What cannot be unlocked now is when they do not.
        let _ = self.0.unlock();
    }
}

/// Others may make one again and again.
const TRIES: usize = 100;

/// What there is in the place of the directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Nobodys,
    Ours,
    /// Why it is not ours.
    Others(String),
    /// Something is mounted there.
    Covered,
}

/// The bpffs that is mounted there.
pub(super) fn root(bpffs: &Path) -> Result<Directory> {
    let at = bpffs.display();
    find_root(bpffs)?.with_context(|| {
        format!(
            "no bpffs is mounted at {at}: mount it with `mount -t bpf bpf {at}`, or name another one with --bpffs"
        )
    })
}

/// The bpffs that is mounted there, if there is one.
pub(super) fn find_root(bpffs: &Path) -> Result<Option<Directory>> {
    let at = bpffs.display();
    let root = match Directory::open(bpffs) {
        Ok(root) => root,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot open {at}")),
    };
    let mounted = fstatfs(root.file()).with_context(|| format!("cannot ask what is mounted at {at}"))?;
    Ok((mounted.filesystem_type() == BPF_FS_MAGIC).then_some(root))
}

impl Claimed {
    /// Makes the directory, or takes over the one that a daemon has left.
    pub(super) fn claim(root: &Directory) -> Result<Self> {
        for _ in 0..TRIES {
            match whose(root)? {
                Whose::Nobodys => root.make(NAME)?,
                Whose::Others(why) => move_aside(root, &why)?,
                Whose::Covered => {
                    let at = root.shown(NAME);
                    bail!("something else is mounted at {0}: end that with `umount {0}`", at.display());
                }
                Whose::Ours => {
                    if let Some(claimed) = Self::lock(root)? {
                        return Ok(claimed);
                    }
                }
            }
        }
        let at = root.shown(NAME);
        bail!("{} is made by others again and again: mount a bpffs that only root may write", at.display())
    }

    /// `None` if it has gone or is another one meanwhile.
    fn lock(root: &Directory) -> Result<Option<Self>> {
        let Some(directory) = root.child(NAME)? else { return Ok(None) };
        let file = directory.file().try_clone().with_context(|| format!("cannot open {directory}"))?;
        let lock = match file.try_lock() {
            Ok(()) => Lock(file),
            Err(TryLockError::WouldBlock) => {
                let pid = daemon(root.shown("").as_path())
                    .map_or_else(String::new, |pid| format!(" with pid {pid}"));
                bail!("another tcproute is running on this node{pid}: it holds {directory}");
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {directory}"));
            }
        };
        let metadata = directory.file().metadata().with_context(|| format!("cannot look at {directory}"))?;
        let same =
            root.stamp_of(NAME)?.is_some_and(|stamp| directory.stamp().is_ok_and(|own| own.is_of(&stamp)));
        if !same || metadata.uid() != geteuid().as_raw() {
            return Ok(None);
        }
        if metadata.permissions().mode() & 0o7777 != 0o700 {
            warn!("{directory} had the mode {:o}: it is 700 again", metadata.permissions().mode() & 0o7777);
            let mode = std::fs::Permissions::from_mode(0o700);
            directory
                .file()
                .set_permissions(mode)
                .with_context(|| format!("cannot close {directory} to others"))?;
        }
        Ok(Some(Self { directory, _lock: lock }))
    }
}

/// Whose that is which has the place of the directory.
pub(super) fn whose(root: &Directory) -> Result<Whose> {
    let Some(status) = root.status(NAME)? else { return Ok(Whose::Nobodys) };
    let device = root.file().metadata().with_context(|| format!("cannot look at {root}"))?.dev();
    Ok(judge(&status, device, geteuid().as_raw()))
}

fn judge(status: &FileStat, device: u64, us: u32) -> Whose {
    if status.st_dev != device {
        Whose::Covered
    } else if !is_directory(status) {
        Whose::Others("it is no directory".to_owned())
    } else if status.st_uid != us {
        Whose::Others(format!("it is of the user {}", status.st_uid))
    } else {
        Whose::Ours
    }
}

/// Nothing in it is looked at or changed.
fn move_aside(root: &Directory, why: &str) -> Result<()> {
    let at = root.shown(NAME);
    // A name that nobody has taken beforehand.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let aside = format!("{NAME}-foreign-{}", now.as_nanos());
    match root.rename_to_free(NAME.as_ref(), root, aside.as_ref()) {
        Ok(()) => {
            warn!("{} is not tcproute's, {why}: it is moved to {}", at.display(), root.shown(aside).display());
            Ok(())
        }
        // It has gone by itself.
        Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error).with_context(|| {
            let at = at.display();
            format!("{at} is not tcproute's, {why}, and cannot be moved aside: remove it with `rm -r {at}`, or name another bpffs with --bpffs")
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn in_place(directory: &Path) -> (Directory, Whose) {
        let root = Directory::open(directory).unwrap();
        let whose = whose(&root).unwrap();
        (root, whose)
    }

    #[test]
    fn what_others_have_made_is_moved_aside_and_neither_followed_nor_changed() {
        let victim = tempfile::tempdir().unwrap();
        fs::set_permissions(victim.path(), PermissionsExt::from_mode(0o755)).unwrap();
        fs::create_dir_all(victim.path().join("layout-docs/x")).unwrap();
        let link: &dyn Fn(&Path) = &|at| symlink(victim.path(), at).unwrap();
        let file: &dyn Fn(&Path) = &|at| fs::write(at, "").unwrap();
        for plant in [link, file] {
            let bpffs = tempfile::tempdir().unwrap();
            plant(&bpffs.path().join(NAME));
            let (root, whose) = in_place(bpffs.path());
            assert_eq!(whose, Whose::Others("it is no directory".to_owned()));
            let claimed = Claimed::claim(&root).unwrap();
            assert_eq!(claimed.directory.names().unwrap(), [] as [&str; 0]);
            let names = root.names().unwrap();
            assert_eq!(names.len(), 2);
            assert!(names[1].to_string_lossy().starts_with("tcproute-foreign-"), "{names:?}");
        }
        assert_eq!(fs::metadata(victim.path()).unwrap().permissions().mode() & 0o777, 0o755);
        assert!(victim.path().join("layout-docs/x").exists());
    }

    #[test]
    fn only_a_directory_of_this_user_on_the_same_file_system_is_ours() {
        let bpffs = tempfile::tempdir().unwrap();
        assert_eq!(in_place(bpffs.path()).1, Whose::Nobodys);
        fs::create_dir(bpffs.path().join(NAME)).unwrap();
        let (root, whose) = in_place(bpffs.path());
        assert_eq!(whose, Whose::Ours);
        let status = root.status(NAME).unwrap().unwrap();
        assert_eq!(judge(&status, status.st_dev + 1, status.st_uid), Whose::Covered);
        let us = status.st_uid;
        assert_eq!(judge(&status, status.st_dev, us + 1), Whose::Others(format!("it is of the user {us}")));
    }

    #[test]
    fn ours_is_closed_to_others() {
        let bpffs = tempfile::tempdir().unwrap();
        let at = bpffs.path().join(NAME);
        fs::create_dir(&at).unwrap();
        fs::set_permissions(&at, PermissionsExt::from_mode(0o777)).unwrap();
        let _claimed = Claimed::claim(&Directory::open(bpffs.path()).unwrap()).unwrap();
        assert_eq!(fs::metadata(&at).unwrap().permissions().mode() & 0o7777, 0o700);
    }
}
