//! Kuma's ConfigMap `kuma-<mesh>-dns-vips`, in both models (`pkg/dns/vips` and `pkg/xds/topology/dns.go` of 2.4). Pure.
//!
//! By hostname: `{"0:backend":{"address":"240.0.0.1","outbounds":[{"Port":0,"TagSet":{…},"Origin":"service"}]}}`,
//! where 0 stands for a service, 1 for a host and 2 for a full domain name. Tags first:
//! `{"v":{"backend":{"oe":[{"t":{…},"ap":[{"a":"240.0.0.1","d":"a.b","p":80,"o":"svc"}]}]}}}`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use serde::Deserialize;

use crate::resources::{MeshName, SERVICE_TAG, ServiceName, Tags, VirtualOutbound, VirtualOutbounds};

/// The port at which services are dialled by their VIP, whatever theirs is.
const VIP_PORT: u16 = 80;

#[derive(Deserialize)]
struct ConfigMap {
    data: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum EntryType {
    Service,
    Host,
    FullDomain,
}

/// What is dialled by one name.
#[derive(Debug, Default)]
struct Entry {
    address: Option<IpAddr>,
    /// Ports, 0 for none, and the tags of the endpoints.
    outbounds: Vec<(u16, BTreeMap<String, String>)>,
}

type Entries = BTreeMap<(EntryType, String), Entry>;

/// The mesh that a ConfigMap of this name tells the VIPs of; `None` for others.
pub(super) fn mesh_of(config_map: &str) -> Option<MeshName> {
    let mesh = config_map.strip_prefix("kuma-")?.strip_suffix("-dns-vips")?;
    MeshName::try_from(mesh.to_owned()).ok()
}

/// The mesh that a ConfigMap is of and what is dialled in it; `None` for others.
pub(super) fn read_config_map(
    name: &str,
    json: &str,
) -> Result<Option<(MeshName, VirtualOutbounds)>, String> {
    let Some(mesh) = mesh_of(name) else { return Ok(None) };
    let map: ConfigMap = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let config = map.data.and_then(|data| data.get("config").cloned()).unwrap_or_default();
    if config.is_empty() {
        return Ok(Some((mesh, VirtualOutbounds::default())));
    }
    let entries = entries(&config).map_err(|error| format!("data.config: {error}"))?;
    Ok(Some((mesh, outbounds(&entries))))
}

#[derive(Deserialize)]
struct ByHostname {
    #[serde(default)]
    address: String,
    #[serde(default)]
    outbounds: Vec<OutboundEntry>,
}

#[derive(Deserialize)]
struct OutboundEntry {
    #[serde(rename = "Port", default)]
    port: u32,
    #[serde(rename = "TagSet", default)]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct TagsFirst {
    v: BTreeMap<String, TagsFirstService>,
}

#[derive(Deserialize)]
struct TagsFirstService {
    #[serde(default)]
    oe: Vec<TagsFirstOutbound>,
}

#[derive(Deserialize)]
struct TagsFirstOutbound {
    #[serde(default)]
    t: BTreeMap<String, String>,
    #[serde(default)]
    ap: Vec<AddressPort>,
}

#[derive(Deserialize)]
struct AddressPort {
    #[serde(default)]
    a: String,
    d: Option<String>,
    #[serde(default)]
    p: u32,
    #[serde(default)]
    o: String,
}

fn entries(config: &str) -> serde_json::Result<Entries> {
    let mut all = Entries::new();
    if let Ok(TagsFirst { v }) = serde_json::from_str(config) {
        for (service, outbounds) in v {
            for TagsFirstOutbound { t: mut tags, ap } in outbounds.oe {
                tags.insert(SERVICE_TAG.to_owned(), service.clone());
                for AddressPort { a, d, p, o } in ap {
                    let kind = EntryType::of_origin(&o);
                    let name = if kind == EntryType::Service {
                        service.clone()
                    } else {
                        d.unwrap_or_else(|| a.clone())
                    };
                    let entry = all.entry((kind, name)).or_default();
                    entry.address = entry.address.or_else(|| a.parse().ok());
                    entry.outbounds.push((u16::try_from(p).unwrap_or(0), tags.clone()));
                }
            }
        }
        return Ok(all);
    }
    let by_hostname: BTreeMap<String, ByHostname> = serde_json::from_str(config)?;
    for (hostname, ByHostname { address, outbounds }) in by_hostname {
        let Some((kind, name)) = hostname.split_once(':') else { continue };
        let kind = match kind {
            "0" => EntryType::Service,
            "1" => EntryType::Host,
            "2" => EntryType::FullDomain,
            _ => continue,
        };
        let outbounds =
            outbounds.into_iter().map(|it| (u16::try_from(it.port).unwrap_or(0), it.tags)).collect();
        all.insert((kind, name.to_owned()), Entry { address: address.parse().ok(), outbounds });
    }
    Ok(all)
}

impl EntryType {
    fn of_origin(origin: &str) -> Self {
        if origin == "k8s" || origin.starts_with("external-service:") {
            Self::Host
        } else if origin.starts_with("virtual-outbound:") || origin.starts_with("mesh-gateway:") {
            Self::FullDomain
        } else {
            Self::Service
        }
    }
}

fn outbounds(entries: &Entries) -> VirtualOutbounds {
    let mut all = Vec::new();
    for ((kind, name), Entry { address, outbounds }) in entries {
        let Some(address) = *address else { continue };
        let mut add = |port: u16, tags: &BTreeMap<String, String>| {
            let service =
                tags.get(SERVICE_TAG).and_then(|service| ServiceName::try_from(service.clone()).ok());
            if let Some(service) = service {
                let mut others = Tags::new();
                for (name, value) in tags.iter().filter(|(name, _)| *name != SERVICE_TAG) {
                    others.insert(name, value);
                }
                let address = SocketAddr::new(address, port);
                all.push(VirtualOutbound { address, service, tags: others });
            }
        };
        // Of a service the first one counts.
        let counted =
            if *kind == EntryType::Service { &outbounds[..outbounds.len().min(1)] } else { outbounds };
        for (port, tags) in counted.iter().filter(|(port, _)| *port != 0) {
            add(*port, tags);
        }
        let is_dialled_by_vip = match kind {
            EntryType::Service => true,
            EntryType::Host => name.parse::<IpAddr>().is_err(),
            EntryType::FullDomain => false,
        };
        if let Some((_, tags)) = counted.first()
            && is_dialled_by_vip
            && !counted.iter().any(|(port, _)| *port == VIP_PORT)
        {
            add(VIP_PORT, tags);
        }
    }
    VirtualOutbounds(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &str) -> Vec<String> {
        let json = serde_json::json!({"data": {"config": config}}).to_string();
        let (mesh, outbounds) = read_config_map("kuma-m-dns-vips", &json).unwrap().unwrap();
        assert_eq!(mesh.as_str(), "m");
        let shown = |it: &VirtualOutbound| {
            let tags: Vec<String> = it.tags.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            format!("{} {}{}", it.address, it.service, tags.concat())
        };
        let mut all: Vec<String> = outbounds.0.iter().map(shown).collect();
        all.sort();
        all
    }

    #[test]
    fn both_models_say_the_same() {
        let expected = [
            "10.43.0.20:3001 backend_ns_svc_3001",
            "240.0.0.1:3001 backend_ns_svc_3001",
            "240.0.0.1:80 backend_ns_svc_3001",
            "240.0.0.2:443 web",
            "240.0.0.2:80 web",
            "240.0.0.3:9 web version=v1",
        ];
        let by_hostname = r#"{
            "0:backend_ns_svc_3001": {"address": "240.0.0.1", "outbounds":
                [{"Port": 3001, "TagSet": {"kuma.io/service": "backend_ns_svc_3001"}, "Origin": "service"}]},
            "1:10.43.0.20": {"address": "10.43.0.20", "outbounds":
                [{"Port": 3001, "TagSet": {"kuma.io/service": "backend_ns_svc_3001"}, "Origin": "kubernetes"}]},
            "1:example.org": {"address": "240.0.0.2", "outbounds":
                [{"Port": 443, "TagSet": {"kuma.io/service": "web"}, "Origin": "external-service:web"}]},
            "2:v1.web.mesh": {"address": "240.0.0.3", "outbounds":
                [{"Port": 9, "TagSet": {"kuma.io/service": "web", "version": "v1"}, "Origin": "virtual-outbound:x"}]}}"#;
        assert_eq!(read(by_hostname), expected);
        let tags_first = r#"{"v": {
            "backend_ns_svc_3001": {"oe": [{"ap": [
                {"a": "10.43.0.20", "p": 3001, "o": "k8s"}, {"a": "240.0.0.1", "p": 3001, "o": "svc"}]}]},
            "web": {"oe": [
                {"ap": [{"a": "240.0.0.2", "d": "example.org", "p": 443, "o": "external-service:web"}]},
                {"t": {"version": "v1"}, "ap": [
                    {"a": "240.0.0.3", "d": "v1.web.mesh", "p": 9, "o": "virtual-outbound:x"}]}]}}}"#;
        assert_eq!(read(tags_first), expected);
    }

    #[test]
    fn a_service_without_a_port_is_dialled_at_80_alone() {
        let config = r#"{"0:a": {"address": "240.0.0.1", "outbounds": [{"Port": 0, "TagSet": {"kuma.io/service": "a"}}]}}"#;
        assert_eq!(read(config), ["240.0.0.1:80 a"]);
        assert!(read("").is_empty());
    }

    #[test]
    fn others_are_passed_over_and_what_is_broken_is_told() {
        assert_eq!(read_config_map("kube-root-ca.crt", "{}").unwrap().map(|(mesh, _)| mesh), None);
        let error = read_config_map("kuma-m-dns-vips", r#"{"data": {"config": "{"}}"#).unwrap_err();
        assert!(error.starts_with("data.config: "), "{error}");
    }
}
