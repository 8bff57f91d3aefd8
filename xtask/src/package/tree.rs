//! Files by where they are installed: what goes into a package, before it is known of which kind.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, FileTimes},
    io::{self, Write},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};

/// Files by their paths, without the `/` at the beginning.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, (u32, Vec<u8>)>,
}

impl Tree {
    /// A file that everybody reads.
    pub(super) fn file(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), (0o644, content.into()));
    }

    /// A file that everybody runs.
    pub(super) fn program(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), (0o755, content.into()));
    }

    /// The same, from a file.
    pub(super) fn program_of(&mut self, path: impl Into<String>, source: &Path) -> Result<()> {
        self.program(path, read(source)?);
        Ok(())
    }

    /// All that is below a directory, for everybody to run.
    pub(crate) fn programs_of(&mut self, directory: &Path) -> Result<()> {
        self.programs_below(directory, directory)
    }

    fn programs_below(&mut self, root: &Path, directory: &Path) -> Result<()> {
        for entry in
            fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                self.programs_below(root, &path)?;
            } else {
                let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
                self.program_of(name, &path)?;
            }
        }
        Ok(())
    }

    /// A file, compressed, with `.gz` behind its name.
    pub(super) fn compressed(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.file(format!("{path}.gz"), gzip(content)?);
        Ok(())
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// What the files hold together, in bytes.
    pub(super) fn size(&self) -> usize {
        self.files.values().map(|(_, content)| content.len()).sum()
    }

    /// Writes them below a directory, all of one time.
    pub(super) fn write(&self, root: &Path, time: u64) -> Result<()> {
        for (path, (mode, content)) in &self.files {
            let path = root.join(path);
            write(&path, content, *mode).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time);
        let times = FileTimes::new().set_accessed(time).set_modified(time);
        let all = self.files.keys().cloned().chain(self.directories()).chain([String::new()]);
        for path in all.map(|path| root.join(path)) {
            File::open(&path)?.set_times(times)?;
        }
        Ok(())
    }

    /// As a tar archive, in order, owned by root.
    pub(super) fn tar(&self, into: impl Write, time: u64) -> Result<()> {
        let mut archive = tar::Builder::new(into);
        let mut header = tar::Header::new_gnu();
        header.set_mtime(time);
        header.set_uid(0);
        header.set_gid(0);
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        for directory in self.directories() {
            archive.append_data(&mut header, format!("{directory}/"), io::empty())?;
        }
        header.set_entry_type(tar::EntryType::Regular);
        for (path, (mode, content)) in &self.files {
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, content.as_slice())?;
        }
        archive.into_inner()?.flush()?;
        Ok(())
    }

    /// All that files are in, the outer before the inner.
    fn directories(&self) -> BTreeSet<String> {
        let ancestors = self.files.keys().flat_map(|path| Path::new(path).ancestors().skip(1));
        ancestors.map(|path| path.to_string_lossy().into_owned()).filter(|path| !path.is_empty()).collect()
    }
}

fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut directory = PathBuf::new();
    for part in path.parent().unwrap_or(path).components() {
        directory.push(part);
        if !directory.exists() {
            fs::create_dir(&directory)?;
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
        }
    }
    fs::write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Compressed, without a name or a time.
pub(super) fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut compressed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    compressed.write_all(content)?;
    Ok(compressed.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.program("usr/bin/tcproute", "program");
        tree.file("etc/tcproute/config.yaml", "# nothing");
        tree
    }

    #[test]
    fn an_archive_is_in_order_of_one_time_and_of_root() {
        let mut archive = Vec::new();
        tree().tar(&mut archive, 1_000).unwrap();
        let mut archive = tar::Archive::new(archive.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!(
                (header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()),
                (1_000, 0, 0)
            );
            (entry.path().unwrap().to_str().unwrap().to_owned(), header.mode().unwrap())
        });
        let expected = [
            ("etc/", 0o755),
            ("etc/tcproute/", 0o755),
            ("usr/", 0o755),
            ("usr/bin/", 0o755),
            ("etc/tcproute/config.yaml", 0o644),
            ("usr/bin/tcproute", 0o755),
        ];
        assert_eq!(entries.collect::<Vec<_>>(), expected.map(|(path, mode)| (path.to_owned(), mode)));
    }

    #[test]
    fn files_have_their_modes_and_one_time() {
        let root = tempfile::tempdir().unwrap();
        tree().write(root.path(), 1_000).unwrap();
        for (path, mode) in [("usr/bin/tcproute", 0o755), ("etc/tcproute/config.yaml", 0o644), ("etc", 0o755)]
        {
            let metadata = root.path().join(path).metadata().unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path}");
            let time = metadata.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            assert_eq!(time, Duration::from_secs(1_000), "{path}");
        }
    }

    #[test]
    fn what_is_compressed_has_no_time() {
        assert_eq!(gzip(b"text").unwrap()[4..8], [0; 4]);
    }
}
