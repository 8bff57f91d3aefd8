//! Cgroups as a user names them: by a path, or by a pattern such as `/system.slice/frontend@*.service`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
};

use glob::Pattern;
use thiserror::Error;

use super::Cgroup2;

/// Any number of cgroups, which may come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupPattern {
    named: PathBuf,
    mount: PathBuf,
    /// One for each directory below the mount.
    names: Vec<Pattern>,
}

/// A name that can never lead to a cgroup.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("cgroup {}: {reason}", named.display())]
pub struct BadPattern {
    named: PathBuf,
    reason: String,
}

impl CgroupPattern {
    /// An absolute path below the mount, or a path from the hierarchy's root. In the names of directories `*` stands for
    /// any text, `?` for any character and `[…]` for one of several.
    pub fn new(hierarchy: &Cgroup2, named: &Path) -> Result<Self, BadPattern> {
        let bad = |reason: &str| BadPattern { named: named.to_path_buf(), reason: reason.to_owned() };
        let below = named.strip_prefix(hierarchy.mount()).unwrap_or(named);
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
        Ok(Self { named: named.to_path_buf(), mount: hierarchy.mount().to_path_buf(), names })
    }

    /// As the user wrote it.
    pub fn named(&self) -> &Path {
        &self.named
    }

    /// The directory of the only cgroup that it can match, if it is a path and no pattern.
    pub fn path(&self) -> Option<PathBuf> {
        let literal = |name: &Pattern| !name.as_str().contains(['*', '?', '[']);
        let names = self.names.iter().map(Pattern::as_str);
        self.names.iter().all(literal).then(|| self.mount.join(names.collect::<PathBuf>()))
    }

    /// Whether it stands for this directory.
    pub fn matches(&self, directory: &Path) -> bool {
        let Ok(below) = directory.strip_prefix(&self.mount) else { return false };
        let components: Vec<_> = below.components().collect();
        components.len() == self.names.len()
            && components.iter().zip(&self.names).all(|(component, name)| {
                let component = component.as_os_str().to_string_lossy();
                component == name.as_str() || name.matches(&component)
            })
    }

    /// The directories of the cgroups that are there, sorted.
    pub fn matching(&self) -> BTreeSet<PathBuf> {
        self.levels().pop().unwrap_or_default()
    }

    /// The directories in which something has to appear for there to be another one.
    pub fn directories(&self) -> BTreeSet<PathBuf> {
        let mut levels = self.levels();
        levels.pop();
        levels.into_iter().flatten().collect()
    }

    /// What there is of each part of the path, from the mount on.
    fn levels(&self) -> Vec<BTreeSet<PathBuf>> {
        let mut levels = vec![BTreeSet::from([self.mount.clone()])];
        for name in &self.names {
            let above = levels.last().into_iter().flatten();
            levels.push(above.flat_map(|directory| children(directory, name)).collect());
        }
        levels
    }
}

fn children(directory: &Path, name: &Pattern) -> Vec<PathBuf> {
    let literal = directory.join(name.as_str());
    if literal.is_dir() {
        return vec![literal];
    }
    // A cgroup may vanish meanwhile.
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let named = directories.filter(|entry| entry.file_name().to_str().is_some_and(|it| name.matches(it)));
    named.map(|entry| entry.path()).collect()
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
        assert_eq!(units.matching(), below(&["system.slice/web@1.service", "system.slice/web@2.service"]));
        assert_eq!(units.directories(), below(&["", "system.slice"]));
        let inside = pattern("*.slice/db/app");
        assert_eq!(inside.matching(), below(&[]));
        assert_eq!(inside.directories(), below(&["", "system.slice", "user.slice", "system.slice/db"]));
        let absolute = root.path().join("system.slice/db");
        assert_eq!(pattern(absolute.to_str().unwrap()).matching(), below(&["system.slice/db"]));
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
