//! What the clients have seen, from one moment to another, and what it should be.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use tcproute_tests::{chi_square, load::Seen};

use crate::{kubectl::Kubectl, mesh::NAMESPACE};

/// The pods that connect, by what the report calls them.
pub(crate) const CLIENTS: [(&str, &str); 2] =
    [("without a sidecar", "client"), ("with a sidecar", "client-with-sidecar")];

/// Where they connect to: a MeshTCPRoute is about the first one alone.
pub(crate) const DESTINATIONS: [&str; 2] = ["server", "other"];

/// By client and destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observed(pub(crate) BTreeMap<(&'static str, &'static str), Seen>);

/// What becomes of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The cluster leads them, and the sidecar takes those of its pod.
    Cluster,
    /// tcproute leads those that there is a route for.
    Routed,
    /// Both, one after the other.
    Change,
    /// The same, and clients may have been there before their servers: what fails for want of these is told.
    Restart,
}

impl Observed {
    /// Until now, since the clients were started.
    pub(crate) fn now(kubectl: &Kubectl) -> Result<Self> {
        let mut all = BTreeMap::new();
        for (client, pod) in CLIENTS {
            let words = format!("logs --namespace {NAMESPACE} {pod} --container client --tail 1");
            let line = kubectl.say(&words)?;
            let mut seen: BTreeMap<String, Seen> =
                serde_json::from_str(&line).with_context(|| format!("{pod} says {line:?}"))?;
            for destination in DESTINATIONS {
                all.insert((client, destination), seen.remove(destination).unwrap_or_default());
            }
        }
        Ok(Self(all))
    }

    /// What has come since an earlier moment. Clients that were started anew have begun to count again.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let minus = |(key, now): (&(&'static str, &'static str), &Seen)| {
            let seen = earlier
                .0
                .get(key)
                .filter(|earlier| total(earlier) <= total(now))
                .map_or_else(|| now.clone(), |earlier| difference(now, earlier));
            (*key, seen)
        };
        Self(self.0.iter().map(minus).collect())
    }

    /// The least that there is of any client and destination.
    pub(crate) fn least(&self) -> u64 {
        self.0.values().map(total).min().unwrap_or(0)
    }

    /// Whether each connection that there is a route for was led by it.
    pub(crate) fn is_past_the_sidecar(&self) -> bool {
        self.0.iter().all(|((_, destination), seen)| {
            *destination != DESTINATIONS[0] || !seen.names.contains_key("proxy")
        })
    }

    /// All that is not as it should be.
    pub(crate) fn wrong(&self, expected: Expected) -> Vec<String> {
        let mut wrong = Vec::new();
        for (&(client, destination), seen) in &self.0 {
            let mut complain = |what: String| wrong.push(format!("{destination}, {client}: {what}"));
            for (failure, count) in &seen.failures {
                let is_excused = expected == Expected::Restart && is_for_want_of_a_server(failure);
                if !is_excused {
                    complain(format!("{count} connections failed: {failure}"));
                }
            }
            for (peer, count) in &seen.other_peers {
                complain(format!("{count} connections show {peer} as their peer"));
            }
            let has_sidecar = client == CLIENTS[1].0;
            let shares: &[(&str, f64)] = match (expected, destination == DESTINATIONS[0], has_sidecar) {
                (Expected::Change | Expected::Restart, true, _) => continue,
                (Expected::Routed, true, _) => &[("v1", 0.9), ("v2", 0.1)],
                (Expected::Cluster, true, false) => &[("v1", 0.5), ("v2", 0.5)],
                (_, false, false) => &[("other", 1.0)],
                (_, _, true) => &[("proxy", 1.0)],
            };
            if !is_explained(&seen.names, shares) {
                complain(format!("{:?} instead of {shares:?}", seen.names));
            }
        }
        wrong
    }
}

/// Whether a connection has failed as one does to a Service without endpoints, or to a pod that is gone.
fn is_for_want_of_a_server(failure: &str) -> bool {
    // By its number: musl has other words for it than glibc.
    [Errno::ECONNREFUSED, Errno::EHOSTUNREACH]
        .iter()
        .any(|&it| failure.ends_with(&format!("(os error {})", it as i32)))
}

