//! getsockopt(2) for options that no library knows.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

use nix::libc;

/// What the kernel answers in the place of the request.
pub(crate) fn get(socket: &impl AsFd, level: i32, option: i32, request: &mut [u8]) -> io::Result<()> {
    let mut length = request.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to the buffer, which has so many.
    let got = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            request.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if got == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
