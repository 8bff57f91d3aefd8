//! Who is compared: a file for each family.

mod envoy;
mod iptables;
mod ipvs;
mod lru_balancer;
mod nftables;
mod tcproute;

use std::net::SocketAddrV4;

use anyhow::Result;
use tcproute_tests::bench::contenders::{self, Installed};

use tcproute_tests::bench::site::{Place, Site};

/// A way from clients to backends.
pub(crate) struct Kind {
    /// On a command line and in JSON.
    pub(crate) name: &'static str,
    /// In tables.
    pub(crate) title: &'static str,
    /// With whom it is compared.
    pub(crate) base: &'static str,
    pub(crate) place: Place,
    /// Whether it leads to both backends, or is a connection to the first.
    pub(crate) splits: bool,
    /// Puts it into a network where nothing is installed yet, until it routes.
    pub(crate) install: fn(&Site) -> Result<Installed>,
}

/// All of them. Those with whom others are compared come before them.
pub(crate) const ALL: [Kind; 13] = [
    Kind { splits: false, ..on_loopback("direct", "direct", |_| contenders::direct::install()) },
    on_loopback("tcproute", "tcproute", |site| {
        contenders::tcproute::install(&site.way(), &["--selection", "random"], "plain")
    }),
    on_loopback("tcproute-even", "tcproute `--selection even`", |site| {
        contenders::tcproute::install(&site.way(), &["--selection", "even"], "plain")
    }),
    on_loopback("lru-balancer", "socket balancer, LRU map", lru_balancer::install),
    on_loopback("nftables-map", "nftables, `numgen` map", nftables::map),
    on_loopback("nftables-verdict-map", "nftables, verdict maps", nftables::verdict_map),
    on_loopback("iptables", "iptables, `statistic`", iptables::install),
    on_loopback("ipvs", "IPVS, `wrr`", ipvs::install),
    on_loopback("haproxy", "HAProxy, TCP mode", |site| contenders::haproxy::install(&site.way())),
    on_loopback("envoy", "Envoy, `weighted_clusters`", |site| contenders::envoy::install(&site.way())),
    Kind { splits: false, ..in_pod("direct-in-pod", "in a pod: direct", |_| contenders::direct::install()) },
    in_pod("tcproute-beside-sidecar", "in a pod: tcproute beside a sidecar", tcproute::beside_sidecar),
    in_pod("envoy-as-sidecar", "in a pod: Envoy as the sidecar", envoy::as_sidecar),
];

const fn on_loopback(
    name: &'static str,
    title: &'static str,
    install: fn(&Site) -> Result<Installed>,
) -> Kind {
    Kind { name, title, base: "direct", place: Place::Loopback, splits: true, install }
}

const fn in_pod(name: &'static str, title: &'static str, install: fn(&Site) -> Result<Installed>) -> Kind {
    Kind { name, title, base: "direct-in-pod", place: Place::Pod, splits: true, install }
}

impl Kind {
    /// Without which there is nothing to compare.
    pub(crate) fn is_own(&self) -> bool {
        self.name.starts_with("direct") || self.name.starts_with("tcproute")
    }
}

/// One that is there. It goes before its network does.
pub(crate) struct Contender {
    pub(crate) kind: &'static Kind,
    pub(crate) installed: Installed,
    pub(crate) site: Site,
}

impl Contender {
    /// What its clients dial.
    pub(crate) fn dials(&self) -> SocketAddrV4 {
        if self.kind.splits { self.site.service } else { self.site.backends[0] }
    }

    /// Has the kernel forget the connections that it tracks, of which there are more after each turn.
    pub(crate) fn forget(&self) -> Result<()> {
        if self.installed.is_tracked { self.site.run("conntrack", &["--flush"]) } else { Ok(()) }
    }
}
