//! Several sources to one: what two of them have is the earlier one's, and the later one is told so. Pure.

use std::{mem, path::Path, sync::Arc, time::SystemTime};

use imbl::OrdMap;

use super::{
    InputError,
    name::SourceName,
    snapshot::{Health, Rejection, Snapshot, Subject},
};
use crate::resources::{
    ClusterService, Dataplane, ExternalService, Identity, Key, Mesh, MeshExternalService, MeshHttpRoute,
    MeshIdentity, MeshMultiZoneService, MeshName, MeshService, MeshTcpRoute, MeshTls, ResourceName,
    Resources, ServiceResources, TrafficRoute,
};

/// What each source said last, in the order of their rank.
pub type Sources = [(SourceName, Arc<Snapshot>)];

/// Merges them. `before` is what the last merge gave: what was rejected there is rejected since then.
pub fn merge(sources: &Sources, before: &Snapshot, now: SystemTime) -> Arc<Snapshot> {
    let [(name, first), later @ ..] = sources else { return Arc::default() };
    if later.is_empty() {
        return Arc::clone(first);
    }
    let mut merged = Snapshot { health: named(name, &first.health), ..Snapshot::clone(first) };
    for (place, (source, snapshot)) in (1..).zip(later) {
        for (subject, rejection) in &snapshot.rejected {
            reject(&mut merged.rejected, subject.clone(), rejection);
        }
        for identity in union(&mut merged.resources, &snapshot.resources) {
            let has =
                |(_, earlier): &&(SourceName, Arc<Snapshot>)| earlier.resources.get(&identity).is_some();
            let first = sources[..place].iter().find(has).map_or(*name, |(name, _)| *name);
            let message = format!("{identity} is already defined by the source {first}");
            let violations = vec![InputError::new(Path::new(source), None, message)];
            let subject = Subject::Resource(identity);
            let since = before.rejected.get(&subject).map_or(now, |before| before.since);
            let rejection = Rejection { source, violations, since, kept: false };
            reject(&mut merged.rejected, subject, &Arc::new(rejection));
        }
        merged.compat = merged.compat.or(snapshot.compat);
        merged.health = worse(merged.health, named(source, &snapshot.health));
    }
    Arc::new(merged)
}

/// Several sources may reject the same.
fn reject(all: &mut OrdMap<Subject, Arc<Rejection>>, subject: Subject, new: &Arc<Rejection>) {
    let rejection = match all.get(&subject) {
        None => Arc::clone(new),
        Some(other) => Arc::new(Rejection {
            source: other.source,
            violations: [&other.violations[..], &new.violations].concat(),
            since: other.since.min(new.since),
            kept: other.kept || new.kept,
        }),
    };
    all.insert(subject, rejection);
}

fn named(source: SourceName, health: &Health) -> Health {
    match health {
        Health::Well => Health::Well,
        Health::Awaited => Health::Awaited,
        Health::Late { why } => Health::Late { why: format!("{source}: {why}") },
        Health::Failing { why, since } => Health::Failing { why: format!("{source}: {why}"), since: *since },
    }
}

fn worse(a: Health, b: Health) -> Health {
    let rank = |health: &Health| match health {
        Health::Well => 0,
        Health::Late { .. } => 1,
        Health::Failing { .. } => 2,
        Health::Awaited => 3,
    };
    if rank(&b) > rank(&a) { b } else { a }
}

