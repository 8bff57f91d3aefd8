//! What runs in the pods of `cargo xtask cluster`. It is one program, so one image has all of it.

mod connect;
mod redirect;

use std::{
    net::{Ipv4Addr, TcpListener},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Parser;
use nix::sys::signal::{SigSet, Signal};
use tcproute_tests::{interrupt, server::Server};

/// What a container does
#[derive(Debug, Parser)]
#[command(name = "pod")]
enum Role {
    /// Nothing, until it is told to end: what holds the namespaces of a pod
    Pause,
    /// Answers each connection with a name
    Serve {
        #[arg(long)]
        name: String,
        #[arg(long)]
        port: u16,
    },
    /// Connects again and again, and prints each second what has come of it
    Connect(connect::Options),
    /// Has the pod's connections redirected, as the first container of a pod with Kuma's sidecar does
    Redirect,
}

fn main() -> ExitCode {
    interrupt::ended("pod", run(Role::parse()))
}

fn run(role: Role) -> Result<()> {
    // The first process of a container gets no signal that it does not ask for. Before there is another thread, which
    // would get it.
    let ending = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    ending.thread_block().context("cannot block signals")?;
    let _server = match role {
        Role::Pause => None,
        Role::Serve { name, port } => {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).context("cannot listen")?;
            Some(Server::start_on(listener, &name))
        }
        Role::Connect(options) => {
            connect::start(&options);
            None
        }
        Role::Redirect => return redirect::run(),
    };
    ending.wait().context("cannot wait for a signal")?;
    Ok(())
}
