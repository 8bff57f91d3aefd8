//! The table of nftables by which marked connections get past a sidecar: it translates their destination to the very
//! same, and what is translated once is translated by nobody after it.
//!
//! It stands before the redirections of iptables, which are at -100, and touches nothing of anybody else's. As nft(8)
//! lists it:
//!
//! ```text
//! table inet tcproute {
//!     chain past {
//!         type nat hook output priority -105; policy accept;
//!         meta nfproto ipv4 meta l4proto tcp meta mark & 0x2000 == 0x2000 dnat ip to ip daddr
//!         meta nfproto ipv6 meta l4proto tcp meta mark & 0x2000 == 0x2000 dnat ip6 to ip6 daddr
//!     }
//! }
//! ```

use std::io;

use super::{
    nftables::{Chain, Change, Expression, INET, IPV4, IPV6, Nftables},
    settings::Mark,
};

/// Its name, and that of its chain.
const TABLE: &str = "tcproute";
const CHAIN: &str = "past";

const PRIORITY: i32 = -105;

/// What there is of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Missing,
    /// Of another mark, or not whole.
    Other,
    /// As it shall be.
    Right,
}

/// Whether there is any, among these chains.
pub(super) fn is_there(chains: &[Chain]) -> bool {
    chains.iter().any(is_ours)
}

/// Whether it is in the table.
pub(super) fn is_ours(chain: &Chain) -> bool {
    chain.family == INET && chain.table == TABLE
}

/// What there is, among these chains.
pub(super) fn find(nftables: &Nftables, chains: &[Chain], mark: Mark) -> io::Result<Table> {
    if !is_there(chains) {
        return Ok(Table::Missing);
    }
    if !chains.iter().any(|chain| is_ours(chain) && chain.name == CHAIN && chain.is_hooked) {
        return Ok(Table::Other);
    }
    let comments = nftables.comments(INET, TABLE, CHAIN)?;
    let wanted = FAMILIES.map(|family| comment(family, mark));
    Ok(if comments == wanted { Table::Right } else { Table::Other })
}

/// Makes the table, in place of what there is of it, in one step.
pub(super) fn make(nftables: &Nftables, mark: Mark) -> io::Result<()> {
    let mut changes = vec![
        Change::table(INET, TABLE),
        Change::no_table(INET, TABLE),
        Change::table(INET, TABLE),
        Change::nat_of_output(INET, TABLE, CHAIN, PRIORITY),
    ];
    changes.extend(FAMILIES.map(|family| {
        let mut rule = Vec::new();
        rule.extend(Expression::is_family(family));
        rule.extend(Expression::is_tcp());
        rule.extend(Expression::has_mark(mark.value(), mark.mask()));
        rule.extend(Expression::keeps_destination(family));
        Change::rule(INET, TABLE, CHAIN, rule, &comment(family, mark))
    }));
    nftables.apply(changes)
}

/// Takes the table away, be it there or not.
pub(super) fn remove(nftables: &Nftables) -> io::Result<()> {
    nftables.apply(vec![Change::table(INET, TABLE), Change::no_table(INET, TABLE)])
}

const FAMILIES: [u8; 2] = [IPV4, IPV6];

/// Tells a rule of one table from that of another.
fn comment(family: u8, mark: Mark) -> String {
    format!("tcproute 1: {mark} keeps its {} destination", if family == IPV4 { "ip" } else { "ip6" })
}