/// Adds what is not there yet, and answers with what is.
fn union(all: &mut Resources, later: &Resources) -> Vec<Identity> {
    let mut twice = Vec::new();
    let of = |kind: &'static str| move |key: &Key| Identity { kind, key: key.clone() };
    let of_mesh = |name: &MeshName| {
        let key = (name.clone(), ResourceName { name: name.as_str().into(), namespace: None });
        Identity { kind: Mesh::KIND, key }
    };
    // All of them: a kind that is new must not be left out.
    let Resources {
        meshes,
        dataplanes,
        external_services,
        services,
        tcp_routes,
        http_routes,
        identities,
        tls,
        traffic_routes,
        cluster_services,
        virtual_outbounds,
        other_policies,
    } = later;
    union_of(&mut all.meshes, meshes, of_mesh, &mut twice);
    union_of(&mut all.dataplanes, dataplanes, of(Dataplane::KIND), &mut twice);
    union_of(&mut all.external_services, external_services, of(ExternalService::KIND), &mut twice);
    let (services, ServiceResources { mesh, external, multi_zone }) = (&mut all.services, services);
    union_of(&mut services.mesh, mesh, of(MeshService::KIND), &mut twice);
    union_of(&mut services.external, external, of(MeshExternalService::KIND), &mut twice);
    union_of(&mut services.multi_zone, multi_zone, of(MeshMultiZoneService::KIND), &mut twice);
    union_of(&mut all.tcp_routes, tcp_routes, of(MeshTcpRoute::KIND), &mut twice);
    union_of(&mut all.http_routes, http_routes, of(MeshHttpRoute::KIND), &mut twice);
    union_of(&mut all.identities, identities, of(MeshIdentity::KIND), &mut twice);
    union_of(&mut all.tls, tls, of(MeshTls::KIND), &mut twice);
    union_of(&mut all.traffic_routes, traffic_routes, of(TrafficRoute::KIND), &mut twice);
    union_of(&mut all.cluster_services, cluster_services, of(ClusterService::KIND), &mut twice);
    // Each mesh has one control plane, so that nobody has them twice.
    all.virtual_outbounds = mem::take(&mut all.virtual_outbounds).union(virtual_outbounds.clone());
    let of_other = |(kind, key): &(&'static str, Key)| Identity { kind, key: key.clone() };
    union_of(&mut all.other_policies, other_policies, of_other, &mut twice);
    twice
}

/// Takes as long as the smaller of the two is large.
fn union_of<K: Ord + Clone, V>(
    all: &mut OrdMap<K, Arc<V>>,
    later: &OrdMap<K, Arc<V>>,
    identity: impl Fn(&K) -> Identity,
    twice: &mut Vec<Identity>,
) {
    let (small, large) = if all.len() < later.len() { (&*all, later) } else { (later, &*all) };
    twice.extend(small.keys().filter(|key| large.contains_key(*key)).map(identity));
    *all = mem::take(all).union(later.clone());
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        resources::{Resource, ServiceName},
        sources::parse,
    };

    /// The sources' names, and a moment.
    const NAMES: [SourceName; 3] = ["files", "kubernetes", "control_plane"];
    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn snapshot(text: &str) -> Snapshot {
        let resources = parse(Path::new("a.yaml"), text.as_bytes()).unwrap();
        Snapshot { resources, ..Snapshot::default() }
    }

    fn service(name: &str, address: &str) -> String {
        format!(
            "---\ntype: ExternalService\nname: {name}\ntags: {{kuma.io/service: {name}}}\nnetworking: {{address: '{address}:1'}}\n"
        )
    }

    #[test]
    fn one_source_is_what_it_said() {
        let only = Arc::new(snapshot(&service("a", "192.0.2.1")));
        let merged = merge(&[("files", Arc::clone(&only))], &Snapshot::default(), NOW);
        assert!(Arc::ptr_eq(&merged, &only));
        assert_eq!(merge(&[], &Snapshot::default(), NOW).resources, Resources::default());
    }

    #[test]
    fn the_later_of_two_is_rejected_and_told_of_the_first() {
        let texts = [
            "",
            "type: Mesh\nname: m\n",
            "type: Mesh\nname: m\nmtls: {enabledBackend: x, backends: [{name: x, type: builtin}]}\n",
        ];
        let sources = NAMES.into_iter().zip(texts.map(|text| Arc::new(snapshot(text)))).collect::<Vec<_>>();
        let merged = merge(&sources, &Snapshot::default(), NOW);
        assert_eq!(merged.resources, sources[1].1.resources);
        let (subject, rejection) = merged.rejected.iter().next().unwrap();
        assert_eq!(subject.to_string(), "Mesh m");
        assert_eq!((rejection.source, rejection.kept), ("control_plane", false));
        assert_eq!(
            rejection.violations[0].to_string(),
            "control_plane: Mesh m is already defined by the source kubernetes"
        );
        let later = NOW + std::time::Duration::from_secs(9);
        assert_eq!(merge(&sources, &merged, later).rejected, merged.rejected, "since the first time");
    }

    #[test]
    fn the_worst_health_is_told() {
        let of = |health| Arc::new(Snapshot { health, ..Snapshot::default() });
        let late = Health::Late { why: "x".to_owned() };
        let failing = Health::Failing { why: "y".to_owned(), since: NOW };
        let sources = [("a", of(late)), ("b", of(failing)), ("c", of(Health::Well))];
        let merged = merge(&sources, &Snapshot::default(), NOW);
        assert_eq!(merged.health, Health::Failing { why: "b: y".to_owned(), since: NOW });
    }

    proptest! {
        /// Each service is the first source's that has it, and each other one that has it is told.
        #[test]
        fn the_first_that_has_it_wins(has in vec(vec(any::<bool>(), 8), 0..=3)) {
            let text = |(source, has): (usize, &Vec<bool>)| {
                let services = (0..8).filter(|i| has[*i]);
                services.map(|i| service(&format!("s{i}"), &format!("192.0.2.{}", 1 + source))).collect::<String>()
            };
            let sources: Vec<_> = NAMES.into_iter().zip(has.iter().enumerate().map(text).map(|text| Arc::new(snapshot(&text)))).collect();
            let merged = merge(&sources, &Snapshot::default(), NOW);
            let mut expected = Resources::default();
            let mut rejected = 0;
            for i in 0..8 {
                let key = (MeshName::default(), ResourceName { name: format!("s{i}").into(), namespace: None });
                let mut all = sources.iter().filter_map(|(_, s)| s.resources.external_services.get(&key));
                if let Some(first) = all.next() {
                    expected.add(Resource::ExternalService(Arc::clone(first)));
                    prop_assert!(Arc::ptr_eq(first, &merged.resources.external_services[&key]));
                    let service: ServiceName = format!("s{i}").parse().unwrap();
                    prop_assert_eq!(&first.service, &service);
                }
                let later = all.count();
                rejected += usize::from(later > 0);
                let subject = Subject::Resource(Identity { kind: ExternalService::KIND, key });
                prop_assert_eq!(merged.rejected.get(&subject).map_or(0, |r| r.violations.len()), later);
            }
            prop_assert_eq!(&merged.resources, &expected);
            prop_assert_eq!(merged.rejected.len(), rejected);
        }
    }
}
