//! The TCP sockets of processes, by their file descriptors: those of any network namespace, without going there.

use std::{
    fs, io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    net::{getpeername, getsockname, ipproto, sockopt},
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

/// A TCP socket with a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveSocket {
    /// Of the process.
    pub pid: i32,
    /// The descriptor that the process has of it.
    pub fd: i32,
    /// Of the socket: no other one of this boot has it.
    pub cookie: u64,
    /// Its own address.
    pub local: SocketAddr,
    /// Its peer, as the application sees it: where it has dialled, if it is routed.
    pub peer: SocketAddr,
}

/// Those of a process.
pub(crate) fn of_process(pid: i32) -> io::Result<Vec<LiveSocket>> {
    let mut found = Vec::new();
    let process = open(pid)?;
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        // Without looking at it: opening it might do something.
        let is_socket =
            fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
        let fd = entry.file_name().to_str().and_then(|fd| fd.parse().ok());
        if let Some(fd) = fd.filter(|_| is_socket) {
            found.extend(socket(&process, pid, fd));
        }
    }
    found.sort_by_key(|socket| socket.fd);
    Ok(found)
}

/// Those with this address of their own, of whichever process. Several may have the same one.
pub(crate) fn of_address(local: SocketAddr) -> io::Result<Vec<LiveSocket>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|pid| pid.parse().ok()) else { continue };
        // Processes come and go.
        let sockets = of_process(pid).unwrap_or_default();
        found.extend(sockets.into_iter().filter(|socket| socket.local == local));
    }
    Ok(found)
}

fn open(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// `None` if it is no TCP socket, has no peer, or is closed meanwhile.
fn socket(process: &OwnedFd, pid: i32, fd: i32) -> Option<LiveSocket> {
    let socket = pidfd_getfd(process, fd, PidfdGetfdFlags::empty()).ok()?;
    let is_tcp = sockopt::socket_protocol(&socket).ok()?.is_some_and(|protocol| protocol == ipproto::TCP);
    if !is_tcp {
        return None;
    }
    let local = address(getsockname(socket.as_fd()).ok()?)?;
    let peer = address(getpeername(socket.as_fd()).ok()??)?;
    Some(LiveSocket { pid, fd, cookie: sockopt::socket_cookie(&socket).ok()?, local, peer })
}

/// Of IPv4 that a socket of IPv6 has as well.
fn address(any: rustix::net::SocketAddrAny) -> Option<SocketAddr> {
    let address = SocketAddr::try_from(any).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        os::fd::AsRawFd,
        process,
    };

    use super::*;

    #[test]
    fn the_sockets_of_a_process_are_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        let stream = TcpStream::connect(peer).unwrap();
        let local = stream.local_addr().unwrap();
        let pid = i32::try_from(process::id()).unwrap();
        let all = of_process(pid).unwrap();
        let own = all.iter().find(|socket| socket.fd == stream.as_raw_fd()).unwrap();
        assert_eq!((own.local, own.peer), (local, peer));
        assert!(all.iter().all(|socket| socket.fd != listener.as_raw_fd()), "it has no peer");
        let by_address = of_address(local).unwrap();
        assert!(by_address.contains(own), "{by_address:?}");
        assert!(of_process(i32::MAX).is_err());
    }
}
