//! Clients and servers in Python, with packages of their own.

use std::{collections::BTreeMap, net::SocketAddrV4, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use tcproute_tests::bench::statistics::Latency;

use super::{Outcome, provided};
use crate::site::{Client, output};

/// Where they are.
const PACKAGES: &str = "TCPROUTE_TEST_PYTHON_PACKAGES";

/// A script with arguments, by a command that runs Python.
pub(super) fn script<'a>(command: &'a mut Command, script: &str) -> Result<&'a mut Command> {
    // gRPC says on stderr what it has not been asked for.
    command.env("PYTHONPATH", provided(PACKAGES)?).env("GRPC_VERBOSITY", "NONE");
    Ok(command.arg("-c").arg(script))
}

/// What a client tells.
#[derive(Deserialize)]
pub(super) struct Told {
    seconds: f64,
    /// Each, in microseconds.
    took: Vec<f64>,
    /// By whom.
    answered: BTreeMap<String, u64>,
    /// Those of whom the answers tell.
    #[serde(default)]
    pub(super) brokers: Vec<SocketAddrV4>,
}

/// Runs one to its end.
pub(super) fn told(client: &Client, text: &str, work: &str, count: u32) -> Result<Told> {
    let mut command = client.command("python3");
    script(&mut command, text)?.args([work, &client.dials.to_string(), &count.to_string()]);
    let printed = output(&mut command)?;
    serde_json::from_str(&printed).with_context(|| format!("the client tells {printed:?}"))
}

impl Told {
    /// How many in a second, and how long half of them took, and all but one in a hundred, in milliseconds.
    pub(super) fn outcome(self, servers: [&str; 2]) -> Result<Outcome> {
        let count = f64::from(u32::try_from(self.took.len())?);
        let took = self.took.iter().map(|micros| Duration::from_secs_f64(micros / 1e6));
        let Latency { p50, p99, .. } = Latency::of(took.collect());
        if let Some(other) = self.answered.keys().find(|it| !servers.contains(&it.as_str())) {
            bail!("there is no server {other}");
        }
        let by_backend = servers.map(|server| self.answered.get(server).copied().unwrap_or_default());
        Ok(Outcome { values: vec![count / self.seconds, p50 / 1000.0, p99 / 1000.0], by_backend })
    }
}
