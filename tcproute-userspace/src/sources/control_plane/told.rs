//! What is told of a control plane at one moment. Pure.

use std::{path::Path, sync::Arc, time::SystemTime};

use super::{
    super::{
        InputError,
        snapshot::{Bytes, Health, Server, Snapshot},
    },
    index::{About, Extent},
    kinds,
    list_name::ListName,
    store::Store,
};
use crate::{https::Url, policy::Compat};

/// Bytes of all lists at most.
pub(super) const MOST: usize = 256 << 20;

/// What is said of a control plane of many zones.
const GLOBAL: &str = "it is global, and has the Dataplanes of all zones: only those of the zone of who dials are \
                      endpoints, and where others are meant connections are left to the proxy";

/// Why nothing can be applied to a control plane in a cluster.
const ON_KUBERNETES: &str = "it runs on Kubernetes, where resources are applied to the API server";

/// What is known of it.
pub(super) struct Known<'a> {
    pub(super) url: &'a Url,
    pub(super) about: Option<&'a About>,
    pub(super) compat: Option<Compat>,
    /// Why nothing can be asked for at present, and since when.
    pub(super) failing: Option<&'a (String, SystemTime)>,
    pub(super) store: &'a Store,
}

impl Known<'_> {
    /// All of it. `wanted` are the lists that there should be.
    pub(super) fn snapshot(&self, wanted: impl Iterator<Item = ListName>) -> Snapshot {
        let Self { url, about, compat, store, .. } = self;
        let server = about.map(server);
        let is_global = server.as_ref().is_some_and(|server| server.is_global);
        let note = |message| InputError::new(Path::new(&url.to_string()), None, message);
        Snapshot {
            resources: store.objects.resources.clone(),
            rejected: store.objects.rejected.clone(),
            notes: if is_global { vec![note(GLOBAL)] } else { Vec::new() },
            compat: *compat,
            health: self.health(wanted),
            bytes: Some(Bytes { read: store.bytes() as u64, most: MOST as u64 }),
            server: server.map(Arc::new),
        }
    }

    fn health(&self, mut wanted: impl Iterator<Item = ListName>) -> Health {
        let lists = &self.store.lists;
        let of_lists = lists.values().filter_map(|list| list.failing.as_ref());
        let is_read = |list: ListName| lists.get(&list).is_some_and(|list| list.is_read);
        let is_answered = self.about.is_some() && wanted.all(is_read);
        Health::of_parts(self.failing.into_iter().chain(of_lists), is_answered)
    }
}

fn server(about: &About) -> Server {
    let version = about.index.version();
    let lacks = kinds::ALL.iter().filter(|kind| !kind.is_in(version)).map(|kind| kind.kind).collect();
    let read_only = about.is_on_kubernetes().then_some(ON_KUBERNETES);
    Server { name: about.to_string(), lacks, read_only, is_global: about.extent == Extent::Global }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{
            access::url,
            index::{Config, Index},
        },
        *,
    };
    use crate::sources::documents::Strictness;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn about(mode: &str) -> About {
        let index: Index = serde_json::from_str(r#"{"product":"Kuma","version":"2.4.10"}"#).unwrap();
        let config = format!(r#"{{"mode":"{mode}","environment":"kubernetes"}}"#);
        let config: Config = serde_json::from_str(&config).unwrap();
        About::of(index, Some(config), None)
    }

    #[test]
    fn it_is_well_when_all_was_read_and_nothing_fails() {
        let url = url("https://cp:5682").unwrap();
        let mut store = Store::new(url.clone(), Strictness::Lenient.into());
        let about = about("zone");
        let health = |store: &Store, about: Option<&About>, failing: Option<&(String, SystemTime)>| {
            let known = Known { url: &url, about, compat: None, failing, store };
            known.snapshot([ListName::Meshes].into_iter()).health
        };
        assert_eq!(health(&store, None, None), Health::Awaited);
        assert_eq!(health(&store, Some(&about), None), Health::Awaited);
        store.list(&ListName::Meshes).is_read = true;
        assert_eq!(health(&store, Some(&about), None), Health::Well);
        store.list(&ListName::Meshes).fail("list".to_owned(), NOW);
        let failing = |why: &str| Health::Failing { why: why.to_owned(), since: NOW };
        assert_eq!(health(&store, Some(&about), None), failing("list"));
        let all = ("all".to_owned(), NOW + Duration::from_secs(9));
        assert_eq!(health(&store, Some(&about), Some(&all)), failing("all (and 1 more)"));
    }

    #[test]
    fn what_it_is_is_told() {
        let url = url("https://cp:5682").unwrap();
        let store = Store::new(url.clone(), Strictness::Lenient.into());
        let about = about("global");
        let known = Known { url: &url, about: Some(&about), compat: None, failing: None, store: &store };
        let Snapshot { notes, server, .. } = known.snapshot([].into_iter());
        assert!(notes[0].to_string().starts_with("https://cp:5682: it is global"), "{notes:?}");
        let server = server.unwrap();
        assert_eq!(server.name, "Kuma 2.4.10, global, on kubernetes");
        assert!(server.is_global && server.read_only.is_some() && server.lacks.contains(&"MeshService"));
        assert!(!server.lacks.contains(&"MeshTCPRoute"));
    }
}
