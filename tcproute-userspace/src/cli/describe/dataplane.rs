//! A Dataplane, for people.

use super::{
    super::{output::percent, text::Text},
    section,
};
use crate::routing::{
    Action, Explanation, Verdict,
    describe::{DataplaneDescription, InboundDescription},
};

pub(super) fn text(described: &DataplaneDescription) -> Text {
    let DataplaneDescription { mesh, dataplane, compat, address, gateway, transparent, inbounds, .. } =
        described;
    let mut text =
        Text::of(format_args!("Dataplane {dataplane} of mesh {mesh}, policies in the order of {compat}"));
    if let Some(address) = address {
        text.line(format_args!("at {address}"));
    }
    if *gateway {
        text.line("a gateway");
    }
    if *transparent {
        text.line("what it dials is redirected to its proxy");
    }
    section(&mut text, "SERVES");
    if inbounds.is_empty() {
        text.line("  nothing");
    }
    for InboundDescription { service, address, tags, ready } in inbounds {
        let service = service.as_deref().unwrap_or("(no service by tag)");
        let ready = if *ready { "" } else { ", NOT to be used" };
        text.line(format_args!("  {service} at {address} with {tags}{ready}"));
    }
    section(&mut text, "SELECTED BY");
    if described.policies.is_empty() {
        text.line("  no policy");
    }
    for policy in &described.policies {
        let (kind, name, target, to) = (policy.kind, &policy.name, &policy.target, policy.to.join(", "));
        text.line(format_args!("  {kind} {name}, as {target}: about {to}"));
    }
    section(&mut text, "DIALS");
    if described.routes.is_empty() {
        text.line("  nothing that is known here");
    }
    for route in &described.routes {
        explained(&mut text, route);
    }
    if !described.warnings.is_empty() {
        section(&mut text, "WARNINGS");
        text.extend(described.warnings.iter().map(|warning| format!("  {warning}")));
    }
    text
}

fn explained(text: &mut Text, Explanation { route, policies, .. }: &Explanation) {
    let destination = &route.destination;
    let (service, dialled, protocol) = (&destination.service, route.dialled, &destination.protocol);
    match destination.action {
        Action::Route => {
            text.line(format_args!(
                "  {service} at {dialled} ({protocol}): routed, by {}",
                destination.reason
            ));
        }
        Action::Passthrough => {
            let reason = &destination.reason;
            text.line(format_args!("  {service} at {dialled} ({protocol}): LEFT TO THE PROXY: {reason}"));
            if let Some(remedy) = destination.remedy {
                text.line(format_args!("      to have it routed: {remedy}"));
            }
        }
    }
    for policy in policies {
        let verdict = if policy.verdict == Verdict::Wins { "wins" } else { "is overridden" };
        text.line(format_args!("      {} {} {verdict}: {}", policy.kind, policy.name, policy.reason));
    }
    for backend in &destination.backends {
        let endpoints = match backend.endpoints.as_ref() {
            [] => "no endpoint: its share is refused".to_owned(),
            [only] => format!("to {only}"),
            many => format!("to {} endpoints", many.len()),
        };
        let (target, weight, share) = (&backend.target, backend.weight.get(), percent(backend.share));
        text.line(format_args!("      {share} (weight {weight}) {target}: {endpoints}"));
    }
    for denied in &destination.denied {
        text.line(format_args!("      {denied}"));
    }
}
