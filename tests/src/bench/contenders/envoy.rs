//! Envoy as a proxy that listens where clients dial.

use anyhow::{Result, anyhow};

use super::{Installed, Way};
use crate::sidecar::{Envoy, Program, Protocol, Service};

/// With its defaults and two workers.
pub fn install(way: &Way) -> Result<Installed> {
    let program = Program::find().map_err(|why| anyhow!(why))?;
    let envoy = Envoy::start_alone(&program, way.namespace, way.proxy, &service(way));
    Ok(installed(&program, envoy))
}

/// What it has a listener for.
pub fn service(way: &Way) -> Service {
    Service {
        name: "backend",
        dialled: way.service.into(),
        protocol: Protocol::Tcp,
        endpoints: way.backends.map(|(address, weight)| (address.into(), weight)).to_vec(),
    }
}

/// One that serves.
pub fn installed(program: &Program, envoy: Envoy) -> Installed {
    let process = Some(envoy.pid());
    let version = format!("Envoy {}", program.version());
    Installed { process, keep: Box::new(envoy), ..Installed::in_kernel(version) }
}
