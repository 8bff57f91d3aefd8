//! A connection that is open, as the daemon of this node has led it.

use std::{net::SocketAddr, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;

use super::super::{
    AdminSocket, BadUsage,
    output::{self, Named, OutputArguments},
    text::Text,
};
use crate::{
    admin::client,
    sockets::{self, LiveSocket},
    trace::RoutedConnection,
};

#[derive(Debug, Args)]
pub(super) struct Connection {
    /// The process, with or without the file descriptor, as PID or PID:FD; or, with another address, the socket's own
    /// one, as ADDRESS:PORT.
    #[arg(value_name = "PID[:FD]|SOURCE")]
    of: String,
    /// Where the socket leads, or was dialled, as ADDRESS:PORT.
    #[arg(value_name = "DESTINATION")]
    destination: Option<SocketAddr>,
    #[command(flatten)]
    admin: AdminSocket,
    #[command(flatten)]
    output: OutputArguments,
}

/// A socket, and what was decided for it.
#[derive(Debug, Serialize)]
struct Described {
    pid: i32,
    fd: i32,
    local: SocketAddr,
    peer: SocketAddr,
    /// None if it is not known to be routed.
    routed: Option<RoutedConnection>,
}

impl Named for Vec<Described> {
    fn names(&self) -> Vec<String> {
        self.iter().map(|of| format!("connection/{}:{}", of.pid, of.fd)).collect()
    }
}

impl Connection {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let sockets = self.sockets()?;
        let mut described = Vec::new();
        for LiveSocket { pid, fd, cookie, local, peer } in sockets {
            let path = format!("/v1/connections/{cookie}");
            let routed: Option<RoutedConnection> = client::ask(&self.admin.admin_socket, &path).await?;
            // It may be of an earlier connection of the socket.
            let routed = routed.filter(|routed| routed.endpoint == peer || routed.dialled == peer);
            let leads_there = |to| peer == to || routed.as_ref().is_some_and(|routed| routed.endpoint == to);
            if self.destination.is_none_or(leads_there) {
                described.push(Described { pid, fd, local, peer, routed });
            }
        }
        if described.is_empty() {
            bail!("there is no such TCP socket with a peer");
        }
        output::print(&self.output, &described, |all, _| Text::blocks(all.iter().map(text)))?;
        Ok(ExitCode::SUCCESS)
    }

    fn sockets(&self) -> Result<Vec<LiveSocket>> {
        if self.destination.is_some() {
            let source =
                self.of.parse().map_err(|_| BadUsage(format!("{:?} is no ADDRESS:PORT", self.of)))?;
            return sockets::of_address(source).context("cannot list processes");
        }
        let (pid, fd) = match self.of.split_once(':') {
            Some((pid, fd)) => (pid, Some(fd)),
            None => (self.of.as_str(), None),
        };
        let number = |text: &str| {
            text.parse::<i32>().map_err(|_| {
                BadUsage(format!("{:?} is no PID or PID:FD, and to an address belongs another", self.of))
            })
        };
        let (pid, fd) = (number(pid)?, fd.map(number).transpose()?);
        let mut all =
            sockets::of_process(pid).with_context(|| format!("cannot list the sockets of {pid}"))?;
        all.retain(|socket| fd.is_none_or(|fd| fd == socket.fd));
        Ok(all)
    }
}

fn text(Described { pid, fd, local, peer, routed }: &Described) -> Text {
    let mut text = Text::of(format_args!("socket {fd} of process {pid}, from {local} to {peer}"));
    let Some(routed) = routed else {
        text.line(
            "  not routed, or before its workload was attached, or its place was taken by another socket",
        );
        return text;
    };
    let RoutedConnection { mesh, dataplane, cgroup, service, dialled, endpoint, .. } = routed;
    text.line(format_args!(
        "  dialled   {dialled}{}",
        service.as_ref().map_or(String::new(), |it| format!(", {it}"))
    ));
    text.line(format_args!("  leads to  {endpoint}"));
    let backend = routed.backend.as_deref().unwrap_or("not known");
    let current = if routed.current { "" } else { ", which is in the route no more" };
    text.line(format_args!("  chosen    {backend}{current}"));
    if !routed.policies.is_empty() {
        text.line(format_args!("  policies  {}", routed.policies.join(" < ")));
    }
    if let Some(started) = routed.started {
        text.line(format_args!("  since     {started:.3} (or a multiple of 71 min 35 s earlier)"));
    }
    text.line(format_args!("  workload  Dataplane {dataplane} of mesh {mesh}, cgroup {}", cgroup.display()));
    text
}
