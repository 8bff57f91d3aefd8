//! Cgroups as a user names them: by a path, or by a pattern such as `/system.slice/frontend@*.service`.

use std::{
    collections::BTreeSet,
    fs, io, mem,
    path::{Component, Path, PathBuf},
};

use glob::Pattern;
use thiserror::Error;

use super::Cgroup2;
use crate::known::Known;

/// Any number of cgroups, which may come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupPattern {
    named: PathBuf,
    /// One for each directory below the root.
    names: Vec<Pattern>,
}

/// What there is of a pattern.
#[derive(Debug, Default)]
pub struct Matching {
    /// The directories of the cgroups that are there, sorted.
    pub directories: BTreeSet<PathBuf>,
    /// The directories in which something has to appear for there to be another one.
    pub above: BTreeSet<PathBuf>,
    /// Where it cannot be told what there is.
    pub blind: Vec<(PathBuf, io::Error)>,
}

/// A name that can never lead to a cgroup.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("cgroup {}: {reason}", named.display())]
pub struct BadPattern {
    named: PathBuf,
    reason: String,
}

impl CgroupPattern {
    /// An absolute path below the mount, or a path from the hierarchy's root. In the names of directories `*` stands
    /// for any text, `?` for any character and `[…]` for one of several.
    pub fn new(hierarchy: &Cgroup2, named: &Path) -> Result<Self, BadPattern> {
        let bad = |reason: &str| BadPattern { named: named.to_path_buf(), reason: reason.to_owned() };
        let below = hierarchy.below(named);
        let mut names = Vec::new();
        for component in below.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => {
                    let name = name.to_str().ok_or_else(|| bad("is not UTF-8"))?;
                    names.push(Pattern::new(name).map_err(|error| bad(error.msg))?);
                }
                _ => return Err(bad("must not contain `..`")),
            }
        }
        if names.is_empty() {
            return Err(bad("is the root, to which every process belongs"));
        }
        Ok(Self { named: named.to_path_buf(), names })
    }

    /// As the user wrote it.
    pub fn named(&self) -> &Path {
        &self.named
    }

    /// The only cgroup that it can match, from the root on, if it is a path and no pattern.
    pub fn path(&self) -> Option<PathBuf> {
        let names = self.names.iter().map(Pattern::as_str);
        self.names.iter().all(is_literal).then(|| Path::new("/").join(names.collect::<PathBuf>()))
    }

    /// Whether it stands for this directory, wherever the hierarchy is mounted.
    pub fn matches(&self, directory: &Path) -> bool {
        let mut components = directory.components().rev();
        self.names.iter().rev().all(|name| {
            let Some(Component::Normal(component)) = components.next() else { return false };
            let component = component.to_string_lossy();
            component == name.as_str() || name.matches(&component)
        })
    }

    /// What there is of it in the hierarchy that is mounted there.
    pub fn matching(&self, mount: &Path) -> Matching {
        let mut matching =
            Matching { directories: BTreeSet::from([mount.to_path_buf()]), ..Matching::default() };
        for name in &self.names {
            let above = mem::take(&mut matching.directories);
            for directory in &above {
                match children(directory, name) {
                    Known::There(found) => matching.directories.extend(found),
                    Known::Gone => {}
                    Known::Unknown(error) => matching.blind.push((directory.clone(), error)),
                }
            }
            matching.above.extend(above);
        }
        matching
    }
}

fn is_literal(name: &Pattern) -> bool {
    !name.as_str().contains(['*', '?', '['])
}

/// The directories of such a name, all of them or none.
fn children(directory: &Path, name: &Pattern) -> Known<Vec<PathBuf>> {
    let literal = directory.join(name.as_str());
    match Known::of(fs::metadata(&literal)) {
        Known::There(metadata) if metadata.is_dir() => return Known::There(vec![literal]),
        Known::There(_) | Known::Gone if is_literal(name) => return Known::Gone,
        Known::There(_) | Known::Gone => {}
        Known::Unknown(error) => return Known::Unknown(error),
    }
    Known::of(named(directory, name))
}

fn named(directory: &Path, name: &Pattern) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|it| name.matches(it)) && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(directories: &[&str]) -> (tempfile::TempDir, Cgroup2) {
        let root = tempfile::tempdir().unwrap();
        for directory in directories {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        let hierarchy = Cgroup2::at(root.path());
        (root, hierarchy)
    }

    #[test]
    fn what_is_there_and_where_more_may_appear() {
        let (root, hierarchy) = tree(&[
            "system.slice/web@1.service",
            "system.slice/web@2.service",
            "system.slice/db",
            "user.slice",
        ]);
        let below = |paths: &[&str]| -> BTreeSet<PathBuf> {
            paths.iter().map(|path| root.path().join(path)).collect()
        };
        let pattern = |named: &str| CgroupPattern::new(&hierarchy, Path::new(named)).unwrap();
        let units = pattern("/system.slice/web@*.service");
        let matching = |pattern: CgroupPattern| {
            let Matching { directories, above, blind } = pattern.matching(root.path());
            assert!(blind.is_empty(), "{blind:?}");
            (directories, above)
        };
        let both = below(&["system.slice/web@1.service", "system.slice/web@2.service"]);
        assert_eq!(matching(units), (both, below(&["", "system.slice"])));
        let above = below(&["", "system.slice", "user.slice", "system.slice/db"]);
        assert_eq!(matching(pattern("*.slice/db/app")), (below(&[]), above));
        let absolute = root.path().join("system.slice/db");
        assert_eq!(matching(pattern(absolute.to_str().unwrap())).0, below(&["system.slice/db"]));
    }

    #[test]
    fn what_cannot_be_listed_is_no_absence() {
        let (root, hierarchy) = tree(&["pods"]);
        let pattern = |named: &str| CgroupPattern::new(&hierarchy, Path::new(named)).unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        // ENOTDIR: it is no cgroup's directory, and yet says nothing of one.
        for (named, blind) in [("/file/a*", "file"), ("/file/a", "file")] {
            let seen = pattern(named).matching(&root.path().join("file"));
            assert!(seen.directories.is_empty() && seen.blind.len() == 1, "{named}: {blind} {seen:?}");
        }
        let gone = pattern("/nowhere/a*").matching(root.path());
        assert!(gone.directories.is_empty() && gone.blind.is_empty(), "{gone:?}");
    }

    #[test]
    fn a_directory_is_matched_wherever_the_hierarchy_is_mounted() {
        let (_root, hierarchy) = tree(&[]);
        let pattern = CgroupPattern::new(&hierarchy, Path::new("/pods/a*")).unwrap();
        assert!(pattern.matches(Path::new("/sys/fs/cgroup/pods/ab")));
        assert!(!pattern.matches(Path::new("/sys/fs/cgroup/pods/b")));
        assert!(!pattern.matches(Path::new("/sys/fs/cgroup/a")));
    }

    #[test]
    fn names_that_lead_nowhere_are_refused() {
        let (_root, hierarchy) = tree(&[]);
        let error = |named: &str| CgroupPattern::new(&hierarchy, Path::new(named)).unwrap_err().to_string();
        assert_eq!(error("/a/../b"), "cgroup /a/../b: must not contain `..`");
        assert_eq!(error("/"), "cgroup /: is the root, to which every process belongs");
        assert!(error("/a[").starts_with("cgroup /a[: "));
    }
}
