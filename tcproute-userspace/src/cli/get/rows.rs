//! What each of a list is called and shown as.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    super::{age::known_age, output::percent, text::Row},
    listed::Item,
};
use crate::{
    colours::Mark,
    outcomes::EndpointConnections,
    resources::{Pairs, StringMap},
    routing::{
        describe::EndpointState,
        list::{DataplaneItem, EndpointItem, PolicyItem, RouteItem, ServiceItem},
    },
};

impl Item for DataplaneItem {
    const SINGULAR: &'static str = "dataplane";
    const IS_ALONE: bool = true;
    const NUMBERS: &'static [usize] = &[5];
    const HEADINGS: &'static [&'static str] =
        &["NAME", "MESH", "ADDRESS", "SERVES", "READY", "OUTBOUNDS", "HERE", "AGE"];
    const MORE: &'static [&'static str] = &["INBOUNDS", "LABELS"];

    fn mesh(&self) -> &str {
        &self.mesh
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Each inbound has its tags beside the labels of the whole.
    fn labels(&self) -> Option<Vec<BTreeMap<String, String>>> {
        let whole = map(&self.labels);
        let part = |tags| whole.iter().map(owned).chain(map(tags)).collect();
        let parts: Vec<_> = self.inbounds.iter().map(|inbound| part(&inbound.tags)).collect();
        Some(if parts.is_empty() { vec![whole] } else { parts })
    }

    fn row(&self, now: Timestamp) -> Row {
        let mut services: Vec<&str> =
            self.inbounds.iter().filter_map(|inbound| inbound.service.as_deref()).collect();
        services.dedup();
        let ready = self.inbounds.iter().filter(|inbound| inbound.ready).count();
        let mark = (ready < self.inbounds.len()).then_some(Mark::Warning);
        let here = match self.workloads {
            None => "-".to_owned(),
            Some(0) => "no".to_owned(),
            Some(1) => "yes".to_owned(),
            Some(many) => format!("{many} cgroups"),
        };
        let serves = if self.gateway { "(a gateway)".to_owned() } else { or_dash(services.join(",")) };
        Row::marked(
            mark,
            vec![
                self.name.clone(),
                self.mesh.clone(),
                self.address.map_or_else(|| "-".to_owned(), |address| address.to_string()),
                serves,
                format!("{ready}/{}", self.inbounds.len()),
                self.outbounds.to_string(),
                here,
                known_age(self.created, now),
            ],
        )
    }

    fn more(&self) -> Vec<String> {
        let inbound = |address: &str, tags| format!("{address} {}", Pairs(tags));
        let inbounds: Vec<String> =
            self.inbounds.iter().map(|it| inbound(&it.address, &it.tags).trim_end().to_owned()).collect();
        vec![or_dash(inbounds.join(", ")), or_dash(Pairs(&self.labels).to_string())]
    }
}

impl Item for ServiceItem {
    const SINGULAR: &'static str = "service";
    const IS_ALONE: bool = true;
    const NUMBERS: &'static [usize] = &[5];
    const HEADINGS: &'static [&'static str] = &["NAME", "MESH", "BY", "PORT", "PROTOCOL", "ENDPOINTS", "AGE"];
    const MORE: &'static [&'static str] = &["OUT", "LABELS"];

    fn mesh(&self) -> &str {
        &self.mesh
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref().or_else(|| namespace_of_tag(&self.name))
    }

    fn labels(&self) -> Option<Vec<BTreeMap<String, String>>> {
        Some(vec![map(&self.labels)])
    }

    fn row(&self, now: Timestamp) -> Row {
        let mark = (self.endpoints == 0).then_some(Mark::Warning);
        Row::marked(
            mark,
            vec![
                self.name.clone(),
                self.mesh.clone(),
                self.kind.clone(),
                self.port.map_or_else(|| "-".to_owned(), |port| port.to_string()),
                self.protocol.clone(),
                format!("{}/{}", self.endpoints, self.endpoints + self.out),
                known_age(self.created, now),
            ],
        )
    }

    fn more(&self) -> Vec<String> {
        vec![self.out.to_string(), or_dash(Pairs(&self.labels).to_string())]
    }
}

impl Item for EndpointItem {
    const SINGULAR: &'static str = "endpoint";
    const IS_ALONE: bool = false;
    const NUMBERS: &'static [usize] = &[];
    const HEADINGS: &'static [&'static str] = &["SERVICE", "MESH", "ADDRESS", "OF", "ZONE", "STATE"];
    const MORE: &'static [&'static str] = &["TAGS"];

    fn mesh(&self) -> &str {
        &self.mesh
    }

    fn name(&self) -> &str {
        &self.service
    }

    fn namespace(&self) -> Option<&str> {
        namespace_of_tag(&self.service).or_else(|| namespace_of(&self.service))
    }

    fn labels(&self) -> Option<Vec<BTreeMap<String, String>>> {
        Some(vec![map(&self.tags)])
    }

    fn full_name(&self) -> String {
        self.endpoint.address.clone()
    }

    fn row(&self, _: Timestamp) -> Row {
        let (mark, state) = match &self.endpoint.state {
            EndpointState::In => (None, "in".to_owned()),
            EndpointState::Out(why) => (Some(Mark::Warning), format!("out: {why}")),
            EndpointState::Denied(why) => (Some(Mark::Warning), format!("does not count: {why}")),
            EndpointState::Ejected(why) => (Some(Mark::Error), format!("ejected: {why}")),
        };
        Row::marked(
            mark,
            vec![
                self.service.clone(),
                self.mesh.clone(),
                self.endpoint.address.clone(),
                self.endpoint.of.clone(),
                self.endpoint.zone.clone().unwrap_or_else(|| "-".to_owned()),
                state,
            ],
        )
    }

    fn more(&self) -> Vec<String> {
        vec![or_dash(self.endpoint.tags.clone())]
    }
}

