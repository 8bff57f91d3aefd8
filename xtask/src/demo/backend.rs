//! The servers of the demo: real TCP servers at the endpoints of the examples, in threads of this process.

use std::{
    io::{ErrorKind, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result, anyhow};

/// A server that answers every connection with its name, closes it, and is gone when it is dropped.
pub(super) struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    accepted: AtomicU32,
}

impl Backend {
    /// Listens at the address.
    pub(super) fn start(address: SocketAddr, name: &str) -> Result<Self> {
        Self::serve(listen(address)?, name)
    }

    /// As [`Backend::start`], but none where the machine does not have that address: `::1` without IPv6.
    pub(super) fn start_if_possible(address: SocketAddr, name: &str) -> Result<Option<Self>> {
        match listen(address) {
            Ok(listener) => Self::serve(listener, name).map(Some),
            Err(error) if is_in_use(&error) => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn serve(listener: TcpListener, name: &str) -> Result<Self> {
        let address = listener.local_addr().context("a listening socket has no address")?;
        let shared = Arc::new(Shared::default());
        let (of_thread, answer) = (Arc::clone(&shared), format!("{name}\n"));
        let thread = thread::Builder::new()
            .name(format!("backend {address}"))
            .spawn(move || of_thread.answer_all(&listener, answer.as_bytes()))
            .context("cannot start a thread")?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has answered.
    pub(super) fn accepted(&self) -> u32 {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn answer_all(&self, listener: &TcpListener, answer: &[u8]) {
        for stream in listener.incoming() {
            if self.stopping.load(Ordering::Relaxed) {
                return;
            }
            if let Ok(mut stream) = stream {
                self.accepted.fetch_add(1, Ordering::Relaxed);
                // A client that has gone away is its own affair. The server closes first, so that the
                // client's ports do not remain in TIME_WAIT.
                let _ = stream.write_all(answer);
            }
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        // The thread looks at the flag when its next connection comes: this one.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        let in_use = error.kind() == ErrorKind::AddrInUse;
        let what = anyhow!(error).context(format!("cannot listen at {address}"));
        if in_use {
            what.context(format!("the demo needs {address} for a backend, but another program has it"))
        } else {
            what
        }
    })
}

fn is_in_use(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn answers_with_its_name_and_vanishes_when_dropped() {
        let backend = Backend::start("127.0.0.1:0".parse().unwrap(), "me").unwrap();
        let address = backend.address();
        let mut answer = String::new();
        TcpStream::connect(address).unwrap().read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "me\n");
        assert_eq!(backend.accepted(), 1);
        drop(backend);
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn an_address_in_use_is_named() {
        let backend = Backend::start("127.0.0.1:0".parse().unwrap(), "me").unwrap();
        let error = Backend::start_if_possible(backend.address(), "other").err().unwrap();
        assert!(format!("{error:#}").contains(&backend.address().to_string()), "{error:#}");
    }
}
