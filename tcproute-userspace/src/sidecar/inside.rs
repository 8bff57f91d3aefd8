//! What is looked at and done inside of a network namespace, by a thread that is in it.

use std::{fs, io, path::Path};

use anyhow::{Context, Result};
use nix::libc;

use super::{
    nftables::{Chain, Nftables},
    passage::{Seen, Whose},
    redirection,
    settings::Mark,
    table,
};

/// Whether this is the namespace that the kernel began with: the only one that has this setting.
fn is_first() -> io::Result<bool> {
    Path::new("/proc/sys/net/core/netdev_max_backlog").try_exists()
}

/// Looks around. It may turn out to be the host's own.
pub(super) fn look(mark: Mark, whose: Whose) -> Result<Seen> {
    let is_first = is_first().context("cannot tell whether it is the host's own")?;
    let whose = if is_first { Whose::Host } else { whose };
    let (chains, table) = match chains(is_wanted)? {
        Some((nftables, chains)) => {
            let found = table::find(&nftables, &chains, mark);
            (chains, Ok(found.context("cannot read the table tcproute")?))
        }
        None => (Vec::new(), Err(NO_NFTABLES.to_owned())),
    };
    let redirections = redirection::find(&chains).context("cannot read the tables of iptables")?;
    Ok(Seen { redirections, table, whose })
}

/// The chains that are asked for; `None` if the kernel has no nftables.
pub(super) fn chains(is_wanted: impl Fn(&Chain) -> bool) -> Result<Option<(Nftables, Vec<Chain>)>> {
    let asked = Nftables::open().and_then(|nftables| {
        let chains = nftables.chains(is_wanted)?;
        Ok((nftables, chains))
    });
    match asked {
        Ok(asked) => Ok(Some(asked)),
        Err(error) if lacks(&error) => Ok(None),
        Err(error) => Err(error).context("cannot read the tables of nftables"),
    }
}

/// Ours, and those of a redirection.
fn is_wanted(chain: &Chain) -> bool {
    table::is_ours(chain) || redirection::is_one(chain)
}

const NO_NFTABLES: &str = "this kernel has no nftables (CONFIG_NF_TABLES): load the module nf_tables";

/// Whether the kernel does not know what was asked for.
fn lacks(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINVAL | libc::EOPNOTSUPP | libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT)
    )
}

/// Makes the table. The error is told as it is.
pub(super) fn make(mark: Mark) -> Result<(), String> {
    let made = Nftables::open().and_then(|nftables| table::make(&nftables, mark));
    made.map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT | libc::EOPNOTSUPP) => {
            "this kernel has no chains of nftables that translate addresses \
             (CONFIG_NFT_NAT): load the modules nft_chain_nat and nft_nat"
                .to_owned()
        }
        _ if lacks(&error) => NO_NFTABLES.to_owned(),
        _ => format!("cannot make the table tcproute of nftables: {error}"),
    })
}

/// Takes the table away, if there is one. Whether there was.
pub(super) fn remove() -> Result<bool> {
    let Some((nftables, chains)) = chains(is_wanted)? else { return Ok(false) };
    if !table::is_there(&chains) {
        return Ok(false);
    }
    table::remove(&nftables).context("cannot remove the table tcproute")?;
    Ok(true)
}

/// The lists of the tables of old that a process sees.
pub(super) fn legacy_tables(process: u32) -> [String; 2] {
    super::legacy::Family::ALL.map(|family| {
        // What cannot be read is looked at when everything is.
        fs::read_to_string(format!("/proc/{process}/net/{}", family.names())).unwrap_or_default()
    })
}

/// A user of the user namespace of a process, as this process numbers it (user_namespaces(7)). `None` if there is no
/// such user.
pub(super) fn uid_of(process: u32, uid: u32) -> io::Result<Option<u32>> {
    Ok(map_uid(&fs::read_to_string(format!("/proc/{process}/uid_map"))?, uid))
}

fn map_uid(map: &str, uid: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(|number| number.parse::<u32>().ok());
        let (inside, outside, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let offset = uid.checked_sub(inside)?;
        (offset < count).then(|| outside.checked_add(offset))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_mapped() {
        let all = "         0          0 4294967295\n";
        assert_eq!(map_uid(all, 5678), Some(5678));
        let pod = "         0    1048576      65536\n";
        assert_eq!(map_uid(pod, 5678), Some(1_054_254));
        assert_eq!(map_uid("0 1000 1\n1 100000 65536\n", 5678), Some(105_677));
        assert_eq!(map_uid("0 1000 1\n", 5678), None);
        assert_eq!(map_uid("what", 0), None);
    }
}
