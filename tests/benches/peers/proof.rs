//! A contender shows that it routes before it is measured.

use anyhow::{Context as _, Result, bail, ensure};
use tcproute_tests::{
    bench::{
        comparison::Found,
        load::{self, Connections, Work},
        site::{Site, WEIGHTS},
    },
    chi_square::{critical_value, statistic},
};

use crate::contenders::{Contender, Kind};

/// Enough to tell 90/10 from 50/50, and from 100/0.
const CONNECTIONS: u32 = 1000;

/// Installs one in a network of its own. Without it nobody answers where clients dial, and with it both backends do.
pub(crate) fn routing(kind: &'static Kind) -> Result<(Contender, Found)> {
    let site = Site::build(kind.place)?;
    let is_answered = site.is_answered()?;
    ensure!(!is_answered, "{} is answered where nothing is installed", site.service);
    let contender = Contender { kind, installed: (kind.install)(&site)?, site };
    contender.forget()?;
    let work = Work::Connections { threads: 1, count: CONNECTIONS };
    let made: Connections =
        load::order(&contender.site, contender.dials(), work).context("it does not route")?;
    let counts = split(made.by_backend);
    if kind.splits {
        let far = statistic(&counts) > critical_value(1);
        ensure!(!far, "it does not route {WEIGHTS:?}: {:?}", made.by_backend);
        ensure!(made.by_backend.iter().all(|&count| count > 0), "it leads to one backend alone");
    } else if made.by_backend[1] > 0 {
        bail!("it leads elsewhere: {:?}", made.by_backend);
    }
    let found = Found {
        version: contender.installed.version.clone(),
        shows_dialled: made.shows_dialled,
        ..Found::default()
    };
    Ok((contender, found))
}

/// Beside what each is to have.
pub(crate) fn split(by_backend: [u64; 2]) -> Vec<(u64, f64)> {
    by_backend.into_iter().zip(WEIGHTS.map(|weight| f64::from(weight) / 100.0)).collect()
}
