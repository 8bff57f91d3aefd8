//! A contender is loaded, from the start of a command until the last service answers, and shows that it routes.

use std::{any::Any, fs, net::SocketAddrV4, path::PathBuf, process::Child, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use tcproute_tests::{
    bench::{
        comparison::Found,
        load::{Connections, Work, order},
        site::{Place, Site},
    },
    chi_square::{critical_value, statistic},
    clock,
    process::Process,
    wait_within,
};

use crate::{
    contenders::{Daemon, Kind, Prepared, Way},
    mesh::{SPLIT, Services, dialled, endpoints},
    report::LOADED,
    watch::Watch,
};

/// Enough to tell 90/10 from 50/50, and from 100/0.
const CONNECTIONS: u32 = 1000;

/// One that routes. What it is made of goes in this order.
pub(crate) struct Contender {
    pub(crate) kind: &'static Kind,
    pub(crate) ways: Vec<Way>,
    pub(crate) daemon: Option<Daemon>,
    /// The proxy, if there is one.
    pub(crate) process: Option<Process>,
    _proxies: Proxies,
    _keep: Box<dyn Any>,
    is_tracked: bool,
    pub(crate) services: Services,
    /// What clients dial: the last service, or an endpoint of it.
    pub(crate) dials: SocketAddrV4,
    pub(crate) site: Site,
}

/// All processes of the cgroup of a proxy, which may have made others than the one that was started.
struct Proxies(PathBuf);

impl Drop for Proxies {
    fn drop(&mut self) {
        // Whether it has worked is seen by whether the cgroup can be removed.
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
    }
}

impl Contender {
    /// Loads one in a network of its own.
    pub(crate) fn load(kind: &'static Kind, services: Services, patience: Duration) -> Result<(Self, Found)> {
        let site = Site::build(Place::Loopback)?;
        let Prepared { version, command, stays, is_tracked, ways, daemon, keep } =
            kind.prepared(&site, services)?;
        let proxies = Proxies(site.proxy.path().to_owned());
        let last = services.last();
        let dials = if kind.splits() { Some(dialled(last)) } else { endpoints(last, 0).next() };
        let dials = dials.context("a service has endpoints")?;
        let mut found = Found { version, ..Found::default() };
        let mut process = None;
        if let Some(mut command) = command {
            let watch = Watch::start(&site, dials)?;
            watch.until_nobody(patience)?;
            let begun = clock::now()?;
            let mut loading = Process(command.spawn().context("it cannot be started")?);
            let said = || daemon.as_ref().map(Daemon::last_said).unwrap_or_default();
            let took =
                watch.answered(begun, patience, &mut || has_not_failed(&mut loading.0, stays, &said))?;
            found.add(LOADED, took.as_secs_f64() * 1e3);
            if stays {
                process = Some(loading);
            } else {
                let status = loading.0.wait()?;
                ensure!(status.success(), "it cannot be loaded: {status}");
            }
        }
        if is_tracked {
            // Else connections that are long gone take part, and ports that come again are found among them.
            site.namespace().set("netfilter/nf_conntrack_tcp_timeout_close", 1);
        }
        if let Some(daemon) = &daemon {
            wait_within(patience, "the daemon knows the way", || daemon.knows_the_way());
        }
        let contender = Self {
            kind,
            ways,
            daemon,
            process,
            _proxies: proxies,
            _keep: keep,
            is_tracked,
            services,
            dials,
            site,
        };
        found.shows_dialled = contender.prove()?;
        Ok((contender, found))
    }

    /// Both backends of the last service answer, as often as they are to. Whether getpeername() tells what was dialled.
    fn prove(&self) -> Result<bool> {
        self.forget()?;
        let work = Work::Connections { threads: 1, count: CONNECTIONS };
        let made: Connections = order(&self.site, self.dials, work).context("it does not route")?;
        let counts: Vec<(u64, f64)> =
            made.by_backend.into_iter().zip(SPLIT.map(|weight| f64::from(weight) / 100.0)).collect();
        if self.kind.splits() {
            let is_far = statistic(&counts) > critical_value(1);
            ensure!(!is_far, "it does not route {SPLIT:?}: {:?}", made.by_backend);
            ensure!(made.by_backend.iter().all(|&count| count > 0), "it leads to one backend alone");
        } else if made.by_backend[1] > 0 {
            bail!("it leads elsewhere: {:?}", made.by_backend);
        }
        Ok(made.shows_dialled)
    }

    /// Has the kernel forget the connections that it tracks, of which there are more after each turn.
    pub(crate) fn forget(&self) -> Result<()> {
        if self.is_tracked { self.site.run("conntrack", &["--flush"]) } else { Ok(()) }
    }
}

/// A proxy has not ended, another command not with an error.
fn has_not_failed(child: &mut Child, stays: bool, said: &dyn Fn() -> String) -> Result<()> {
    match child.try_wait()? {
        Some(status) if stays || !status.success() => bail!("it has ended: {status} {}", said()),
        _ => Ok(()),
    }
}
