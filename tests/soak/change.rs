//! Random changes of the resources. Each but [`grow`] and [`shrink`] touches one file, so that there is no state
//! between.

use std::collections::BTreeSet;

use fastrand::Rng;

use crate::{
    bulk::Bulk,
    extent::{EACH, SERVICES, VERSIONS, WORKLOADS},
    mesh::{Endpoint, Mesh},
    policy::{BackendRef, Policy, Selects},
    unusable::{FOREIGN, Unusable},
};

/// Names of policies.
const POLICIES: usize = 10;
const ENDPOINTS: std::ops::RangeInclusive<usize> = 16..=32;

/// What the run begins with.
pub(crate) fn first(rng: &mut Rng) -> Mesh {
    let mut mesh = Mesh {
        endpoints: [].into(),
        policies: [].into(),
        unusable: [].into(),
        foreign: [].into(),
        outbounds: (0..WORKLOADS).map(|_| outbounds(rng)).collect(),
        bulk: Bulk::default(),
        marker: 0,
    };
    while mesh.endpoints.len() < 24 {
        add_endpoint(&mut mesh, rng);
    }
    while mesh.policies.len() < POLICIES / 2 {
        put_policy(&mut mesh, rng);
    }
    mesh
}

/// Another mesh, and what is different in it.
pub(crate) fn next(mesh: &Mesh, rng: &mut Rng) -> (Mesh, &'static str) {
    loop {
        let mut next = mesh.clone();
        let what = change(&mut next, rng);
        if next != *mesh {
            return (next, what);
        }
    }
}

fn change(mesh: &mut Mesh, rng: &mut Rng) -> &'static str {
    match rng.u32(0..100) {
        0..26 => change_weight(mesh, rng),
        26..38 => add_endpoint(mesh, rng),
        38..51 => remove_endpoint(mesh, rng),
        51..56 => change_endpoint(mesh, rng),
        56..62 => change_refs(mesh, rng),
        62..67 => change_effect(mesh, rng),
        67..77 => put_policy(mesh, rng),
        77..82 => remove_policy(mesh, rng),
        82..90 => mend_policy(mesh, rng),
        90..94 => put_or_remove_foreign(mesh, rng),
        _ => change_outbounds(mesh, rng),
    }
}

fn outbounds(rng: &mut Rng) -> BTreeSet<usize> {
    (0..SERVICES).filter(|_| rng.u32(0..6) > 0).collect()
}

/// 0 and very unequal ones among them.
fn weight(rng: &mut Rng) -> u32 {
    match rng.u32(0..8) {
        0 => 0,
        1 => 1,
        2 => 1000,
        _ => rng.u32(1..=100),
    }
}

fn backend_ref(to: usize, rng: &mut Rng) -> BackendRef {
    // Beyond the last service there is none.
    let service = if rng.u32(0..4) > 0 { to } else { rng.usize(0..=SERVICES) };
    let version = (rng.u32(0..4) > 0).then(|| rng.usize(0..VERSIONS.len()));
    BackendRef { service, version, weight: weight(rng) }
}

fn put_policy(mesh: &mut Mesh, rng: &mut Rng) -> &'static str {
    let name = name(rng);
    let policy = policy(rng);
    let what = if policy.shadow { "shadow policy put" } else { "policy put" };
    mesh.unusable.remove(&name);
    mesh.policies.insert(name, policy);
    what
}

fn name(rng: &mut Rng) -> String {
    format!("p{}", rng.usize(0..POLICIES))
}

fn policy(rng: &mut Rng) -> Policy {
    let to = rng.usize(0..SERVICES);
    let selects = if rng.bool() { Selects::Mesh } else { Selects::Workload(rng.usize(0..WORKLOADS)) };
    let refs =
        (rng.u32(0..10) > 0).then(|| (0..rng.usize(1..=5)).map(|_| backend_ref(to, rng)).collect::<Vec<_>>());
    Policy { selects, to, shadow: rng.u32(0..6) == 0, refs }
}

/// Another form of a policy, which cannot be used, takes the place of what is in its file, if anything is. The daemon
/// must have read that before: so nothing else may be under way.
pub(crate) fn reject(mesh: &Mesh, rng: &mut Rng) -> (Mesh, &'static str) {
    let mut next = mesh.clone();
    let name = name(rng);
    let unusable = Unusable::new(&name, &policy(rng), rng);
    let what = match (mesh.unusable.contains_key(&name), mesh.policies.contains_key(&name)) {
        // Which of its forms was read last is not told.
        (true, _) => return (next, "policy left unusable"),
        (false, true) => "policy made unusable",
        (false, false) => "unusable policy put",
    };
    next.unusable.insert(name, unusable);
    (next, what)
}

/// Other numbers of what there may be many of; at most so many.
pub(crate) fn grow(mesh: &Mesh, most: usize, rng: &mut Rng) -> (Mesh, &'static str) {
    let mut next = mesh.clone();
    let what = next.bulk.change(most, rng);
    (next, what)
}

/// Of something there are few again.
pub(crate) fn shrink(mesh: &Mesh, rng: &mut Rng) -> (Mesh, &'static str) {
    let mut next = mesh.clone();
    let what = next.bulk.shrink(rng);
    (next, what)
}

/// As it was when it could be used last, or otherwise.
fn mend_policy(mesh: &mut Mesh, rng: &mut Rng) -> &'static str {
    if let Some(name) = pick(mesh.unusable.keys(), rng).cloned() {
        mesh.unusable.remove(&name);
        if !mesh.policies.contains_key(&name) || rng.bool() {
            mesh.policies.insert(name, policy(rng));
        }
    }
    "policy mended"
}