impl Item for PolicyItem {
    const SINGULAR: &'static str = "meshtcproute";
    const IS_ALONE: bool = true;
    const NUMBERS: &'static [usize] = &[4];
    const HEADINGS: &'static [&'static str] = &["NAME", "MESH", "FOR", "TO", "BACKENDS", "ROLE", "AGE"];
    const MORE: &'static [&'static str] = &["ORIGIN", "LABELS"];

    fn mesh(&self) -> &str {
        &self.mesh
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    fn labels(&self) -> Option<Vec<BTreeMap<String, String>>> {
        Some(vec![map(&self.labels)])
    }

    fn row(&self, now: Timestamp) -> Row {
        let role = if self.shadow { format!("{} (shadow)", self.role) } else { self.role.clone() };
        vec![
            self.name.clone(),
            self.mesh.clone(),
            self.target.clone(),
            or_dash(self.to.join(",")),
            self.backends.to_string(),
            role,
            known_age(self.created, now),
        ]
        .into()
    }

    fn more(&self) -> Vec<String> {
        vec![self.origin.clone(), or_dash(Pairs(&self.labels).to_string())]
    }
}

impl Item for RouteItem {
    const SINGULAR: &'static str = "route";
    const IS_ALONE: bool = false;
    const NUMBERS: &'static [usize] = &[];
    const HEADINGS: &'static [&'static str] = &["DATAPLANE", "MESH", "SERVICE", "DIALLED", "LEADS TO"];
    const MORE: &'static [&'static str] = &["PROTOCOL", "POLICIES", "WHY"];

    fn mesh(&self) -> &str {
        &self.mesh
    }

    fn name(&self) -> &str {
        &self.dataplane
    }

    fn namespace(&self) -> Option<&str> {
        namespace_of(&self.dataplane)
    }

    fn labels(&self) -> Option<Vec<BTreeMap<String, String>>> {
        None
    }

    fn full_name(&self) -> String {
        format!("{}/{}", self.dataplane, self.dialled)
    }

    fn row(&self, _: Timestamp) -> Row {
        let refused = |share: f64, endpoints| share > 0.0 && endpoints == 0;
        let backends: Vec<String> = self
            .backends
            .iter()
            .map(|it| {
                let none = if refused(it.share, it.endpoints) { " (refused)" } else { "" };
                format!("{} {}{none}", percent(it.share), it.target)
            })
            .collect();
        let leads_to = if self.routed { or_dash(backends.join(", ")) } else { "the proxy".to_owned() };
        let mark = self.backends.iter().any(|it| refused(it.share, it.endpoints)).then_some(Mark::Error);
        let cells = [&self.dataplane, &self.mesh, &self.service, &self.dialled.to_string(), &leads_to];
        Row::marked(mark, cells.map(ToOwned::to_owned).to_vec())
    }

    fn more(&self) -> Vec<String> {
        vec![self.protocol.clone(), or_dash(self.policies.join(" < ")), self.reason.clone()]
    }
}

impl Item for EndpointConnections {
    const SINGULAR: &'static str = "connection";
    const IS_ALONE: bool = false;
    const NUMBERS: &'static [usize] = &[6];
    const HEADINGS: &'static [&'static str] =
        &["DATAPLANE", "MESH", "SERVICE", "DIALLED", "ENDPOINT", "BACKEND", "OPEN"];

    fn mesh(&self) -> &str {
        &self.mesh
    }

    fn name(&self) -> &str {
        &self.dataplane
    }

    fn namespace(&self) -> Option<&str> {
        namespace_of(&self.dataplane)
    }

    fn labels(&self) -> Option<Vec<BTreeMap<String, String>>> {
        None
    }

    fn full_name(&self) -> String {
        format!("{}/{}/{}", self.dataplane, self.dialled, self.endpoint)
    }

    fn row(&self, _: Timestamp) -> Row {
        vec![
            self.dataplane.clone(),
            self.mesh.clone(),
            self.service.clone(),
            self.dialled.to_string(),
            self.endpoint.to_string(),
            self.backend.clone(),
            self.open.to_string(),
        ]
        .into()
    }
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

fn owned((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

fn map(labels: &StringMap) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Of `name.namespace`: a namespace has no dot.
fn namespace_of(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, namespace)| namespace)
}

/// Of `name_namespace_svc_port`, as Kuma calls what it makes of a Service.
fn namespace_of_tag(name: &str) -> Option<&str> {
    match name.split('_').collect::<Vec<_>>().as_slice() {
        [_, namespace, "svc"] | [_, namespace, "svc", _] => Some(namespace),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_the_namespaces_that_kuma_calls_them_by() {
        assert_eq!(namespace_of_tag("backend_shop_svc_80"), Some("shop"));
        assert_eq!(namespace_of_tag("backend_shop_svc"), Some("shop"));
        assert_eq!((namespace_of_tag("backend"), namespace_of_tag("a_b_c")), (None, None));
        assert_eq!((namespace_of("web.1.shop"), namespace_of("web")), (Some("shop"), None));
    }
}
