//! gRPC: its own implementation, by way of Python. A call is one that is answered with the number of the server.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use tcproute_tests::process::Process;

use super::{Application, Job, Kind, Outcome, Work, compared, python};
use crate::site::{Client, Site};

const SCRIPT: &str = include_str!("grpc.py");

/// Of the servers.
const NUMBERS: [&str; 2] = ["1", "2"];

pub(crate) const KIND: Kind = Kind {
    name: "grpc",
    title: "gRPC",
    port: 50051,
    jobs: &[
        Job {
            title: "A channel, a call, closed",
            figures: &[
                compared("newPerSecond", "channels/s", 0),
                compared("newP50Millis", "p50, ms", 2),
                compared("newP99Millis", "p99, ms", 2),
            ],
            per_thousand: 1000,
            work: Work::New,
        },
        Job {
            title: "Calls on a channel that stays",
            figures: &[
                compared("keptPerSecond", "calls/s", 0),
                compared("keptP50Millis", "p50, ms", 3),
                compared("keptP99Millis", "p99, ms", 3),
            ],
            per_thousand: 5000,
            work: Work::Kept,
        },
    ],
    start: |site| Ok(Box::new(start(site, 0)?)),
};

pub(crate) struct Grpc {
    version: String,
    _servers: Vec<Process>,
}

/// With an age in milliseconds at which servers ask for a new connection; 0 for none.
pub(crate) fn start(site: &Site, max_age: u32) -> Result<Grpc> {
    let (mut servers, mut version) = (Vec::new(), String::new());
    for (address, number) in site.backends.into_iter().zip(NUMBERS) {
        let mut command = site.server("python3");
        python::script(&mut command, SCRIPT)?;
        command.args(["serve", &address.to_string(), number, &max_age.to_string()]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut server = Process(child.context("cannot start sh")?);
        let said = server.0.stdout.take().context("its output is piped")?;
        version.clear();
        BufReader::new(said).read_line(&mut version)?;
        ensure!(!version.is_empty(), "the server of gRPC has ended");
        servers.push(server);
    }
    Ok(Grpc { version: format!("gRPC {}, by Python", version.trim()), _servers: servers })
}

/// So many channels that call all the time, for so long.
pub(crate) fn hold(client: &Client, channels: u32, seconds: u32) -> Result<Command> {
    let mut command = client.command("python3");
    python::script(&mut command, SCRIPT)?;
    command.args(["hold", &client.dials.to_string(), &channels.to_string(), &seconds.to_string()]);
    Ok(command)
}

impl Application for Grpc {
    fn version(&self) -> &str {
        &self.version
    }

    fn run(&self, work: Work, client: &Client, count: u32) -> Result<Outcome> {
        let name = if work == Work::New { "new" } else { "kept" };
        let outcome = python::told(client, SCRIPT, name, count)?.outcome(NUMBERS)?;
        let is_split = outcome.by_backend.iter().all(|&calls| calls > 0);
        ensure!(work == Work::New || !is_split, "the calls of a channel are split: {:?}", outcome.by_backend);
        Ok(outcome)
    }
}
