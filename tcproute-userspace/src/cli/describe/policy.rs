//! A policy, for people.

use super::{
    super::{output::percent, text::Text},
    section, some,
};
use crate::routing::describe::{BackendDescription, PolicyDescription};

pub(super) fn text(described: &PolicyDescription) -> Text {
    let PolicyDescription { mesh, policy, compat, target, shadow, selects, not_selected, to, asked } =
        described;
    let mut text =
        Text::of(format_args!("MeshTCPRoute {policy} of mesh {mesh}, policies in the order of {compat}"));
    text.line(format_args!("for {target}"));
    if *shadow {
        text.line("a shadow policy: nothing is routed by it");
    }
    section(&mut text, "SELECTS");
    if selects.is_empty() {
        text.line("  NO Dataplane");
    } else {
        text.line(format_args!("  {} of {}: {}", selects.len(), total(described), some(selects)));
    }
    for (why, count) in not_selected {
        text.line(format_args!("  not {count}: {why}"));
    }
    for to in to {
        text.gap();
        text.line(format_args!("TO {}", to.destination));
        if to.backends.is_empty() {
            text.line("  the destination itself");
        }
        for BackendDescription { target, weight, share, endpoints } in &to.backends {
            let endpoints = match endpoints {
                None => String::new(),
                Some(0) => ": NO endpoint, its share is refused".to_owned(),
                Some(1) => ": 1 endpoint".to_owned(),
                Some(count) => format!(": {count} endpoints"),
            };
            text.line(format_args!("  {} (weight {weight}) {target}{endpoints}", percent(*share)));
        }
        for by in &to.comes_to {
            text.line(format_args!("  for {}: {}", some(&by.dataplanes), by.what));
        }
    }
    if *asked < selects.len() {
        text.gap();
        text.line(format_args!("what it comes to is that for the first {asked} of them"));
    }
    text
}

fn total(described: &PolicyDescription) -> usize {
    described.selects.len() + described.not_selected.values().sum::<usize>()
}
