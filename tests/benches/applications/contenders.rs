//! Who leads clients to the servers of an application, and shows that it does before it is measured.

use std::net::SocketAddrV4;

use anyhow::{Result, ensure};
use tcproute_tests::{
    bench::{
        comparison::Found,
        contenders::{Installed, Way, direct, envoy, haproxy, tcproute},
    },
    chi_square::{critical_value, statistic},
};

use crate::{
    application::{Application, Job, Outcome, Work},
    site::{Client, Ground, Site, WEIGHTS},
};

/// A way from clients to servers.
pub(crate) struct Kind {
    /// In JSON.
    pub(crate) name: &'static str,
    /// In tables.
    pub(crate) title: &'static str,
    /// Whether it leads to both servers, or is a connection to the first.
    splits: bool,
    install: fn(&Way) -> Result<Installed>,
}

/// The first is the one with whom the others are compared. HAProxy is in TCP mode, and Envoy has `weighted_clusters`.
pub(crate) const ALL: [Kind; 4] = [
    Kind { name: "direct", title: "direct", splits: false, install: |_| direct::install() },
    Kind {
        name: "tcproute",
        title: "tcproute",
        splits: true,
        install: |way| tcproute::install(way, &[], "plain"),
    },
    Kind { name: "haproxy", title: "HAProxy", splits: true, install: haproxy::install },
    Kind { name: "envoy", title: "Envoy", splits: true, install: envoy::install },
];

/// Connections by which one shows that it routes: enough to tell 90/10 from 50/50, and from 100/0.
const PROOF: u32 = 200;

impl Kind {
    /// Without which there is nothing to be compared.
    pub(crate) fn is_own(&self) -> bool {
        ["direct", "tcproute"].contains(&self.name)
    }
}

/// One that is there. It goes before its cgroups do.
pub(crate) struct Contender {
    pub(crate) kind: &'static Kind,
    installed: Installed,
    ground: Ground,
}

impl Contender {
    /// Installs one. Without it nobody answers where clients dial, and with it both servers do.
    pub(crate) fn install(
        number: u8,
        kind: &'static Kind,
        site: &Site,
        application: &dyn Application,
    ) -> Result<(Self, Found)> {
        let ground = site.ground(number, kind.name);
        let service = ground.service.into();
        ensure!(!site.namespace.is_answered(service), "{service} is answered where nothing is installed");
        let contender = Self { kind, installed: (kind.install)(&ground.way(site))?, ground };
        let made = application.run(Work::New, &contender.client(site), PROOF)?.by_backend;
        if kind.splits {
            let far = statistic(&split(made)) > critical_value(1);
            ensure!(!far && made.iter().all(|&count| count > 0), "it does not route {WEIGHTS:?}: {made:?}");
        } else {
            ensure!(made[0] > 0 && made[1] == 0, "it leads elsewhere: {made:?}");
        }
        let found = Found {
            version: contender.installed.version.clone(),
            shows_dialled: contender.client(site).peer()? == contender.dials(site),
            ..Found::default()
        };
        Ok((contender, found))
    }

    fn dials(&self, site: &Site) -> SocketAddrV4 {
        if self.kind.splits { self.ground.service } else { site.backends[0] }
    }

    fn client<'a>(&'a self, site: &'a Site) -> Client<'a> {
        self.ground.client(site, self.dials(site))
    }

    /// Does a job once, and adds what comes of it.
    pub(crate) fn work(
        &self,
        site: &Site,
        application: &dyn Application,
        job: &Job,
        count: u32,
        found: &mut Found,
    ) -> Result<()> {
        let Outcome { values, by_backend } = application.run(job.work, &self.client(site), count)?;
        ensure!(values.len() == job.figures.len(), "{values:?} are not what is measured");
        for (&figure, value) in job.figures.iter().zip(values) {
            found.add(figure, value);
        }
        if self.kind.splits && job.work == Work::New {
            if found.split.is_empty() {
                found.split = split([0; 2]);
            }
            for ((count, _), more) in found.split.iter_mut().zip(by_backend) {
                *count += more;
            }
        }
        Ok(())
    }
}

/// Beside what each is to have.
fn split(by_backend: [u64; 2]) -> Vec<(u64, f64)> {
    by_backend.into_iter().zip(WEIGHTS.map(|weight| f64::from(weight) / 100.0)).collect()
}
