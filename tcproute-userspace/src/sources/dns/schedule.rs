//! Which name is to be looked up when, and what is known of each. The clock is an argument.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    Answers,
    share::{Owner, SHARE, Shared, Shares, share},
};
use crate::routing::DnsAnswers;

/// A name that is not answered is tried again no later than after this time.
const RETRY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Schedule {
    every: Duration,
    names: BTreeMap<String, Name>,
    due: BTreeSet<(Instant, String)>,
    addresses: DnsAnswers,
    shares: Shares,
    /// Whether something was learnt since the answers were asked for.
    news: bool,
}

#[derive(Debug)]
struct Name {
    owners: BTreeSet<Owner>,
    last: Last,
    /// Whether it is due and not looked up yet.
    is_waiting: bool,
}

/// How it went with a name the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    New,
    Answered,
    Failing,
}

impl Schedule {
    /// `addresses` are known already, from before.
    pub(super) fn new(every: Duration, addresses: DnsAnswers) -> Self {
        let (names, due) = (BTreeMap::new(), BTreeSet::new());
        Self { every, names, due, addresses, shares: Shares::default(), news: false }
    }

    /// These names are wanted and no others. Those that are new are due at once.
    pub(super) fn want(&mut self, wanted: &BTreeMap<Owner, BTreeSet<String>>, now: Instant) {
        let is_known =
            |owner: &Owner, name: &str| self.names.get(name).is_some_and(|name| name.owners.contains(owner));
        let (shared, shares) = share(wanted, is_known);
        tell(&self.shares, &shares);
        self.news |= self.shares != shares;
        self.shares = shares;
        self.keep(&shared);
        for (name, owners) in shared {
            match self.names.get_mut(&name) {
                // Whoever wants it as well need not wait for the turn of the others.
                Some(known) if known.is_waiting && known.owners != owners => {
                    known.owners = owners;
                    self.due.insert((now, name));
                }
                Some(known) => known.owners = owners,
                None => {
                    self.names.insert(name.clone(), Name { owners, last: Last::New, is_waiting: false });
                    self.due.insert((now, name));
                    self.news = true;
                }
            }
        }
    }

    /// Forgets all names but these.
    fn keep(&mut self, shared: &Shared) {
        self.names.retain(|name, _| shared.contains_key(name));
        self.due.retain(|(_, name)| shared.contains_key(name));
        let before = self.addresses.len();
        self.addresses.retain(|name, _| shared.contains_key(name));
        self.news |= self.addresses.len() < before;
    }

    /// The names that are due, for each who wants them, and whether they failed the last time. They wait until they are
    /// looked up, and are due again when it is known how that went.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(Owner, String, bool)> {
        let later = self.due.split_off(&(now + Duration::from_nanos(1), String::new()));
        let mut due = Vec::new();
        for (_, name) in std::mem::replace(&mut self.due, later) {
            let Some(state) = self.names.get_mut(&name) else { continue };
            state.is_waiting = true;
            let is_failing = state.last == Last::Failing;
            due.extend(state.owners.iter().map(|owner| (Owner::clone(owner), name.clone(), is_failing)));
        }
        due
    }

    /// Whether a name is due and not looked up yet.
    pub(super) fn is_waiting(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(|name| name.is_waiting)
    }

    /// A name is looked up from now on.
    pub(super) fn begin(&mut self, name: &str) {
        if let Some(name) = self.names.get_mut(name) {
            name.is_waiting = false;
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes what came of a name; says so when it fails, and when it is back.
    pub(super) fn take(&mut self, name: &str, found: io::Result<Vec<IpAddr>>, now: Instant) {
        // It may not be wanted any more.
        let Some(state) = self.names.get_mut(name) else { return };
        let last = if found.is_ok() { Last::Answered } else { Last::Failing };
        let before = std::mem::replace(&mut state.last, last);
        self.news |= before == Last::New;
        let again = match found {
            Ok(addresses) => {
                if before == Last::Failing {
                    info!("{name} is answered again");
                }
                if self.addresses.get(name) != Some(&addresses) {
                    self.addresses.insert(name.to_owned(), addresses);
                    self.news = true;
                }
                self.every
            }
            Err(error) => {
                if before != Last::Failing && self.addresses.contains_key(name) {
                    warn!("cannot resolve {name}, its last addresses stay in force: {error}");
                } else if before != Last::Failing {
                    warn!("cannot resolve {name}, so it has no endpoint: {error}");
                }
                self.every.min(RETRY)
            }
        };
        self.due.insert((now + again, name.to_owned()));
    }

    pub(super) const fn has_news(&self) -> bool {
        self.news
    }

    pub(super) fn answers(&mut self) -> Answers {
        self.news = false;
        let asked = self.names.iter().filter(|(_, name)| name.last != Last::New);
        let asked: Vec<&String> = asked.map(|(name, _)| name).collect();
        let pending = self.names.len() - asked.len();
        let known = asked.into_iter().chain(self.addresses.keys()).cloned().collect();
        let addresses = Arc::new(self.addresses.clone());
        Answers { addresses, known: Arc::new(known), pending, shares: self.shares.clone() }
    }
}

/// Logs who has more names than are looked up for the first time, and who no longer does.
fn tell(before: &Shares, after: &Shares) {
    for (owner, left_out) in &after.left_out {
        if !before.left_out.contains_key(owner) {
            warn!(
                "Dataplane {owner} leads to more than {SHARE} DNS names: {left_out} are not looked up and have no endpoint"
            );
        }
    }
    for owner in before.left_out.keys().filter(|owner| !after.left_out.contains_key(*owner)) {
        info!("all DNS names of Dataplane {owner} are looked up");
    }
}
