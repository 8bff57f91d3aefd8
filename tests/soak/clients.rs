//! The clients' processes, and what they say.

use std::{
    env,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    process::{Child, Stdio},
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tcproute_tests::cgroup::TestCgroup;

use crate::connection::Line;

/// A line, and the workload in which it was said.
pub(crate) type Said = (Option<usize>, Result<Line, String>);

/// They end when this is dropped.
pub(crate) struct Clients {
    clients: Vec<Client>,
    sender: Sender<Said>,
    said: Receiver<Said>,
}

struct Client {
    workload: Option<usize>,
    child: Child,
    reader: JoinHandle<()>,
}

/// A client ends after one connection at most.
const PATIENCE: Duration = Duration::from_mins(1);

impl Clients {
    pub(crate) fn new() -> Self {
        let (sender, said) = mpsc::channel();
        Self { clients: Vec::new(), sender, said }
    }

    /// Starts one in a cgroup.
    pub(crate) fn start(
        &mut self,
        cgroup: &TestCgroup,
        workload: Option<usize>,
        destinations: impl Iterator<Item = SocketAddr>,
        rate: u32,
        seed: u64,
    ) -> Result<()> {
        let program = env::current_exe().context("where is this program?")?;
        let mut command = cgroup.command(program.to_str().context("its path is not UTF-8")?);
        command.arg("client").arg(format!("--rate={rate}")).arg(format!("--seed={seed}"));
        command.args(destinations.map(|address| address.to_string()));
        // Ctrl-C is for the soak, which then ends its clients.
        let command = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start a client")?;
        let output = child.stdout.take().context("it is piped")?;
        let sender = self.sender.clone();
        let reader = thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send((workload, line.parse())).is_err() {
                    return;
                }
            }
        });
        self.clients.push(Client { workload, child, reader });
        Ok(())
    }

    /// The next line, if there is one in time.
    pub(crate) fn said(&self, patience: Duration) -> Option<Said> {
        self.said.recv_timeout(patience).ok()
    }

    /// A client does not end by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        for client in &mut self.clients {
            if let Some(status) = client.child.try_wait()? {
                bail!("a client has ended: {status}");
            }
        }
        Ok(())
    }

    /// Ends those of a workload, and waits until their sockets are closed.
    pub(crate) fn stop(&mut self, workload: Option<usize>) -> Result<()> {
        let (mut ended, others): (Vec<_>, Vec<_>) =
            self.clients.drain(..).partition(|client| client.workload == workload);
        self.clients = others;
        for client in &mut ended {
            drop(client.child.stdin.take());
        }
        ended.into_iter().try_for_each(Client::wait)
    }
}

impl Client {
    fn wait(mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill()?;
                self.child.wait()?;
                bail!("a client does not end");
            }
            thread::sleep(Duration::from_millis(5));
        };
        let _ = self.reader.join();
        if status.success() { Ok(()) } else { bail!("a client has failed: {status}") }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        for client in &mut self.clients {
            let _ = client.child.kill();
            let _ = client.child.wait();
        }
    }
}
