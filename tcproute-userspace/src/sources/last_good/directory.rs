//! `--state-dir`, and the files in it. Only whom this process runs as may look into it.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use nix::{
    libc::{O_DIRECTORY, O_NOFOLLOW},
    unistd::geteuid,
};
use tracing::warn;

use super::{
    super::name::SourceName,
    MOST, MOST_RECORDS, at,
    lines::Lines,
    record::{Broken, Record, header},
};

/// What is told of one file, at most.
const TOLD: usize = 5;

/// The last file that could not be read, for who wants to look at it.
const BROKEN: &str = "broken";

/// The directory, which nobody else uses.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    /// Locked until it is closed.
    _locked: File,
}

impl StateDirectory {
    /// Makes it, or takes over what an earlier daemon has left.
    pub fn open(path: &Path) -> Result<Self> {
        make(path)?;
        let mut options = OpenOptions::new();
        let file =
            options.read(true).custom_flags(O_DIRECTORY | O_NOFOLLOW).open(path).with_context(at(path))?;
        let metadata = file.metadata().with_context(at(path))?;
        if metadata.uid() != geteuid().as_raw() {
            bail!("{} is of the user {}, and must be of {}", path.display(), metadata.uid(), geteuid());
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another tcproute uses {}", path.display()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(at(path)),
        }
        file.set_permissions(Permissions::from_mode(0o700)).with_context(at(path))?;
        Ok(Self { path: path.to_path_buf(), _locked: file })
    }

    /// What is kept of a source.
    pub(super) fn source(&self, source: SourceName) -> Result<(SourceDirectory, Vec<Record>)> {
        SourceDirectory::open(self.path.join(source))
    }
}

fn make(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make {}", path.display()))
}

/// The files of one source.
#[derive(Debug)]
pub(super) struct SourceDirectory {
    path: PathBuf,
    /// By place.
    files: BTreeMap<String, Kept>,
    /// Of all files, in bytes.
    bytes: u64,
    /// The number of the next file.
    next: u64,
}

/// A file.
#[derive(Debug, Clone, Copy)]
struct Kept {
    number: u64,
    bytes: u64,
    sum: u32,
}

impl SourceDirectory {
    /// Reads all that is there.
    fn open(path: PathBuf) -> Result<(Self, Vec<Record>)> {
        make(&path)?;
        let mut this = Self { path, files: BTreeMap::new(), bytes: 0, next: 0 };
        let mut records = Vec::new();
        for entry in fs::read_dir(&this.path).with_context(at(&this.path))? {
            let name = entry.with_context(at(&this.path))?.file_name();
            match number(&name) {
                Some(number) => records.extend(this.take(number)),
                None if name == BROKEN => {}
                // Half of a file that was not finished, above all.
                None => this.discard(&this.path.join(name)),
            }
        }
        Ok((this, records))
    }

    /// Reads a file.
    fn take(&mut self, number: u64) -> Option<Record> {
        let path = self.file(number);
        self.next = self.next.max(number + 1);
        let text = match self.read_bounded(&path) {
            Ok(text) => text,
            Err(error) => {
                warn!("what is kept in {} is left out: {error}", path.display());
                return None;
            }
        };
        let (record, broken) = Record::decode(&text);
        for Broken { line, why } in broken.iter().take(TOLD) {
            warn!("what is kept in {}:{line} is left out: {why}", path.display());
        }
        if broken.len() > TOLD {
            warn!("{} more of {} is left out", broken.len() - TOLD, path.display());
        }
        let Some(record) = record.filter(|record| !self.files.contains_key(&record.place)) else {
            if let Err(error) = fs::rename(&path, self.path.join(BROKEN)) {
                warn!("cannot move {} aside: {error}", path.display());
            }
            return None;
        };
        let bytes = text.len() as u64;
        self.bytes += bytes;
        // What is broken does not pass for what it was.
        let sum = if broken.is_empty() { crc32fast::hash(&text) } else { 0 };
        self.files.insert(record.place.clone(), Kept { number, bytes, sum });
        Some(record)
    }

    fn read_bounded(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        if self.files.len() == MOST_RECORDS || self.bytes + metadata.len() > MOST {
            return Err(io::Error::other("there is too much"));
        }
        let mut text = Vec::new();
        file.take(metadata.len()).read_to_end(&mut text)?;
        Ok(text)
    }

    /// Of all files, in bytes.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is kept of a place at present, line by line; nothing if its file is gone.
    pub(super) fn text(&self, place: &str) -> Result<String> {
        let Some(kept) = self.files.get(place) else { return Ok(String::new()) };
        let path = self.file(kept.number);
        match fs::read(&path) {
            // Lines that are broken are none.
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Keeps these lines of a place, and nothing if there are none.
    pub(super) fn write(&mut self, place: &str, lines: &Lines) -> Result<()> {
        if lines.is_empty() {
            return self.remove(place);
        }
        let header = header(place, lines);
        let bytes = header.len() as u64 + lines.bytes();
        let sum = lines.sum_behind(&header);
        let before = self.files.get(place).copied();
        if before.is_some_and(|before| before.bytes == bytes && before.sum == sum) {
            return Ok(());
        }
        let all = self.bytes - before.map_or(0, |before| before.bytes) + bytes;
        if all > MOST {
            bail!(
                "{} has its {} MiB already, so nothing of {place} is kept",
                self.path.display(),
                MOST >> 20
            );
        }
        if before.is_none() && self.files.len() == MOST_RECORDS {
            bail!(
                "{} has its {MOST_RECORDS} files already, so nothing of {place} is kept",
                self.path.display()
            );
        }
        let number = before.map_or(self.next, |before| before.number);
        let path = self.file(number);
        replace(&path, &header, lines).with_context(|| format!("cannot write {}", path.display()))?;
        self.next = self.next.max(number + 1);
        self.files.insert(place.to_owned(), Kept { number, bytes, sum });
        self.bytes = all;
        Ok(())
    }

    fn remove(&mut self, place: &str) -> Result<()> {
        let Some(&kept) = self.files.get(place) else { return Ok(()) };
        let path = self.file(kept.number);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            Ok(()) | Err(_) => {}
        }
        self.files.remove(place);
        self.bytes -= kept.bytes;
        Ok(())
    }

    /// Sees to it that what was renamed and removed stays so.
    pub(super) fn sync(&self) -> Result<()> {
        File::open(&self.path).and_then(|directory| directory.sync_all()).with_context(at(&self.path))
    }

    fn file(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:08}"))
    }

