//! tcproute with snapshots from memory: how long its agent takes for the first, and how soon connections obey the next.

use anyhow::{Context as _, Result};
use tcproute::sidecar::Mode;
use tcproute_tests::{
    bench::{
        comparison::Found,
        site::{Place, Site},
    },
    clock,
};

use crate::{
    Options, change,
    in_memory::{Input, parse, run, with},
    mesh::{ALL_TO, CLIENT, SPLIT, Services, client, dataplanes, dialled, policy},
    report::{CHANGED, LOADED},
    watch::Watch,
};

/// Starts an agent within this process, and changes its snapshots.
pub(crate) fn measure(services: Services, options: &Options) -> Result<Found> {
    let policies: String = services.all().map(|service| policy(service, SPLIT)).collect();
    let resources = parse(&(client(services) + &dataplanes(services) + &policies))?;
    let site = Site::build(Place::Loopback)?;
    let last = services.last();
    // Made beforehand, as those of a source are before they are handed over.
    let changed = [0, 1].map(|who| with(&resources, &policy(last, ALL_TO[who])));
    let [first, second] = changed;
    let changed = [first?, second?];
    let workloads = [(CLIENT.to_owned(), site.workload().path())];
    let input = Input { resources: &resources, workloads: &workloads, sidecar: Mode::Off };
    let (ready, times) = run(&input, |_, send| {
        let watch = Watch::start(&site, dialled(last))?;
        change::measure(&watch, 0, options.tries, options.patience(), &mut |weights| {
            let who = ALL_TO.iter().position(|it| *it == weights).context("no such weights")?;
            let since = clock::now()?;
            send(&changed[who]);
            Ok((since, None))
        })
    })?;
    let mut found = Found { version: "of this checkout".to_owned(), ..Found::default() };
    found.add(LOADED, ready.as_secs_f64() * 1e3);
    for time in times {
        found.add(CHANGED, time.as_secs_f64() * 1e3);
    }
    Ok(found)
}
