//! The addresses behind the DNS names of ExternalServices, as this host's resolver gives them.

use std::{collections::BTreeSet, io, net::IpAddr, time::Duration};

use tokio::{net::lookup_host, task::JoinSet, time::timeout};
use tracing::warn;

use crate::routing::DnsAnswers;

/// How long one name may take. The resolver's own limit can be half a minute.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks all names up at once. A name that fails keeps the addresses of `last`: an outage of DNS is no reason
/// to refuse connections.
pub async fn look_up(names: &BTreeSet<String>, last: &DnsAnswers) -> DnsAnswers {
    let mut look_ups = JoinSet::new();
    for name in names.iter().cloned() {
        look_ups.spawn(async move {
            let result = look_up_one(&name).await;
            (name, result)
        });
    }
    let mut answers = DnsAnswers::new();
    while let Some(look_up) = look_ups.join_next().await {
        let Ok((name, result)) = look_up else { continue };
        match (result, last.get(&name)) {
            (Ok(addresses), _) => {
                answers.insert(name, addresses);
            }
            (Err(error), Some(known)) => {
                warn!("cannot resolve {name}, its last addresses stay in force: {error}");
                answers.insert(name, known.clone());
            }
            (Err(error), None) => warn!("cannot resolve {name}, so it has no endpoint: {error}"),
        }
    }
    answers
}

/// Sorted and without repeats: resolvers rotate their answers, and that is no change.
async fn look_up_one(name: &str) -> io::Result<Vec<IpAddr>> {
    // The port is of no interest, but the interface wants one.
    let addresses = timeout(PATIENCE, lookup_host((name, 0))).await.map_err(io::Error::from)??;
    let addresses: BTreeSet<IpAddr> = addresses.map(|address| address.ip()).collect();
    if addresses.is_empty() {
        return Err(io::Error::other("the answer holds no address"));
    }
    Ok(addresses.into_iter().collect())
}
