//! The usual socket balancer (`tcproute-ebpf/src/bin/lru_balancer.rs`), made as those of others are: a remainder
//! chooses among backends, and an LRU map remembers what was dialled.

use std::iter::repeat_n;

use anyhow::Result;
use tcproute_tests::bench::{balancer::Balancer, contenders::Installed};

use tcproute_tests::bench::site::{Site, WEIGHTS};

/// It knows no weights: so each backend is there as many times as its weight says.
pub(super) fn install(site: &Site) -> Result<Installed> {
    let times = |(address, weight): (_, u32)| repeat_n(address, (weight / 10) as usize);
    let backends: Vec<_> = site.backends.into_iter().zip(WEIGHTS).flat_map(times).collect();
    let mut balancer = Balancer::load(site.service, &backends)?;
    for name in ["lb_connect4", "lb_getpeername4", "lb_release"] {
        balancer.attach(name, site.workload())?;
    }
    Ok(Installed {
        holds_bpf: Some(std::process::id()),
        keep: Box::new(balancer),
        ..Installed::in_kernel("of this checkout".to_owned())
    })
}
