//! Where nothing listens.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpStream},
};

use anyhow::{Context as _, Result};

/// Whether nothing listens there.
pub(super) fn is_refused(address: SocketAddr) -> Result<bool> {
    match TcpStream::connect(address) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(true),
        Err(error) => Err(error).with_context(|| format!("cannot tell whether {address} is in use")),
    }
}
