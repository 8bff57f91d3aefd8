//! Why connections are left to the proxy.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{
    ADDRESSES_OF_A_NAME, Plaintext,
    destination::{Backend, Backends, Context, Dependency, DestinationKey, Same},
    endpoints::Source,
    protocol,
    service::ServiceId,
};
use crate::{
    policy::Compat,
    resources::{HttpRule, MtlsMode, OtherPolicy, PERMISSION, PolicyHeader, ServiceKind, Zone},
};

/// Addresses that the backendRefs of one destination may lead to, where several mean different ones: each is 32 bytes.
/// A workload may have half as many in the kernel, unless it is said otherwise.
const MOST_ENDPOINTS: usize = 1 << 18;

impl Context<'_> {
    /// Why policies of other kinds keep connections at the proxy, if they do.
    pub(super) fn reason_of_policies(
        &self,
        key: &DestinationKey,
        protocol: Option<&str>,
        depends: &mut BTreeSet<Dependency>,
    ) -> Option<Reason> {
        if protocol::is_http(protocol) {
            let protocol = protocol.unwrap_or_default();
            let (why, remedy) = if !key.http.is_empty() {
                (
                    "a MeshHTTPRoute covers it",
                    "take it out of the MeshHTTPRoute, or say kuma.io/protocol: tcp",
                )
            } else if key.entries.is_empty() {
                (
                    "no MeshTCPRoute names it",
                    "name it in the `to` of a MeshTCPRoute, or say kuma.io/protocol: tcp",
                )
            } else {
                return None;
            };
            let text = format!("the protocol is {protocol} and {why}");
            return Some(Reason::expected(text, remedy));
        }
        if !key.entries.is_empty() {
            return None;
        }
        if self.compat() == Compat::V2_4 && self.has_http_backends(key, depends) {
            let text =
                "a MeshHTTPRoute leads it to services of http, so that it is served as http".to_owned();
            return Some(Reason::expected(
                text,
                "name it in the `to` of a MeshTCPRoute, which is stronger there",
            ));
        }
        let Same(route) = key.traffic.as_ref()?;
        let text = format!("TrafficRoute {} leads it elsewhere", route.key.1);
        Some(Reason::surprising(
            text,
            "name it in the `to` of a MeshTCPRoute, which comes before TrafficRoutes",
        ))
    }

    /// In 2.4 a MeshHTTPRoute makes a service of another protocol one of requests, if it leads to such services only.
    fn has_http_backends(&self, key: &DestinationKey, depends: &mut BTreeSet<Dependency>) -> bool {
        // Of rules about the same requests the strongest holds.
        let mut rules: HashMap<&str, (&PolicyHeader, &HttpRule)> = HashMap::new();
        for entry in &key.http {
            for rule in &entry.to().rules {
                // A stronger one that says nothing of backends changes nothing of them.
                let place = rules.entry(&rule.matches).or_insert((&entry.policy.header, rule));
                if rule.backends.is_some() {
                    *place = (&entry.policy.header, rule);
                }
            }
        }
        let mut all_http = |(policy, rule): &(&PolicyHeader, &HttpRule)| {
            let refs = rule.backends.iter().flatten().filter(|backend| backend.weight.get() > 0);
            let mut any = false;
            for reference in refs {
                any = true;
                let service = self.find(policy, reference, depends).ok().flatten();
                let Some(service) = service else { return false };
                let chosen = self.services.chosen(service, key.zone.as_deref());
                if !matches!(self.services.protocol(service, &chosen), Some("http" | "http2")) {
                    return false;
                }
            }
            any
        };
        // All of them are asked, so that all is known that the answer depends on.
        rules.values().filter(|rule| all_http(rule)).count() > 0
    }

    /// Whether policies make so much of a destination that it is left to the proxy: each backendRef may mean very many
    /// endpoints by a few words.
    pub(super) fn reason_of_size(&self, backends: &Backends<'_>) -> Option<Reason> {
        let most = MOST_ENDPOINTS;
        // What one backendRef means is there anyway. Of a name many addresses may count.
        let at_most = |backend: &Backend<'_>| backend.chosen.as_ref().map_or(0, |chosen| chosen.len());
        if backends.all.len() == 1
            || backends.all.iter().map(at_most).sum::<usize>() <= most / ADDRESSES_OF_A_NAME
        {
            return None;
        }
        let mut seen = HashSet::new();
        let different = backends.all.iter().filter(|backend| seen.insert(backend.meaning()));
        let addresses = different.flat_map(Backend::endpoints).flat_map(|it| self.services.addresses(it));
        (addresses.take(most + 1).count() > most).then(|| {
            let text = format!("its backendRefs lead to more than {most} endpoints");
            Reason::surprising(text, "have fewer backendRefs that mean different endpoints")
        })
    }

    /// Why connections to the service have to be left to the proxy because of where they would end, if they have to.
    /// `zone` is that of who dials, if that is known.
    pub(super) fn reason_of_backends(
        &self,
        service: ServiceId,
        zone: Option<&str>,
        backends: &Backends<'_>,
    ) -> Option<Reason> {
        if backends.unknown {
            let text = "its backendRefs name services by labels that none has".to_owned();
            return Some(Reason::surprising(text, "name services by labels that one of them has"));
        }
        let mesh = self.services.mesh_of(service);
        let known = self.resources.meshes.get(mesh).filter(|_| self.compat() != Compat::V3);
        let mtls = known.and_then(|mesh| mesh.mtls).filter(|_| !self.options.allow_mtls_bypass);
        let zone_egress = known.is_some_and(|mesh| mesh.zone_egress);
        backends.all.iter().filter(|backend| backend.is_weighted()).find_map(|backend| {
            let (Some(service), Some(chosen)) = (backend.service, &backend.chosen) else {
                return mtls.map(|mode| of_mtls(&format!("mesh {mesh} has mTLS on"), mode));
            };
            let name = self.services.name(service);
            if let Some(port) = self.services.port(service) {
                if port.kind == ServiceKind::MeshExternalService {
                    let text = format!("MeshExternalService {name} is reached through a zone egress");
                    return Some(Reason::surprising(text, ZONE_PROXY));
                }
                // A global control plane has those of all zones as they are there.
                let is_elsewhere = match (zone, port.meta.zone()) {
                    (Some(own), Zone::Named(zone)) => zone != own,
                    _ => false,
                };
                if port.kind == ServiceKind::MeshService && (port.meta.is_synced() || is_elsewhere) {
                    let text = format!("MeshService {name} is of another zone");
                    return Some(Reason::surprising(text, ZONE_PROXY));
                }
            }
            if chosen.external {
                if zone_egress {
                    let text = format!("ExternalService {name} is reached through a zone egress");
                    return Some(Reason::surprising(text, "turn routing.zoneEgress of the Mesh off"));
                }
                let has_tls = chosen.with(None).any(|endpoint| endpoint.tls);
                let text = || format!("ExternalService {name} has TLS on, which the proxy originates");
                let remedy = "turn its tls off, and have the application speak TLS itself";
                return has_tls.then(|| Reason::surprising(text(), remedy));
            }
            if let Some(mode) = mtls {
                return Some(of_mtls(&format!("mesh {mesh} has mTLS on"), mode));
            }
            if chosen.are_elsewhere(backend.subset) {
                let text =
                    format!("the endpoints of {name} are in other zones, which only a zone proxy reaches");
                return Some(Reason::surprising(text, ZONE_PROXY));
            }
            let strictest = backend.identities().min().filter(|_| !self.options.allow_mtls_bypass)?;
            Some(of_mtls(&format!("{name} has servers with a MeshIdentity"), strictest))
        })
    }
}

