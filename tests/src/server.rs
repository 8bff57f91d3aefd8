//! Real servers: on loopback, or wherever a socket listens.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use nix::sys::socket::{Shutdown, shutdown};

/// A TCP server that answers every connection with its name and closes it.
pub struct Server {
    listener: TcpListener,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens at the address; port 0 takes a free one.
    pub fn start(address: impl Into<SocketAddr>, name: &str) -> Self {
        Self::start_on(bind(address.into()), name)
    }

    /// As [`Self::start`], where something listens already.
    pub fn start_on(listener: TcpListener, name: &str) -> Self {
        let name = name.to_owned();
        Self::serve(listener, move |_| name.clone())
    }

    /// As [`Self::start`]; the name is the address that was reached. At an unspecified one it listens at all of this
    /// host.
    pub fn start_named_by_its_address(address: SocketAddr) -> Self {
        // Nobody has that of a connection that is gone already.
        let reached = |stream: &TcpStream| stream.local_addr().map(|at| at.to_string()).unwrap_or_default();
        Self::serve(bind(address), reached)
    }

    /// As [`Self::start`]; it speaks HTTP, and its name is its IP address.
    pub fn start_http(address: SocketAddr) -> Self {
        Self::start_http_on(bind(address), &address.ip().to_string())
    }

    /// As [`Self::start_on`]; it speaks HTTP.
    pub fn start_http_on(listener: TcpListener, name: &str) -> Self {
        let answer = format!("HTTP/1.0 200 OK\r\n\r\n{name}");
        Self::serve(listener, move |stream| {
            // To its end, or that of a client that asks for nothing.
            let lines = BufReader::new(stream).lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            answer.clone()
        })
    }

    fn serve(listener: TcpListener, name: impl Fn(&TcpStream) -> String + Send + 'static) -> Self {
        let accepting = listener.try_clone().expect("a socket can be duplicated");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            for stream in accepting.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(mut stream) = stream {
                    // A client that has gone away again is none of the server's business.
                    let _ = stream.write_all(format!("{}\n", name(&stream)).as_bytes());
                    // Closing with unread data would reset the connection.
                    let _ = stream.set_nonblocking(true).and_then(|()| stream.read(&mut [0; 4096]));
                }
            }
        });
        Self { listener, stop, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a bound listener has an address")
    }
}

fn bind(address: SocketAddr) -> TcpListener {
    TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"))
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Ends accept(), also in another namespace, where this process cannot dial it.
        let _ = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