fn put_or_remove_foreign(mesh: &mut Mesh, rng: &mut Rng) -> &'static str {
    let number = rng.usize(0..FOREIGN.len());
    if mesh.foreign.remove(&number) {
        "foreign object removed"
    } else {
        mesh.foreign.insert(number);
        "foreign object put"
    }
}

/// A shadow comes in force, or what is in force becomes a shadow.
fn change_effect(mesh: &mut Mesh, rng: &mut Rng) -> &'static str {
    if let Some((_, policy)) = pick(usable(mesh), rng) {
        policy.shadow = !policy.shadow;
    }
    "effect changed"
}

fn remove_policy(mesh: &mut Mesh, rng: &mut Rng) -> &'static str {
    if let Some(name) = pick(mesh.policies.keys().chain(mesh.unusable.keys()), rng).cloned() {
        mesh.policies.remove(&name);
        mesh.unusable.remove(&name);
    }
    "policy removed"
}

/// The policies whose files have them.
fn usable(mesh: &mut Mesh) -> impl Iterator<Item = (&String, &mut Policy)> {
    mesh.policies.iter_mut().filter(|(name, _)| !mesh.unusable.contains_key(*name))
}

fn refs<'m>(mesh: &'m mut Mesh, rng: &mut Rng) -> Option<(usize, &'m mut Vec<BackendRef>)> {
    let policies = usable(mesh).filter(|(_, policy)| policy.refs.is_some());
    let (_, policy) = pick(policies, rng)?;
    Some((policy.to, policy.refs.as_mut()?))
}

fn change_weight(mesh: &mut Mesh, rng: &mut Rng) -> &'static str {
    if let Some((_, refs)) = refs(mesh, rng)
        && let Some(backend) = pick(refs, rng)
    {
        backend.weight = weight(rng);
    }
    "weight changed"
}

fn change_refs(mesh: &mut Mesh, rng: &mut Rng) -> &'static str {
    if let Some((to, refs)) = refs(mesh, rng) {
        if refs.len() > 1 && rng.bool() {
            refs.swap_remove(rng.usize(0..refs.len()));
        } else if refs.len() < 8 {
            refs.push(backend_ref(to, rng));
        }
    }
    "backendRefs changed"
}

fn add_endpoint(mesh: &mut Mesh, rng: &mut Rng) -> &'static str {
    if mesh.endpoints.len() < *ENDPOINTS.end() {
        let place = (rng.usize(0..SERVICES), rng.usize(0..EACH));
        // Nobody has the last version.
        let version = rng.usize(0..VERSIONS.len() - 1);
        mesh.endpoints.insert(place, Endpoint { version, ready: true });
    }
    "endpoint added"
}

fn remove_endpoint(mesh: &mut Mesh, rng: &mut Rng) -> &'static str {
    if mesh.endpoints.len() > *ENDPOINTS.start()
        && let Some(&place) = pick(mesh.endpoints.keys(), rng)
    {
        mesh.endpoints.remove(&place);
    }
    "endpoint removed"
}

fn change_endpoint(mesh: &mut Mesh, rng: &mut Rng) -> &'static str {
    if let Some(endpoint) = pick(mesh.endpoints.values_mut(), rng) {
        if rng.bool() {
            endpoint.ready = !endpoint.ready;
        } else {
            endpoint.version = rng.usize(0..VERSIONS.len() - 1);
        }
    }
    "endpoint changed"
}

fn change_outbounds(mesh: &mut Mesh, rng: &mut Rng) -> &'static str {
    let workload = rng.usize(0..WORKLOADS);
    let service = rng.usize(0..SERVICES);
    let services = &mut mesh.outbounds[workload];
    if !services.remove(&service) {
        services.insert(service);
    }
    "outbounds changed"
}

fn pick<T>(values: impl IntoIterator<Item = T>, rng: &mut Rng) -> Option<T> {
    rng.choice(values.into_iter().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::mesh::Addresses;

    #[test]
    fn a_seed_repeats_and_each_change_touches_one_file() {
        let at = |service: usize, nth: usize| ([127, 0, service as u8, nth as u8], 1).into();
        let endpoints = (0..SERVICES).map(|service| (0..EACH).map(|nth| at(service, nth)).collect());
        let addresses = Addresses { destinations: Vec::new(), endpoints: endpoints.collect(), everywhere: 9 };
        let (mut rng, mut again) = (Rng::with_seed(7), Rng::with_seed(7));
        let (mut mesh, mut same) = (first(&mut rng), first(&mut again));
        let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
        for n in 0..2000 {
            let change = |mesh: &Mesh, rng: &mut Rng| match n % 20 {
                0 | 10 => reject(mesh, rng),
                5 => grow(mesh, 200, rng),
                15 => shrink(mesh, rng),
                _ => next(mesh, rng),
            };
            let (next_mesh, what) = change(&mesh, &mut rng);
            same = change(&same, &mut again).0;
            assert_eq!(next_mesh, same);
            assert!(ENDPOINTS.contains(&next_mesh.endpoints.len()));
            let (before, after) = (mesh.files(&addresses), next_mesh.files(&addresses));
            let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
            let changed = names.into_iter().filter(|&name| before.get(name) != after.get(name)).count();
            assert!(changed <= 1, "{what}: {changed} files");
            *seen.entry(what).or_default() += 1;
            mesh = next_mesh;
        }
        assert_eq!(seen.len(), 20, "{seen:?}");
    }
}
