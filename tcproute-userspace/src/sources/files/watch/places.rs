//! The directory entries that decide what some paths lead to: those to watch.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ffi::{OsStr, OsString},
    fs, io,
    path::{Component, Path, PathBuf},
};

use nix::libc::{EINVAL, ELOOP, ENOENT, ENOTDIR};

use super::super::list::look;

/// Directories, without symbolic links on the way, and what matters in each.
pub(super) type Places = BTreeMap<PathBuf, Interest>;

/// What matters in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Interest {
    /// Every entry: it was named as a directory of resources.
    All,
    /// These entries.
    Names(BTreeSet<OsString>),
}

impl Interest {
    pub(super) fn includes(&self, name: &OsStr) -> bool {
        match self {
            Self::All => true,
            Self::Names(names) => names.contains(name),
        }
    }
}

/// As many symbolic links as Linux follows in one path.
const MOST_LINKS: usize = 40;

/// Where to look for changes of what these paths lead to. Of a path that leads nowhere: where it would go on.
///
/// If that cannot be told of all of them, the error says why. Then there may be more than those.
pub(super) fn places(paths: &[PathBuf]) -> (Places, io::Result<()>) {
    let mut places = Places::new();
    let mut result = Ok(());
    for path in paths {
        result = result.and(follow(path, &mut places));
        let real = known(fs::canonicalize(path));
        let is_directory =
            |real: &PathBuf| known(fs::metadata(real)).map(|it| it.is_some_and(|it| it.is_dir()));
        match real.and_then(|real| Ok((real.as_ref().map(is_directory).transpose()?, real))) {
            Ok((Some(true), Some(directory))) => drop(places.insert(directory, Interest::All)),
            Ok(_) => {}
            Err(error) => result = Err(error),
        }
    }
    // Entries of a directory may be links that lead elsewhere, as in a mounted ConfigMap. A directory that cannot be
    // read is told of by who reads it.
    for file in look(paths).files {
        result = result.and(follow(&file.place.path, &mut places));
    }
    (places, result)
}

/// `None` if there is nothing; the error, if it is not known whether there is.
fn known<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.raw_os_error(), Some(ENOENT | ENOTDIR | ELOOP)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where a symbolic link leads; `None` if it is none, or there is nothing.
fn target(entry: &Path) -> io::Result<Option<PathBuf>> {
    match known(fs::read_link(entry)) {
        // It is no link.
        Err(error) if error.raw_os_error() == Some(EINVAL) => Ok(None),
        target => target,
    }
}

/// Notes each symbolic link on the way, and the last entry or the one that is missing.
fn follow(path: &Path, places: &mut Places) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let mut ahead: VecDeque<OsString> = names(&path);
    let mut real = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            real.pop();
            continue;
        }
        let entry = real.join(&name);
        let target = target(&entry)?;
        let exists = target.is_some() || known(entry.symlink_metadata())?.is_some();
        if target.is_some() || !exists || ahead.is_empty() {
            note(places, &real, name);
        }
        match target {
            Some(target) => {
                links += 1;
                if links > MOST_LINKS {
                    return Ok(());
                }
                if target.is_absolute() {
                    real = PathBuf::from("/");
                }
                let mut on = names(&target);
                on.append(&mut ahead);
                ahead = on;
            }
            None if exists => real = entry,
            None => return Ok(()),
        }
    }
    Ok(())
}

fn names(path: &Path) -> VecDeque<OsString> {
    let names = path
        .components()
        .filter(|component| matches!(component, Component::Normal(_) | Component::ParentDir));
    names.map(|component| component.as_os_str().to_owned()).collect()
}

fn note(places: &mut Places, directory: &Path, name: OsString) {
    let none = || Interest::Names(BTreeSet::new());
    if let Interest::Names(names) = places.entry(directory.to_path_buf()).or_insert_with(none) {
        names.insert(name);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn only(names: &[&str]) -> Interest {
        Interest::Names(names.iter().map(OsString::from).collect())
    }

    /// A directory without links above it.
    fn directory() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(directory.path()).unwrap();
        (directory, real)
    }

    fn places(paths: &[PathBuf]) -> Places {
        let (places, result) = super::places(paths);
        result.unwrap();
        places
    }

    #[test]
    fn of_a_file_its_entry_matters_and_of_a_directory_all() {
        let (_keep, root) = directory();
        fs::create_dir(root.join("routes")).unwrap();
        fs::write(root.join("mesh.yaml"), "").unwrap();
        let places = places(&[root.join("mesh.yaml"), root.join("routes")]);
        let expected = [(root.clone(), only(&["mesh.yaml", "routes"])), (root.join("routes"), Interest::All)];
        assert_eq!(places, expected.into());
    }

    #[test]
    fn a_mounted_config_map_is_followed_to_its_data() {
        let (_keep, root) = directory();
        let mount = root.join("mount");
        fs::create_dir_all(mount.join("..1")).unwrap();
        fs::write(mount.join("..1/a.yaml"), "").unwrap();
        symlink("..1", mount.join("..data")).unwrap();
        symlink("..data/a.yaml", mount.join("a.yaml")).unwrap();
        let of_file = places(&[mount.join("a.yaml")]);
        let expected = [(mount.clone(), only(&["..data", "a.yaml"])), (mount.join("..1"), only(&["a.yaml"]))];
        assert_eq!(of_file, expected.into());
        let of_directory = places(std::slice::from_ref(&mount));
        let expected = [
            (root, only(&["mount"])),
            (mount.clone(), Interest::All),
            (mount.join("..1"), only(&["a.yaml"])),
        ];
        assert_eq!(of_directory, expected.into());
    }

    #[test]
    fn what_is_missing_is_waited_for() {
        let (_keep, root) = directory();
        symlink("there/../gone/mesh.yaml", root.join("link")).unwrap();
        assert_eq!(places(&[root.join("link")]), [(root.clone(), only(&["link", "there"]))].into());
        fs::create_dir(root.join("there")).unwrap();
        assert_eq!(places(&[root.join("link")]), [(root.clone(), only(&["link", "gone"]))].into());
    }

    #[test]
    fn links_in_a_circle_end() {
        let (_keep, root) = directory();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert_eq!(places(&[root.join("a")]), [(root, only(&["a", "b"]))].into());
    }
}