fn total(seen: &Seen) -> u64 {
    seen.names.values().chain(seen.failures.values()).sum()
}

fn difference(now: &Seen, earlier: &Seen) -> Seen {
    let minus = |now: &BTreeMap<String, u64>, earlier: &BTreeMap<String, u64>| {
        let rest = now
            .iter()
            .map(|(name, count)| (name.clone(), count - earlier.get(name).unwrap_or(&0).min(count)));
        rest.filter(|(_, count)| *count > 0).collect()
    };
    Seen {
        names: minus(&now.names, &earlier.names),
        failures: minus(&now.failures, &earlier.failures),
        other_peers: minus(&now.other_peers, &earlier.other_peers),
    }
}

/// Whether there is nobody else who has answered, and chance explains how often each has.
pub(crate) fn is_explained(names: &BTreeMap<String, u64>, shares: &[(&str, f64)]) -> bool {
    let counts: Vec<(u64, f64)> =
        shares.iter().map(|(name, share)| (names.get(*name).copied().unwrap_or(0), *share)).collect();
    let known: u64 = counts.iter().map(|(count, _)| count).sum();
    let critical = chi_square::critical_value(u32::try_from(shares.len() - 1).unwrap_or(u32::MAX));
    known > 0 && known == names.values().sum::<u64>() && chi_square::statistic(&counts) <= critical
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(proxied: u64, failed: u64) -> Observed {
        failing(proxied, failed, "Connection refused (os error 111)")
    }

    fn failing(proxied: u64, failed: u64, failure: &str) -> Observed {
        let seen = |names: &[(&str, u64)]| Seen {
            names: names.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            ..Seen::default()
        };
        let [plain, beside] = CLIENTS.map(|(client, _)| client);
        let [routed, other] = DESTINATIONS;
        let mut all = BTreeMap::from([
            ((plain, routed), seen(&[("v1", 905), ("v2", 95)])),
            ((plain, other), seen(&[("other", 1000)])),
            ((beside, routed), seen(&[("v1", 890), ("v2", 110)])),
            ((beside, other), seen(&[("proxy", 1000)])),
        ]);
        let through = all.get_mut(&(beside, routed)).unwrap();
        through.names.extend((proxied > 0).then(|| ("proxy".to_owned(), proxied)));
        through.failures.extend((failed > 0).then(|| (failure.to_owned(), failed)));
        Observed(all)
    }

    #[test]
    fn what_is_led_by_routes_is_told_from_what_is_not() {
        assert_eq!(observed(0, 0).wrong(Expected::Routed), Vec::<String>::new());
        assert!(observed(0, 0).is_past_the_sidecar());
        // Both clients.
        assert_eq!(observed(0, 0).wrong(Expected::Cluster).len(), 2);
        assert_eq!(observed(1, 0).wrong(Expected::Routed).len(), 1);
        assert!(!observed(1, 0).is_past_the_sidecar());
        assert_eq!(observed(1, 0).wrong(Expected::Change), Vec::<String>::new());
        assert_eq!(observed(0, 1).wrong(Expected::Change).len(), 1);
        assert_eq!(observed(0, 1).wrong(Expected::Restart), Vec::<String>::new());
        for words in ["No route to host", "Host is unreachable"] {
            let failure = format!("{words} (os error 113)");
            assert_eq!(failing(0, 1, &failure).wrong(Expected::Restart), Vec::<String>::new());
        }
        for other in ["timed out", "Connection reset by peer (os error 104)"] {
            assert_eq!(failing(0, 1, other).wrong(Expected::Restart).len(), 1);
        }
    }

    #[test]
    fn what_was_seen_before_does_not_count() {
        let since = observed(7, 2).since(&observed(3, 2));
        let seen = &since.0[&(CLIENTS[1].0, DESTINATIONS[0])];
        assert_eq!(seen.names, BTreeMap::from([("proxy".to_owned(), 4)]));
        assert_eq!(seen.failures, BTreeMap::new());
        assert_eq!(since.least(), 0);
        // Started anew, it has seen less than before.
        assert_eq!(
            observed(0, 0).since(&observed(9, 0)).0[&(CLIENTS[1].0, DESTINATIONS[0])].names["v1"],
            890
        );
    }
}
