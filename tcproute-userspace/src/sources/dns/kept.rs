//! What is kept of answers for the next start, each name by itself: after a reboot without its resolver a node knows
//! them.

use std::net::IpAddr;

use tracing::warn;

use super::super::last_good::{Change, Lines, Record};
use crate::routing::DnsAnswers;

/// What has to be kept anew after `before`.
pub(super) fn changes(before: &DnsAnswers, after: &DnsAnswers) -> Vec<Change> {
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let gone = gone.map(|name| Change { place: name.clone(), ..Change::default() });
    let new = after.iter().filter(|(name, addresses)| before.get(*name) != Some(*addresses));
    let new = new.filter_map(|(name, addresses)| {
        let mut lines = Lines::default();
        lines.add(std::slice::from_ref(name), &serde_json::to_string(addresses).ok()?);
        Some(Change { place: name.clone(), lines, open: Vec::new() })
    });
    gone.chain(new).collect()
}

/// The addresses that were kept. What is no address any more is logged and left out.
pub(super) fn addresses(records: &[Record]) -> DnsAnswers {
    let mut all = DnsAnswers::new();
    for entry in records.iter().flat_map(|record| &record.entries) {
        match (&entry.key[..], serde_json::from_str::<Vec<IpAddr>>(&entry.value)) {
            ([name], Ok(addresses)) if !addresses.is_empty() => {
                all.insert(name.clone(), addresses);
            }
            _ => warn!("the addresses of {} as they were kept cannot be used", entry.key.join(" ")),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{super::super::last_good::Entry, *};

    fn answers(all: &[(&str, &[&str])]) -> DnsAnswers {
        let addresses =
            |addresses: &[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
        all.iter().map(|(name, all)| ((*name).to_owned(), addresses(all))).collect()
    }

    #[test]
    fn what_is_kept_of_changes_is_what_there_is_in_the_end() {
        let states = [
            answers(&[("a", &["192.0.2.1", "2001:db8::1"]), ("b", &["192.0.2.1"])]),
            answers(&[("a", &["192.0.2.1", "2001:db8::1"]), ("b", &["192.0.2.2"]), ("c", &["192.0.2.3"])]),
            answers(&[("b", &["192.0.2.2"])]),
        ];
        let mut kept: Vec<Record> = Vec::new();
        let mut before = DnsAnswers::new();
        let mut counts = Vec::new();
        for state in states {
            let changes = changes(&before, &state);
            counts.push(changes.len());
            for change in changes {
                kept.retain(|record| record.place != change.place);
                kept.push(change.into_record());
            }
            assert_eq!(addresses(&kept), state);
            before = state;
        }
        assert_eq!(counts, [2, 2, 2], "what has not changed is not kept anew");
    }

    #[test]
    fn what_is_no_address_is_left_out() {
        let entry = |key: &str, value: &str| Entry { key: vec![key.to_owned()], value: value.into() };
        let entries =
            vec![entry("a", "[\"192.0.2.1\"]"), entry("b", "[\"x\"]"), entry("c", "[]"), entry("d", "{}")];
        let records = [Record { place: "x".to_owned(), entries }];
        assert_eq!(addresses(&records), answers(&[("a", &["192.0.2.1"])]));
    }
}
