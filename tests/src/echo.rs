//! Servers that keep connections, and tell how they end.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::sys::socket::{Shutdown, shutdown};

/// A TCP server that sends its name to whoever connects, and then what it is sent.
pub struct Echo {
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
    ends: Receiver<String>,
}

impl Echo {
    /// Listens at the address.
    pub fn start(address: SocketAddr, name: &str) -> Self {
        Self::serve(TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}")), name)
    }

    /// As [`Self::start`], where something listens already.
    pub fn serve(listener: TcpListener, name: &str) -> Self {
        let (sender, ends) = mpsc::channel();
        let accepting = listener.try_clone().expect("a socket can be duplicated");
        let name = format!("{name}\n");
        let thread = thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                let (name, sender) = (name.clone(), sender.clone());
                thread::spawn(move || echo(stream, &name, &sender));
            }
        });
        Self { listener, thread: Some(thread), ends }
    }

    /// Waits until so many connections have ended, and answers how: `EOF` or an error's name. There must not be more.
    pub fn ended(&self, count: usize) -> Vec<String> {
        let end = |_| self.ends.recv_timeout(Duration::from_mins(1)).expect("a connection ends");
        let ends = (0..count).map(end).collect();
        assert_eq!(self.ends.try_iter().collect::<Vec<_>>(), [] as [&str; 0]);
        ends
    }
}

fn echo(mut stream: TcpStream, name: &str, ends: &Sender<String>) {
    let mut talk = || {
        stream.write_all(name.as_bytes())?;
        let mut buffer = [0; 64];
        loop {
            let length = stream.read(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            stream.write_all(&buffer[..length])?;
        }
    };
    let end = match talk() {
        Ok(()) => "EOF".to_owned(),
        Err::<(), std::io::Error>(error) => error
            .raw_os_error()
            .map(nix::errno::Errno::from_raw)
            .map_or_else(|| error.to_string(), |errno| format!("{errno:?}")),
    };
    // Nobody may care any more.
    let _ = ends.send(end);
}

impl Drop for Echo {
    fn drop(&mut self) {
        // Ends accept().
        let _ = shutdown(std::os::fd::AsRawFd::as_raw_fd(&self.listener), Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
