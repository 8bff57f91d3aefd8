//! TCP006: a service whose endpoints differ in protocol, so that all of it counts as what they have in common.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    Code, Found, Input,
    known::{Service, inbound, labels},
};
use crate::{
    resources::{Dataplane, ExternalService, Inbound, Labels, PROTOCOL_TAG, Tags},
    routing,
};

/// What is meant where nothing is said.
const DEFAULT: &str = "tcp";

pub(super) fn check(input: &Input<'_>, found: &mut Found) {
    for (_, mesh) in input.known.meshes() {
        for (name, service) in &mesh.services {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for protocol in protocols(service) {
                *counts.entry(canonical(protocol)).or_default() += 1;
            }
            if counts.len() < 2 {
                continue;
            }
            let fewest = counts.iter().min_by_key(|(_, count)| **count).map(|(protocol, _)| protocol.clone());
            let common = routing::common(protocols(service)).unwrap_or(DEFAULT);
            let mut counted: Vec<(&String, &usize)> = counts.iter().collect();
            counted.sort_by_key(|(_, count)| Reverse(**count));
            let counted: Vec<String> =
                counted.into_iter().map(|(protocol, count)| format!("{count} of {protocol}")).collect();
            let counted = counted.join(", ");
            let message =
                format!("the endpoints of {name} differ in protocol ({counted}): it counts as {common}");
            tell(service, &fewest.unwrap_or_default(), &message, found);
        }
    }
}

/// Tells it of the first that has the rarest protocol.
fn tell(service: &Service<'_>, rarest: &str, message: &str, found: &mut Found) {
    let of_rarest = |at: &&(&Dataplane, usize)| canonical(of_inbound(inbound(at))) == rarest;
    if let Some((dataplane, number)) = service.inbounds.iter().find(of_rarest) {
        let field = format!("networking.inbound[{number}].tags");
        let object = (Dataplane::KIND, &dataplane.key());
        found.add(Code::MixedProtocols, object, labels(dataplane), field, message);
    } else if let Some(external) =
        service.external.iter().find(|external| canonical(of_tags(&external.tags)) == rarest)
    {
        let object = (ExternalService::KIND, &external.key());
        found.add(Code::MixedProtocols, object, &Labels::new(), "tags", message);
    }
}

fn protocols<'s>(service: &'s Service<'_>) -> impl Iterator<Item = Option<&'s str>> {
    let inbounds = service.inbounds.iter().map(|at| of_inbound(inbound(at)));
    inbounds.chain(service.external.iter().map(|external| of_tags(&external.tags)))
}

/// What an inbound says of its protocol.
pub(super) fn of_inbound(inbound: &Inbound) -> Option<&str> {
    of_tags(&inbound.tags).or(inbound.protocol.as_deref())
}

/// What tags say of a protocol.
pub(super) fn of_tags(tags: &Tags) -> Option<&str> {
    tags.get(PROTOCOL_TAG)
}

fn canonical(protocol: Option<&str>) -> String {
    protocol.unwrap_or(DEFAULT).to_ascii_lowercase()
}
