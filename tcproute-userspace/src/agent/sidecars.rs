//! Sidecars of workloads: whether they are got past, and which workloads that is about.

use std::{
    collections::{BTreeMap, BTreeSet},
    future,
    sync::Arc,
};

use anyhow::{Result, bail};
use tokio::{sync::watch, task::spawn_blocking};
use tracing::warn;

use crate::{
    bpf::{Datapath, PastSidecars, requirements::Features},
    sidecar::{self, Follower, Lasting, Mode, Settings, State, Workloads},
    workloads::Local,
};

/// The network namespaces of workloads, if there is anything to be done there.
pub(super) struct Sidecars(Option<(Follower, watch::Receiver<Arc<State>>)>);

impl Sidecars {
    /// By which mark sidecars are to be got past; `None` where they are not.
    pub(super) fn mark(settings: Settings, features: &Features) -> Result<Option<PastSidecars>> {
        let Settings { mode, mark, .. } = settings;
        match (mode, features.namespaces) {
            (Mode::Off, _) => Ok(None),
            (_, Some(_)) => Ok(Some(PastSidecars { value: mark.value(), mask: mark.mask() })),
            (Mode::Auto, None) => {
                warn!(
                    "{NO_KEYS}: routed connections of pods with a sidecar go to the sidecar, as with --sidecar off"
                );
                Ok(None)
            }
            (Mode::Bypass, None) => bail!("--sidecar bypass does not work here: {NO_KEYS}"),
        }
    }

    /// Looks at the network namespaces of these workloads for the first time, if sidecars are got past. `lasts` is
    /// whether what is done outlives this process.
    pub(super) async fn start(
        settings: Settings,
        gets_past: bool,
        datapath: &Datapath<'_>,
        lasts: bool,
        local: &Local,
    ) -> Result<Self> {
        let mut map = datapath.namespaces()?;
        if !gets_past {
            // An earlier daemon may have led connections past.
            let keys: BTreeSet<u64> = map.keys()?.into_iter().collect();
            for &key in &keys {
                map.set(key, sidecar::Way::Held, settings.uid)?;
            }
            let left = keys.clone();
            if let Err(error) = spawn_blocking(move || sidecar::remove_left_tables(&left)).await? {
                warn!("tables of nftables that an earlier daemon has made may be left: {error:#}");
            }
            for key in keys {
                map.remove(key)?;
            }
            return Ok(Self(None));
        }
        let lasting = if lasts { Lasting::Yes } else { Lasting::No };
        let mut follower =
            Follower::start(settings, map, datapath.held()?, lasting, workloads(local, false))?;
        follower.first().await;
        let state = follower.state();
        Ok(Self(Some((follower, state))))
    }

    /// Follows these workloads, behind which are programs of this daemon.
    pub(super) fn follow(&self, local: &Local) {
        if let Some((follower, _)) = &self.0 {
            follower.tell(workloads(local, true));
        }
    }

    /// Waits for news.
    pub(super) async fn changed(&mut self) {
        if let Some((_, state)) = &mut self.0
            && state.changed().await.is_ok()
        {
            return;
        }
        future::pending::<()>().await;
    }

    /// What was seen and done.
    pub(super) fn state(&mut self) -> Arc<State> {
        self.0.as_mut().map(|(_, state)| Arc::clone(&state.borrow_and_update())).unwrap_or_default()
    }
}

const NO_KEYS: &str = "this kernel tells network namespaces apart by none of the ways that are known: it is older than 5.14 \
                       and has no BTF";

fn workloads(local: &Local, attached: bool) -> Workloads {
    let cgroups: BTreeMap<_, _> = local.found.iter().map(|found| (found.id, found.path.clone())).collect();
    Workloads { cgroups: cgroups.into(), complete: local.complete, attached }
}
