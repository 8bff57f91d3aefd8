//! Whether Kuma redirects what is dialled in the network namespace of this thread to its sidecar: by the chains that it
//! makes, which are called the same since 2.0.
//!
//! Kuma: `app/kumactl/pkg/…/iptables` and `pkg/transparentproxy/iptables/consts`.

use std::io;

use super::{legacy, nftables::Chain};

/// What the chains begin with that take outbound connections.
pub(super) const OUTBOUND: &str = "KUMA_MESH_OUTBOUND";

/// How connections are redirected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Redirection {
    /// By iptables that use nftables.
    Nft,
    /// By iptables of old, of one family of addresses.
    Legacy(legacy::Family),
}

impl std::fmt::Display for Redirection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nft => f.write_str("iptables-nft"),
            Self::Legacy(legacy::Family::V4) => f.write_str("iptables-legacy"),
            Self::Legacy(legacy::Family::V6) => f.write_str("ip6tables-legacy"),
        }
    }
}

/// Whether it is a chain that takes outbound connections.
pub(super) fn is_one(chain: &Chain) -> bool {
    chain.name.starts_with(OUTBOUND)
}

/// The redirections there are, among these chains and in the tables of old.
pub(super) fn find(chains: &[Chain]) -> io::Result<Vec<Redirection>> {
    let by_nft = chains.iter().any(is_one);
    let mut found: Vec<Redirection> = by_nft.then_some(Redirection::Nft).into_iter().collect();
    for family in legacy::Family::ALL {
        if legacy::nat_mentions(family, OUTBOUND)? {
            found.push(Redirection::Legacy(family));
        }
    }
    Ok(found)
}
