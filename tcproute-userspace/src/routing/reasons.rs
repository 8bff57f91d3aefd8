//! Why connections are left to the proxy.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{
    ADDRESSES_OF_A_NAME,
    destination::{Backend, Backends, Context, Dependency, DestinationKey, Same},
    protocol,
    service::ServiceId,
};
use crate::{
    policy::Compat,
    resources::{HttpRule, MtlsMode, PolicyHeader, ServiceKind},
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
            let why = if !key.http.is_empty() {
                "a MeshHTTPRoute covers it"
            } else if key.entries.is_empty() {
                "no MeshTCPRoute names it"
            } else {
                return None;
            };
            return Some(Reason::expected(format!("the protocol is {protocol} and {why}")));
        }
        if !key.entries.is_empty() {
            return None;
        }
        if self.compat() == Compat::V2_4 && self.has_http_backends(key, depends) {
            let text =
                "a MeshHTTPRoute leads it to services of http, so that it is served as http".to_owned();
            return Some(Reason::expected(text));
        }
        let Same(route) = key.traffic.as_ref()?;
        Some(Reason::surprising(format!("TrafficRoute {} leads it elsewhere", route.key.1)))
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
        (addresses.take(most + 1).count() > most)
            .then(|| Reason::surprising(format!("its backendRefs lead to more than {most} endpoints")))
    }

    /// Why connections to the service have to be left to the proxy because of where they would end, if they have to.
    pub(super) fn reason_of_backends(&self, service: ServiceId, backends: &Backends<'_>) -> Option<Reason> {
        if backends.unknown {
            let text = "its backendRefs name services by labels that none has".to_owned();
            return Some(Reason::surprising(text));
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
                    return Some(Reason::surprising(text));
                }
                if port.kind == ServiceKind::MeshService && port.meta.is_synced() {
                    let text = format!("MeshService {name} is of another zone");
                    return Some(Reason::surprising(text));
                }
            }
            if chosen.external {
                if zone_egress {
                    let text = format!("ExternalService {name} is reached through a zone egress");
                    return Some(Reason::surprising(text));
                }
                let has_tls = chosen.with(None).any(|endpoint| endpoint.tls);
                let text = || format!("ExternalService {name} has TLS on, which the proxy originates");
                return has_tls.then(|| Reason::surprising(text()));
            }
            if let Some(mode) = mtls {
                return Some(of_mtls(&format!("mesh {mesh} has mTLS on"), mode));
            }
            if !chosen.has_identities {
                return None;
            }
            let identities = backend.endpoints().filter_map(|endpoint| endpoint.identity);
            let strictest = identities.min().filter(|_| !self.options.allow_mtls_bypass)?;
            Some(of_mtls(&format!("{name} has servers with a MeshIdentity"), strictest))
        })
    }
}

/// Why a connection is left to the proxy.
pub(super) struct Reason {
    pub(super) text: String,
    /// Whether the operator must be told: a policy is not put in force.
    pub(super) surprising: bool,
}

impl Reason {
    const fn expected(text: String) -> Self {
        Self { text, surprising: false }
    }

    const fn surprising(text: String) -> Self {
        Self { text, surprising: true }
    }
}

fn of_mtls(whose: &str, mode: MtlsMode) -> Reason {
    Reason::surprising(match mode {
        MtlsMode::Strict => format!("{whose}, and its servers refuse plaintext"),
        MtlsMode::Permissive => format!("{whose}, and plaintext would be a silent downgrade"),
    })
}
