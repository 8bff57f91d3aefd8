//! Who redirects connections in a network namespace: Kuma, or Istio in one of its two ways. For those who ask how a
//! node is; nothing is done about it.
//!
//! Istio: `cni/pkg/iptables`, `cni/pkg/nftables` and `tools/istio-{iptables,nftables}/pkg/constants`. Ambient alone has
//! a chain ISTIO_PRERT, a sidecar alone ISTIO_REDIRECT.

use std::{fs::File, io};

use anyhow::{Context, Result};

use super::{inside, legacy::Family, nftables::Chain, redirection};
use crate::netns::within;

/// Who redirects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Redirector {
    /// The sidecar of Kuma.
    Kuma,
    /// A sidecar of Istio.
    IstioSidecar,
    /// ztunnel, as Istio has it in ambient mode.
    IstioAmbient,
}

/// How the rules are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// By iptables that use nftables.
    IptablesNft,
    /// By iptables of old.
    IptablesLegacy,
    /// In tables of nftables, without iptables.
    Nftables,
}

/// Who redirects connections in a network namespace, and how. Each once.
pub fn survey(namespace: &File) -> Result<Vec<(Redirector, Backend)>> {
    within(namespace, || {
        let chains = inside::chains(is_wanted)?.map(|(_, chains)| chains).unwrap_or_default();
        let mut found: Vec<(Redirector, Backend)> = chains.iter().filter_map(of_chain).collect();
        found.extend(legacy().context("cannot read the tables of iptables")?);
        found.sort_unstable();
        found.dedup();
        Ok(found)
    })
}

/// The chains by which each is known, as iptables calls them.
const CHAINS: [(&str, Redirector); 3] = [
    (redirection::OUTBOUND, Redirector::Kuma),
    ("ISTIO_REDIRECT", Redirector::IstioSidecar),
    ("ISTIO_PRERT", Redirector::IstioAmbient),
];

/// And its tables of nftables.
const TABLES: [(&str, Redirector); 2] =
    [("istio-proxy-nat", Redirector::IstioSidecar), ("istio-ambient-nat", Redirector::IstioAmbient)];

fn is_wanted(chain: &Chain) -> bool {
    of_chain(chain).is_some()
}

fn of_chain(chain: &Chain) -> Option<(Redirector, Backend)> {
    let by_table = TABLES.iter().find(|(table, _)| chain.table == *table);
    if let Some(&(_, redirector)) = by_table {
        return Some((redirector, Backend::Nftables));
    }
    let by_name = CHAINS.iter().find(|(name, _)| chain.name.starts_with(name));
    by_name.map(|&(_, redirector)| (redirector, Backend::IptablesNft))
}

fn legacy() -> io::Result<Vec<(Redirector, Backend)>> {
    let mut found = Vec::new();
    for family in Family::ALL {
        for (chain, redirector) in CHAINS {
            if super::legacy::nat_mentions(family, chain)? {
                found.push((redirector, Backend::IptablesLegacy));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_known_by_its_chains_or_tables() {
        let of = |table: &str, name: &str| {
            of_chain(&Chain { family: 2, table: table.to_owned(), name: name.to_owned(), is_hooked: false })
        };
        assert_eq!(of("nat", "KUMA_MESH_OUTBOUND"), Some((Redirector::Kuma, Backend::IptablesNft)));
        assert_eq!(of("nat", "ISTIO_REDIRECT"), Some((Redirector::IstioSidecar, Backend::IptablesNft)));
        assert_eq!(of("mangle", "ISTIO_PRERT"), Some((Redirector::IstioAmbient, Backend::IptablesNft)));
        assert_eq!(
            of("istio-ambient-nat", "istio-output"),
            Some((Redirector::IstioAmbient, Backend::Nftables))
        );
        assert_eq!(of("istio-proxy-nat", "output"), Some((Redirector::IstioSidecar, Backend::Nftables)));
        // Both of Istio's ways have this one.
        assert_eq!(of("nat", "ISTIO_OUTPUT"), None);
        assert_eq!(of("nat", "KUBE-SERVICES"), None);
    }
}
