//! The two releases whose answers were recorded: which kinds each has, and under which paths.

/// A release of Kuma.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    /// 2.4.10
    V2_4,
    /// 2.14.3
    #[default]
    V2_14,
}

impl Version {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V2_4, Self::V2_14];

    /// As it is told by `GET /`.
    pub const fn number(self) -> &'static str {
        match self {
            Self::V2_4 => "2.4.10",
            Self::V2_14 => "2.14.3",
        }
    }

    /// The one that is nearest to this number: where it is about paths, all from 2.7 on are as 2.14.
    pub fn nearest(number: &str) -> Self {
        if release(number) < (2, 7) { Self::V2_4 } else { Self::V2_14 }
    }

    /// The kind whose lists are under this path, such as `dataplanes`.
    pub fn kind_at(self, path: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.path == path && kind.releases.include(self))
    }

    /// The kind with this name, such as `Dataplane`.
    pub fn kind_named(self, name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.name == name && kind.releases.include(self))
    }

    /// What `GET /` answers.
    pub(super) fn index(self) -> String {
        let number = self.number();
        match self {
            Self::V2_4 => format!(
                r#"{{"hostname":"cp","tagline":"Kuma","product":"Kuma","version":"{number}","instanceId":"cp-783e","clusterId":"23fe820f-626f-43ca-9ac4-15d8f311baae","gui":"/gui"}}"#
            ),
            Self::V2_14 => format!(
                r#"{{"clusterId":"5686304c-1dd8-4ca6-becb-85d1d13f66fc","gui":"/gui","hostname":"cp","instanceId":"cp-2da7","product":"Kuma","version":"{number}"}}"#
            ),
        }
    }
}

/// Its first two numbers, or zeros where there are none.
pub(super) fn release(number: &str) -> (u32, u32) {
    let mut parts = number.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// What a resource may be.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// As it stands in `type`.
    pub name: &'static str,
    /// Under which its lists are.
    pub path: &'static str,
    /// How it is called in a `kri`; those without a name there have none.
    pub short: &'static str,
    /// Whether its resources are within a mesh.
    pub in_mesh: bool,
    releases: Releases,
}

impl Kind {
    /// Whether only those may see it who have a token.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.name, "Secret" | "GlobalSecret")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Releases {
    Both,
    New,
}

impl Releases {
    fn include(self, version: Version) -> bool {
        match self {
            Self::Both => true,
            Self::New => version == Version::V2_14,
        }
    }
}

const fn of_mesh(name: &'static str, path: &'static str, short: &'static str, releases: Releases) -> Kind {
    Kind { name, path, short, in_mesh: true, releases }
}

const fn of_all(name: &'static str, path: &'static str, short: &'static str, releases: Releases) -> Kind {
    Kind { name, path, short, in_mesh: false, releases }
}

use Releases::{Both, New};

const KINDS: &[Kind] = &[
    of_all("Mesh", "meshes", "m", Both),
    of_all("Zone", "zones", "z", Both),
    of_all("ZoneEgress", "zoneegresses", "ze", Both),
    of_all("ZoneIngress", "zone-ingresses", "zi", Both),
    of_all("ZoneIngress", "zoneingresses", "zi", New),
    of_all("HostnameGenerator", "hostnamegenerators", "hg", New),
    of_all("GlobalSecret", "global-secrets", "", Both),
    of_mesh("Secret", "secrets", "", Both),
    of_mesh("Dataplane", "dataplanes", "dp", Both),
    of_mesh("ExternalService", "external-services", "", Both),
    of_mesh("MeshService", "meshservices", "msvc", New),
    of_mesh("MeshExternalService", "meshexternalservices", "extsvc", New),
    of_mesh("MeshMultiZoneService", "meshmultizoneservices", "mzsvc", New),
    of_mesh("MeshIdentity", "meshidentities", "mid", New),
    of_mesh("MeshTrust", "meshtrusts", "mtrust", New),
    of_mesh("Workload", "workloads", "wl", New),
    of_mesh("MeshGateway", "meshgateways", "mgw", Both),
    of_mesh("MeshGatewayRoute", "meshgatewayroutes", "", Both),
    // Policies of the second generation.
    of_mesh("MeshAccessLog", "meshaccesslogs", "mal", Both),
    of_mesh("MeshCircuitBreaker", "meshcircuitbreakers", "mcb", Both),
    of_mesh("MeshFaultInjection", "meshfaultinjections", "mfi", Both),
    of_mesh("MeshHTTPRoute", "meshhttproutes", "mhttpr", Both),
    of_mesh("MeshHealthCheck", "meshhealthchecks", "mhc", Both),
    of_mesh("MeshLoadBalancingStrategy", "meshloadbalancingstrategies", "mlbs", Both),
    of_mesh("MeshMetric", "meshmetrics", "mm", New),
    of_mesh("MeshPassthrough", "meshpassthroughs", "mp", New),
    of_mesh("MeshProxyPatch", "meshproxypatches", "mpp", Both),
    of_mesh("MeshRateLimit", "meshratelimits", "mrl", Both),
    of_mesh("MeshRetry", "meshretries", "mr", Both),
    of_mesh("MeshTCPRoute", "meshtcproutes", "mtcpr", Both),
    of_mesh("MeshTLS", "meshtlses", "mtls", New),
    of_mesh("MeshTimeout", "meshtimeouts", "mt", Both),
    of_mesh("MeshTrace", "meshtraces", "mtr", Both),
    of_mesh("MeshTrafficPermission", "meshtrafficpermissions", "mtp", Both),
    // Those of the first.
    of_mesh("CircuitBreaker", "circuit-breakers", "", Both),
    of_mesh("FaultInjection", "fault-injections", "", Both),
    of_mesh("HealthCheck", "health-checks", "", Both),
    of_mesh("ProxyTemplate", "proxytemplates", "", Both),
    of_mesh("RateLimit", "rate-limits", "", Both),
    of_mesh("Retry", "retries", "", Both),
    of_mesh("Timeout", "timeouts", "", Both),
    of_mesh("TrafficLog", "traffic-logs", "", Both),
    of_mesh("TrafficPermission", "traffic-permissions", "", Both),
    of_mesh("TrafficRoute", "traffic-routes", "", Both),
    of_mesh("TrafficTrace", "traffic-traces", "", Both),
    of_mesh("VirtualOutbound", "virtual-outbounds", "", Both),
];
