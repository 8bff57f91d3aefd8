//! The sums of all files, as `sha256sum --check` reads it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use sha2::{Digest as _, Sha256};

use super::{name_of, tree::read};

pub(super) const NAME: &str = "SHA256SUMS";

/// The SHA-256 of something, in hexadecimal digits.
pub(super) fn sha256(content: &[u8]) -> String {
    format!("{:x}", Sha256::digest(content))
}

/// Writes the sums of these files, which are all in that directory.
pub(super) fn write(directory: &Path, files: &[PathBuf]) -> Result<PathBuf> {
    let mut lines = Vec::new();
    for file in files {
        lines.push(format!("{}  {}\n", sha256(&read(file)?), name_of(file)?));
    }
    lines.sort_by(|a, b| a[64..].cmp(&b[64..]));
    let sums = directory.join(NAME);
    fs::write(&sums, lines.concat())?;
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let files = ["b", "a"].map(|name| directory.path().join(name));
        for file in &files {
            fs::write(file, "").unwrap();
        }
        let sums = fs::read_to_string(write(directory.path(), &files).unwrap()).unwrap();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sums, format!("{empty}  a\n{empty}  b\n"));
    }
}
