//! An application with each contender, in rounds.

use anyhow::Result;
use tcproute_tests::{
    bench::comparison::{self, Comparison, Found},
    interrupt,
};

use crate::{
    Absent,
    application::{Application, Kind},
    contenders::{self, Contender},
    site::Site,
};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) rounds: u32,
    pub(crate) connections: u32,
}

/// What was measured of one application.
pub(crate) struct Measured {
    pub(crate) version: String,
    pub(crate) comparison: Comparison,
}

/// Measures one with all contenders that are there.
pub(crate) fn measure(kind: &Kind, extent: Extent, absent: &Absent) -> Result<Measured> {
    let site = Site::build(kind.port)?;
    let application = (kind.start)(&site)?;
    let (mut present, mut comparison) = (Vec::new(), Comparison::default());
    for (number, contender) in (20..).zip(&contenders::ALL) {
        let found = match installed(number, contender, &site, application.as_ref(), absent)? {
            Ok((contender, found)) => {
                present.push(contender);
                Ok(found)
            }
            Err(why) => {
                eprintln!("{}, {}: absent: {why}", kind.title, contender.title);
                Err(why)
            }
        };
        comparison.0.push(comparison::Contender {
            name: contender.name,
            title: contender.title,
            base: contenders::ALL[0].name,
            found,
        });
    }
    // A round that does not count, since much is done for the first time in it.
    let nothing = &mut comparison.clone();
    round(kind, 0, extent.connections.div_ceil(10), (&site, application.as_ref(), &present), nothing)?;
    for number in 0..extent.rounds as usize {
        eprintln!("{}: round {} of {}", kind.title, number + 1, extent.rounds);
        let site = (&site, application.as_ref(), &present[..]);
        round(kind, number, extent.connections, site, &mut comparison)?;
    }
    let version = application.version().to_owned();
    // Whoever leads goes before who is led to.
    drop(present);
    drop(application);
    Ok(Measured { version, comparison })
}

/// One that routes, or why it does not.
fn installed(
    number: u8,
    kind: &'static contenders::Kind,
    site: &Site,
    application: &dyn Application,
    absent: &Absent,
) -> Result<Result<(Contender, Found), String>> {
    if let Some(why) = absent.why(kind.name) {
        return Ok(Err(why.to_owned()));
    }
    match Contender::install(number, kind, site, application) {
        Ok(installed) => Ok(Ok(installed)),
        Err(error) if kind.is_own() => Err(error.context(kind.title)),
        Err(error) => Ok(Err(format!("{error:#}"))),
    }
}

/// Every contender has its turn with one job before the next job comes.
fn round(
    kind: &Kind,
    number: usize,
    connections: u32,
    (site, application, present): (&Site, &dyn Application, &[Contender]),
    comparison: &mut Comparison,
) -> Result<()> {
    for job in kind.jobs {
        let count = u32::try_from(u64::from(connections) * u64::from(job.per_thousand) / 1000)?.max(20);
        for turn in 0..present.len() {
            // Nobody always runs after the same neighbour's heat.
            let contender = &present[(turn + number) % present.len()];
            interrupt::go_on()?;
            let of_it = comparison.0.iter_mut().find(|it| it.name == contender.kind.name);
            let Some(comparison::Contender { found, title, .. }) = of_it else { continue };
            let Ok(measured) = found else { continue };
            // One who fails is absent from then on, but for those without whom there is nothing to compare.
            match contender.work(site, application, job, count, measured) {
                Ok(()) => {}
                Err(error) if contender.kind.is_own() => return Err(error.context(*title)),
                Err(error) => *found = Err(format!("{error:#}")),
            }
        }
    }
    Ok(())
}
