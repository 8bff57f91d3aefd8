//! Which of Kuma's kinds the cluster has: by asking what the group has, not by listing each kind.

use std::{collections::BTreeSet, time::Duration};

use serde::Deserialize;

use super::{
    access::Server,
    failure::Failure,
    kinds::{DISCOVERY, KUMA, WatchedKind},
};
use crate::policy::Compat;

/// How often it is looked for kinds that are not there, where nothing tells when they come: half of it at least.
pub(super) const INTERVAL: Duration = Duration::from_secs(50);

/// And elsewhere.
pub(super) const SELDOM: Duration = Duration::from_hours(1);

/// So long after something was told it is looked again and again: what is told is not served at once.
pub(super) const RESTLESS: Duration = Duration::from_mins(2);

/// Bytes of the answer at most.
const MOST: usize = 4 << 20;

/// What a cluster has of Kuma.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) kinds: BTreeSet<WatchedKind>,
    /// Whose rules its version follows; `None` without Kuma.
    pub(super) compat: Option<Compat>,
}

#[derive(Deserialize)]
struct ApiResourceList {
    resources: Vec<ApiResource>,
}

#[derive(Deserialize)]
struct ApiResource {
    name: String,
}

/// Asks for it.
pub(super) async fn discover(server: &Server) -> Result<Installed, Failure> {
    let answer = match server.get(DISCOVERY, "application/json").await {
        Ok(mut answer) => answer.whole(MOST).await?,
        // Not even the group is there.
        Err(Failure::NotFound) => return Ok(Installed::of(&[])),
        Err(failure) => return Err(failure),
    };
    let list: ApiResourceList =
        serde_json::from_slice(&answer).map_err(|error| Failure::Garbage(error.to_string()))?;
    let names: Vec<&str> = list.resources.iter().map(|resource| resource.name.as_str()).collect();
    Ok(Installed::of(&names))
}

impl Installed {
    /// The kinds that are there, and those that are not and will be looked for.
    pub(super) fn told(&self) -> String {
        let plurals = |is_there: bool| -> String {
            let all = KUMA.iter().filter(|kind| self.kinds.contains(kind) == is_there);
            let all: Vec<&str> = all.map(|kind| kind.plural).collect();
            if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
        };
        format!("{}; not installed: {}", plurals(true), plurals(false))
    }

    /// By the plurals of its kinds. MeshMetric came in 2.6, and ExternalService went in 3.0.
    fn of(names: &[&str]) -> Self {
        let kinds = KUMA.into_iter().filter(|kind| names.contains(&kind.plural)).collect();
        let compat = if !names.contains(&"dataplanes") {
            None
        } else if !names.contains(&"externalservices") {
            Some(Compat::V3)
        } else if names.contains(&"meshmetrics") {
            Some(Compat::Latest)
        } else {
            Some(Compat::V2_4)
        };
        Self { kinds, compat }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_tell_the_version() {
        let compat = |names: &[&str]| Installed::of(names).compat;
        assert_eq!(compat(&[]), None);
        assert_eq!(compat(&["dataplanes", "externalservices"]), Some(Compat::V2_4));
        assert_eq!(compat(&["dataplanes", "externalservices", "meshmetrics"]), Some(Compat::Latest));
        assert_eq!(compat(&["dataplanes", "meshmetrics"]), Some(Compat::V3));
        let kinds = Installed::of(&["dataplanes", "dataplanes/status", "meshtlses", "unheardof"]).kinds;
        let plurals: BTreeSet<&str> = kinds.iter().map(|kind| kind.plural).collect();
        assert_eq!(plurals, BTreeSet::from(["dataplanes", "meshtlses"]));
    }
}
