//! Reading files that may be anything: what is no file is not opened for long, and of a large one only so much is read.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use nix::fcntl::OFlag;

/// Its beginning.
pub(super) fn beginning(path: &Path, most: u64) -> io::Result<String> {
    text(open(path)?, most)
}

/// Its end, from the first whole line on.
pub(super) fn end(path: &Path, most: u64) -> io::Result<String> {
    let mut file = open(path)?;
    let length = file.metadata()?.len();
    let Some(before) = length.checked_sub(most).filter(|before| *before > 0) else { return text(file, most) };
    file.seek(SeekFrom::Start(before))?;
    let text = text(file, most)?;
    Ok(text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or(text))
}

fn open(path: &Path) -> io::Result<File> {
    // To open a pipe would wait for whoever writes to it.
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

fn text(file: File, most: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    #[test]
    fn only_so_much_of_files_is_read_and_nothing_of_pipes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(beginning(&path, 5).unwrap(), "one\nt");
        assert_eq!(end(&path, 8).unwrap(), "three\n");
        assert_eq!(end(&path, 100).unwrap(), "one\ntwo\nthree\n");
        let pipe = directory.path().join("pipe");
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        assert_eq!(end(&pipe, 8).unwrap_err().to_string(), "it is no file");
    }
}
