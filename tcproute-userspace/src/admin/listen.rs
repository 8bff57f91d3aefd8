//! The sockets of the admin endpoint.

use std::{
    fs::{self, DirBuilder},
    io,
    net::SocketAddr,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use nix::sys::{
    socket::{setsockopt, sockopt::SndBuf},
    stat::{Mode, umask},
};
use tokio::net::{TcpListener, UnixListener};

/// The file of a unix socket, which is removed when this is dropped.
pub(super) struct Socket {
    path: PathBuf,
    inode: u64,
}

impl Socket {
    /// Listens at the path, for this user only. What a daemon left that was killed is replaced.
    pub(super) fn bind(path: &Path) -> Result<(Self, UnixListener)> {
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        remove_stale(path)?;
        // Between being made and getting another mode it would be open to others.
        let before = umask(Mode::from_bits_truncate(0o177));
        let bound = UnixListener::bind(path);
        umask(before);
        let listener = bound.with_context(|| format!("cannot listen at {}", path.display()))?;
        let inode = fs::symlink_metadata(path)?.ino();
        Ok((Self { path: path.to_path_buf(), inode }, listener))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Another daemon may have put its own there.
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn remove_stale(path: &Path) -> Result<()> {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot look at {shown}")),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            bail!("{shown} is there and is no socket: name another path with --admin-socket")
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => {
            bail!("another tcproute answers at {shown}: stop it, or name another path with --admin-socket")
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).with_context(|| format!("cannot remove {shown}, which nobody answers"))
        }
        Err(error) => Err(error).with_context(|| format!("cannot tell whether somebody answers at {shown}")),
    }
}

/// What the kernel may keep for each connection of what is not read yet; twice that, as it counts. Otherwise it would
/// be megabytes, and who reads nothing would be found out late.
const UNREAD: usize = 128 << 10;

/// Listens at a TCP address, not in a runtime yet.
pub(super) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    setsockopt(&listener, SndBuf, &UNREAD)?;
    Ok(listener)
}

/// Listens at a TCP address.
pub(super) fn tcp(address: SocketAddr) -> Result<TcpListener> {
    let listener = bind(address).and_then(TcpListener::from_std);
    listener.with_context(|| format!("cannot listen at {address}"))
}
