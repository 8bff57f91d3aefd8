//! The lists that are read, and which versions have them.

use super::index::Version;

/// A kind of which each mesh has a list.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ListedKind {
    /// The last part of its path.
    pub(super) path: &'static str,
    /// As in `type`.
    pub(super) kind: &'static str,
    /// The first version that has it.
    since: Version,
    /// The first one that has it no more.
    until: Option<Version>,
}

const fn listed(path: &'static str, kind: &'static str, since: (u32, u32)) -> ListedKind {
    ListedKind { path, kind, since: Version(since.0, since.1), until: None }
}

const fn classic(path: &'static str, kind: &'static str) -> ListedKind {
    ListedKind { until: Some(Version(3, 0)), ..listed(path, kind, (0, 0)) }
}

/// All of them but Mesh.
pub(super) const ALL: [ListedKind; 22] = [
    listed("dataplanes", "Dataplane", (0, 0)),
    listed("meshtcproutes", "MeshTCPRoute", (2, 3)),
    listed("meshhttproutes", "MeshHTTPRoute", (2, 3)),
    classic("external-services", "ExternalService"),
    listed("meshservices", "MeshService", (2, 7)),
    listed("meshexternalservices", "MeshExternalService", (2, 8)),
    listed("meshmultizoneservices", "MeshMultiZoneService", (2, 9)),
    listed("meshidentities", "MeshIdentity", (2, 12)),
    listed("meshtlses", "MeshTLS", (2, 9)),
    classic("traffic-routes", "TrafficRoute"),
    // What a bypass gives up.
    listed("meshaccesslogs", "MeshAccessLog", (2, 0)),
    listed("meshcircuitbreakers", "MeshCircuitBreaker", (2, 1)),
    listed("meshfaultinjections", "MeshFaultInjection", (2, 1)),
    listed("meshhealthchecks", "MeshHealthCheck", (2, 1)),
    listed("meshloadbalancingstrategies", "MeshLoadBalancingStrategy", (2, 4)),
    listed("meshpassthroughs", "MeshPassthrough", (2, 8)),
    listed("meshproxypatches", "MeshProxyPatch", (2, 2)),
    listed("meshratelimits", "MeshRateLimit", (2, 1)),
    listed("meshretries", "MeshRetry", (2, 1)),
    listed("meshtimeouts", "MeshTimeout", (2, 1)),
    listed("meshtraces", "MeshTrace", (2, 0)),
    listed("meshtrafficpermissions", "MeshTrafficPermission", (2, 0)),
];

impl ListedKind {
    /// Whether this version has it. One that is not known may have it.
    pub(super) fn is_in(&self, version: Option<Version>) -> bool {
        version.is_none_or(|version| self.since <= version && self.until.is_none_or(|until| version < until))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_version_is_asked_for_what_it_has() {
        let count = |version| ALL.iter().filter(|kind| kind.is_in(version)).count();
        let has = |version, path| ALL.iter().any(|kind| kind.path == path && kind.is_in(version));
        assert_eq!(count(Some(Version(2, 4))), 16);
        assert_eq!(count(Some(Version(2, 14))), 22);
        assert_eq!(count(None), 22);
        assert!(!has(Some(Version(2, 4)), "meshservices") && has(Some(Version(2, 7)), "meshservices"));
        assert!(!has(Some(Version(3, 0)), "external-services") && has(Some(Version(3, 1)), "meshtlses"));
    }

    #[test]
    fn they_are_those_that_a_cluster_is_asked_for() {
        let own: BTreeSet<&str> = ALL.iter().map(|kind| kind.kind).chain(["Mesh"]).collect();
        let cluster: BTreeSet<&str> = crate::sources::kubernetes::kumas_kinds().collect();
        assert_eq!(own, cluster);
    }
}
