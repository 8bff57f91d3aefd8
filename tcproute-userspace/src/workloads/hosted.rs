//! The Dataplanes of this host, by their addresses: `--workload auto`. A label says in which cgroup each is. Pure.
//!
//! A control plane of Kuma 2.4 has no labels: there it is a tag of an inbound, or of a gateway.

use std::{collections::BTreeSet, net::IpAddr};

use super::{DataplaneName, cgroups::Cgroup2, named::Named};
use crate::resources::{Dataplane, Gateway};

/// The label or tag with a unit of systemd or, where that may be, the path of a cgroup.
pub const CGROUP_LABEL: &str = "tcproute.io/cgroup";

/// The workload of a Dataplane of a host with these addresses; `None` if it is another host's. Or why it is none.
pub fn hosted(
    dataplane: &Dataplane,
    addresses: &BTreeSet<IpAddr>,
    hierarchy: &Cgroup2,
) -> Option<Result<Named, String>> {
    if !dataplane.address.is_some_and(|ip| addresses.contains(&ip.to_canonical())) {
        return None;
    }
    let name = DataplaneName { mesh: dataplane.mesh.clone(), name: dataplane.name.to_string().into() };
    let of_gateway = match &dataplane.gateway {
        Some(Gateway::Delegated(tags)) => Some(&**tags),
        Some(Gateway::Builtin) | None => None,
    };
    let tags = dataplane.inbounds.iter().map(|inbound| &*inbound.tags).chain(of_gateway);
    let of_tags = || tags.into_iter().find_map(|tags| tags.get(CGROUP_LABEL));
    let cgroup = dataplane.meta.labels.get(CGROUP_LABEL).or_else(of_tags);
    let of_mesh = format!("Dataplane {name} of mesh {} is of this host", name.mesh);
    Some(match cgroup.filter(|cgroup| !cgroup.is_empty()) {
        None => Err(format!("{of_mesh}, and neither a label nor a tag {CGROUP_LABEL} says in which cgroup")),
        Some(cgroup) => Named::by_unit(hierarchy, name, cgroup)
            .map_err(|error| format!("{of_mesh}, and the cgroup that {CGROUP_LABEL} says is none: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::sources;

    #[test]
    fn a_dataplane_with_an_address_of_this_host_and_a_label_is_a_workload() {
        let dataplane = |name: &str, address: &str, labels: &str, tags: &str| {
            let text = format!(
                "type: Dataplane\nname: {name}\nlabels: {{{labels}}}\nnetworking: {{address: {address}, inbound: [{{port: 1, tags: {{kuma.io/service: s{tags}}}}}]}}\n"
            );
            let resources = sources::parse(Path::new("a.yaml"), text.as_bytes()).unwrap();
            resources.dataplanes.values().next().unwrap().clone()
        };
        let addresses = BTreeSet::from(["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]);
        let root = tempfile::tempdir().unwrap();
        let hierarchy = Cgroup2::at(root.path());
        let hosted = |dataplane: &Dataplane| {
            let named = hosted(dataplane, &addresses, &hierarchy);
            named.map(|named| named.map(|named| named.cgroup.display().to_string()))
        };
        let label = "tcproute.io/cgroup: a.service";
        let cgroup = Some(Ok("a.service".to_owned()));
        assert_eq!(hosted(&dataplane("a", "192.0.2.1", label, "")), cgroup);
        assert_eq!(hosted(&dataplane("a", "'2001:db8::1'", label, "")), cgroup);
        assert_eq!(hosted(&dataplane("a", "192.0.2.1", "", &format!(", {label}"))), cgroup);
        assert_eq!(hosted(&dataplane("a", "192.0.2.2", label, "")), None);
        // Where others reach it is of no concern.
        let advertised = "192.0.2.1, advertisedAddress: 198.51.100.1";
        assert_eq!(hosted(&dataplane("a", advertised, label, "")), cgroup);
        let elsewhere = "198.51.100.1, advertisedAddress: 192.0.2.1";
        assert_eq!(hosted(&dataplane("a", elsewhere, label, "")), None);
        let gateway = format!(
            "type: Dataplane\nname: g\nnetworking: {{address: 192.0.2.1, gateway: {{tags: {{kuma.io/service: g, {label}}}}}}}\n"
        );
        let resources = sources::parse(Path::new("a.yaml"), gateway.as_bytes()).unwrap();
        assert_eq!(hosted(&resources.dataplanes.values().next().unwrap().clone()), cgroup);
        assert_eq!(hosted(&dataplane("a", "db.example", label, "")), None);
        for (labels, why) in [
            ("", "neither a label nor a tag tcproute.io/cgroup says in which cgroup"),
            ("tcproute.io/cgroup: ''", "neither a label"),
            ("tcproute.io/cgroup: /", "is the root, to which every process belongs"),
            ("tcproute.io/cgroup: ../x", "must not contain `..`"),
        ] {
            let error = hosted(&dataplane("a", "192.0.2.1", labels, "")).unwrap().unwrap_err();
            assert!(
                error.starts_with("Dataplane a of mesh default is of this host") && error.contains(why),
                "{error}"
            );
        }
    }
}