    fn discard(&self, path: &Path) {
        if let Err(error) = fs::remove_file(path) {
            warn!("cannot remove {}, which is of no use in {}: {error}", path.display(), self.path.display());
        }
    }
}

fn number(name: &OsStr) -> Option<u64> {
    let name = name.to_str()?;
    (name.len() >= 8 && name.bytes().all(|byte| byte.is_ascii_digit())).then(|| name.parse().ok())?
}

/// Writes a file beside the old one, which then takes its place: nobody finds half of it.
fn replace(path: &Path, header: &str, lines: &Lines) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).custom_flags(O_NOFOLLOW).open(&new)?;
    let written = file.write_all(header.as_bytes());
    let written =
        written.and_then(|()| lines.pieces().try_for_each(|piece| file.write_all(piece?.as_bytes())));
    let written = written.and_then(|()| file.sync_all()).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // On a full disk every byte counts. If that fails, too, it is removed at the next start.
        let _ = fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::{super::lines::keys, *};

    fn lines(values: &[&str]) -> Lines {
        let mut lines = Lines::default();
        for (key, value) in values.iter().enumerate() {
            lines.add(&[key.to_string()], &format!("\"{value}\""));
        }
        lines
    }

    fn write(directory: &mut SourceDirectory, place: &str, values: &[&str]) {
        directory.write(place, &lines(values)).unwrap();
    }

    fn open(path: &Path) -> (SourceDirectory, String) {
        let state = StateDirectory::open(path).unwrap();
        let (directory, records) = state.source("files").unwrap();
        let mut records: Vec<String> =
            records.iter().map(|record| format!("{}={}", record.place, record.entries[0].value)).collect();
        records.sort();
        (directory, records.join(" "))
    }

    fn files(path: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(path.join("files"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_written_is_read_at_the_next_start() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/state");
        let (mut directory, read) = open(&path);
        assert_eq!((read.as_str(), directory.bytes()), ("", 0));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        write(&mut directory, "a", &["1"]);
        write(&mut directory, "b", &["1"]);
        write(&mut directory, "c", &["1"]);
        write(&mut directory, "a", &["2"]);
        write(&mut directory, "b", &[]);
        directory.sync().unwrap();
        assert!(directory.text("a").unwrap().ends_with(&lines(&["2"]).text()));
        assert_eq!(files(&path), ["00000000", "00000002"]);
        let before = directory.bytes();
        let (mut directory, read) = open(&path);
        assert_eq!((read.as_str(), directory.bytes()), ("a=\"2\" c=\"1\"", before));
        write(&mut directory, "d", &["1"]);
        assert_eq!(files(&path), ["00000000", "00000002", "00000003"]);
    }

    #[test]
    fn what_is_broken_is_left_out_and_the_rest_is_read() {
        let root = tempfile::tempdir().unwrap();
        let (mut directory, _) = open(root.path());
        for place in ["a", "b", "c"] {
            write(&mut directory, place, &["1", "2"]);
        }
        let file = |number: &str| root.path().join("files").join(number);
        fs::write(file("00000000"), "no record").unwrap();
        let text = fs::read_to_string(file("00000001")).unwrap();
        fs::write(file("00000001"), text.replace("\"2\"", "\"3\"")).unwrap();
        fs::write(file("00000009.new"), "half").unwrap();
        fs::write(file("other"), "").unwrap();
        let (mut directory, read) = open(root.path());
        assert_eq!(read, "b=\"1\" c=\"1\"");
        assert_eq!(files(root.path()), ["00000001", "00000002", BROKEN]);
        // What is as it was before it broke is written once more.
        let mut read = Lines::default();
        let broken = directory.text("b").unwrap();
        keys(&broken).for_each(|(_, line)| read.push(line));
        directory.write("b", &read).unwrap();
        write(&mut directory, "b", &["1", "2"]);
        assert_eq!(fs::read_to_string(file("00000001")).unwrap(), text);
    }

    #[test]
    fn a_directory_is_used_by_one_and_ours_alone() {
        let root = tempfile::tempdir().unwrap();
        let state = root.path().join("state");
        let held = StateDirectory::open(&state).unwrap();
        let error = StateDirectory::open(&state).unwrap_err().to_string();
        assert!(error.starts_with("another tcproute uses "), "{error}");
        drop(held);
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&state, &link).unwrap();
        assert!(StateDirectory::open(&link).is_err());
        fs::write(root.path().join("file"), "").unwrap();
        assert!(StateDirectory::open(&root.path().join("file")).is_err());
    }
}
