//! The layout of maps that are in use already: those that an earlier daemon left in the kernel.

use std::collections::BTreeMap;

use tcproute_common::{Backend, RouteKey, RouteValue, SocketAddress};
use thiserror::Error;

use super::{Layout, Limits, Placed, Run, SharedRun};
use crate::plan::table::{BackendTable, RouteTable};

/// What maps hold, as far as routes lead to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// All routes.
    pub routes: BTreeMap<RouteKey, RouteValue>,
    /// Backends by their index.
    pub backends: BTreeMap<u32, Backend>,
    /// Endpoints by their index.
    pub endpoints: BTreeMap<u32, SocketAddress>,
}

/// No daemon of this version has written these maps.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the maps in the kernel contradict themselves: {0}")]
pub struct Inconsistent(pub(super) &'static str);

impl Layout {
    /// The layout of maps of this size with these contents.
    pub fn adopt(limits: Limits, contents: &Contents) -> Result<Self, Inconsistent> {
        let mut layout = Self::new(limits);
        for (&key, value) in &contents.routes {
            let run = Run { first: value.first_backend, len: value.backend_count };
            if !layout.backend_space.take_at(run) {
                return Err(Inconsistent("two routes have the same backend"));
            }
            let indices = run.first..run.first.saturating_add(run.len);
            let backends = indices.map(|index| {
                let backend =
                    contents.backends.get(&index).ok_or(Inconsistent("a route leads to no backend"))?;
                layout.adopt_backend(backend, &contents.endpoints)
            });
            let table = RouteTable { backends: backends.collect::<Result<_, _>>()? };
            layout.routes.insert(key, Placed { run, table });
        }
        Ok(layout)
    }

    fn adopt_backend(
        &mut self,
        backend: &Backend,
        endpoints: &BTreeMap<u32, SocketAddress>,
    ) -> Result<BackendTable, Inconsistent> {
        let run = Run { first: backend.first_endpoint, len: backend.endpoint_count };
        let indices = run.first..run.first.saturating_add(run.len);
        let addresses: Option<Vec<SocketAddress>> =
            indices.map(|index| endpoints.get(&index).copied()).collect();
        let addresses = addresses.ok_or(Inconsistent("a backend leads to no endpoint"))?;
        match self.endpoint_runs.get_mut(&addresses) {
            Some(shared) if shared.run == run => shared.users += 1,
            Some(_) => return Err(Inconsistent("the same endpoints are there twice")),
            None if self.endpoint_space.take_at(run) => {
                self.endpoint_runs.insert(addresses.clone(), SharedRun { run, users: 1 });
            }
            None => return Err(Inconsistent("two runs of endpoints overlap")),
        }
        Ok(BackendTable {
            weight: backend.weight,
            threshold: backend.threshold,
            alias: backend.alias,
            endpoints: addresses,
        })
    }
}