impl<'a> Context<'a> {
    /// The MeshTrafficPermissions of the servers behind a destination.
    pub(super) fn permissions(
        &self,
        service: ServiceId,
        backends: &Backends<'_>,
    ) -> Vec<&'a Arc<OtherPolicy>> {
        let Some(others) = self.others.of(self.services.mesh_of(service)) else { return Vec::new() };
        let weighted = backends.all.iter().filter(|backend| backend.is_weighted());
        let servers = weighted.flat_map(Backend::endpoints).filter_map(|endpoint| match &endpoint.source {
            Source::Dataplane(key) => self.resources.dataplanes.get(key),
            Source::ExternalService(_) => None,
        });
        others.permissions(self.compat(), servers)
    }

    /// Why connections are kept at the proxy that could bypass it, if they are.
    pub(super) fn reason_of_kept(
        &self,
        key: &DestinationKey,
        permissions: &[&Arc<OtherPolicy>],
    ) -> Option<Reason> {
        if let Some(Same(policy)) = &key.others.kept {
            let text = format!("{policy} is kept at the proxy (--sidecar-keep)");
            return Some(Reason::expected(text, KEPT));
        }
        if !self.options.kept.contains(PERMISSION) {
            return None;
        }
        let denying = permissions.iter().find(|permission| key.others.is_denied_by(permission))?;
        let text = format!("{denying} may deny it, which is kept at the proxy (--sidecar-keep)");
        Some(Reason::surprising(text, KEPT))
    }

    /// What the servers behind a destination do with plaintext: the strictest of them.
    pub(super) fn plaintext(&self, service: ServiceId, backends: &Backends<'_>) -> Plaintext {
        let known = self.resources.meshes.get(self.services.mesh_of(service));
        let of_mesh = known.filter(|_| self.compat() != Compat::V3).and_then(|mesh| mesh.mtls);
        let within = backends.all.iter().filter(|backend| {
            backend.is_weighted() && backend.chosen.as_ref().is_none_or(|chosen| !chosen.external)
        });
        let strictest =
            within.filter_map(|backend| of_mesh.into_iter().chain(backend.identities()).min()).min();
        match strictest {
            None => Plaintext::Accepted,
            Some(MtlsMode::Permissive) => Plaintext::Permissive,
            Some(MtlsMode::Strict) => Plaintext::Refused,
        }
    }
}

/// Why a connection is left to the proxy.
pub(super) struct Reason {
    pub(super) text: String,
    /// Whether the operator must be told: a policy is not put in force.
    pub(super) surprising: bool,
    /// What would have to change for it to be routed.
    pub(super) remedy: &'static str,
}

const ZONE_PROXY: &str = "nothing here: only a proxy of a zone reaches it";
const KEPT: &str = "leave the kind of that policy out of --sidecar-keep: then nobody enforces it here";

impl Reason {
    const fn expected(text: String, remedy: &'static str) -> Self {
        Self { text, surprising: false, remedy }
    }

    const fn surprising(text: String, remedy: &'static str) -> Self {
        Self { text, surprising: true, remedy }
    }
}

fn of_mtls(whose: &str, mode: MtlsMode) -> Reason {
    match mode {
        MtlsMode::Strict => Reason::surprising(
            format!("{whose}, and its servers refuse plaintext"),
            "have the servers take plaintext (mTLS off, or permissive and --allow-mtls-bypass)",
        ),
        MtlsMode::Permissive => Reason::surprising(
            format!("{whose}, and plaintext would be a silent downgrade"),
            "start with --allow-mtls-bypass, if plaintext will do",
        ),
    }
}
