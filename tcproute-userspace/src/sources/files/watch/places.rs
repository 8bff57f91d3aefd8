//! The directory entries that decide what some paths lead to: those to watch.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ffi::{OsStr, OsString},
    fs,
    path::{Component, Path, PathBuf},
};

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
pub(super) fn places(paths: &[PathBuf]) -> Places {
    let mut places = Places::new();
    for path in paths {
        follow(path, &mut places);
        let directory = fs::canonicalize(path).ok().filter(|real| real.is_dir());
        if let Some(directory) = directory {
            places.insert(directory, Interest::All);
        }
    }
    // Entries of a directory may be links that lead elsewhere, as in a mounted ConfigMap.
    for file in look(paths).files {
        follow(&file.place.path, &mut places);
    }
    places
}

/// Notes each symbolic link on the way, and the last entry or the one that is missing.
fn follow(path: &Path, places: &mut Places) {
    let Ok(path) = std::path::absolute(path) else { return };
    let mut ahead: VecDeque<OsString> = names(&path);
    let mut real = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            real.pop();
            continue;
        }
        let entry = real.join(&name);
        let target = fs::read_link(&entry).ok();
        let exists = target.is_some() || entry.symlink_metadata().is_ok();
        if target.is_some() || !exists || ahead.is_empty() {
            note(places, &real, name);
        }
        match target {
            Some(target) => {
                links += 1;
                if links > MOST_LINKS {
                    return;
                }
                if target.is_absolute() {
                    real = PathBuf::from("/");
                }
                let mut on = names(&target);
                on.append(&mut ahead);
                ahead = on;
            }
            None if exists => real = entry,
            None => return,
        }
    }
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
