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

use super::Answers;
use crate::routing::DnsAnswers;

/// A name that is not answered is tried again no later than after this time.
const RETRY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Schedule {
    every: Duration,
    names: BTreeMap<String, Name>,
    due: BTreeSet<(Instant, String)>,
    addresses: DnsAnswers,
    /// Whether something was learnt since the answers were asked for.
    news: bool,
}

/// How it went with a name the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    New,
    Answered,
    Failing,
}

impl Schedule {
    /// `addresses` are known already, from before.
    pub(super) fn new(every: Duration, addresses: DnsAnswers) -> Self {
        Self { every, names: BTreeMap::new(), due: BTreeSet::new(), addresses, news: false }
    }

    /// These names are wanted and no others. Those that are new are due at once.
    pub(super) fn want(&mut self, wanted: &BTreeSet<String>, now: Instant) {
        self.names.retain(|name, _| wanted.contains(name));
        self.due.retain(|(_, name)| wanted.contains(name));
        let before = self.addresses.len();
        self.addresses.retain(|name, _| wanted.contains(name));
        self.news |= self.addresses.len() < before;
        for name in wanted {
            if !self.names.contains_key(name) {
                self.names.insert(name.clone(), Name::New);
                self.due.insert((now, name.clone()));
                self.news = true;
            }
        }
    }

    /// The names that are due, and of each whether it failed the last time. They are due again when it is known how it went.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(String, bool)> {
        let later = self.due.split_off(&(now + Duration::from_nanos(1), String::new()));
        let due = std::mem::replace(&mut self.due, later);
        let failing = |name: &String| self.names.get(name) == Some(&Name::Failing);
        due.into_iter()
            .map(|(_, name)| (failing(&name), name))
            .map(|(failing, name)| (name, failing))
            .collect()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes what came of a name; says so when it fails, and when it is back.
    pub(super) fn take(&mut self, name: &str, found: io::Result<Vec<IpAddr>>, now: Instant) {
        // It may not be wanted any more.
        let Some(state) = self.names.get_mut(name) else { return };
        let before = std::mem::replace(state, if found.is_ok() { Name::Answered } else { Name::Failing });
        self.news |= before == Name::New;
        let again = match found {
            Ok(addresses) => {
                if before == Name::Failing {
                    info!("{name} is answered again");
                }
                if self.addresses.get(name) != Some(&addresses) {
                    self.addresses.insert(name.to_owned(), addresses);
                    self.news = true;
                }
                self.every
            }
            Err(error) => {
                if before != Name::Failing && self.addresses.contains_key(name) {
                    warn!("cannot resolve {name}, its last addresses stay in force: {error}");
                } else if before != Name::Failing {
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
        let pending = self.names.values().filter(|state| **state == Name::New).count();
        Answers { addresses: Arc::new(self.addresses.clone()), pending }
    }
}
