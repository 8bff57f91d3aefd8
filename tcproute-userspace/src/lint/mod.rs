//! What is valid and surely not meant: warnings, each with a code that `docs/reference/warnings.md` explains. Pure.
//!
//! A rule is silent where it could only guess. What follows from something missing is told only where the input has
//! what would be missing: files of policies alone say nothing of Dataplanes.
//!
//! - `code`: the codes.
//! - `known`: what a mesh has, found by tags, names and labels.
//! - `weights`, `endpoints`, `selected`, `overridden`, `covered`, `protocols`, `names`: the rules.
//! - `misspelt`: which two names differ by a slip of the pen.

mod code;
mod covered;
mod endpoints;
mod known;
mod misspelt;
mod names;
mod overridden;
mod protocols;
mod selected;
mod weights;

pub use code::Code;

use std::sync::Arc;

use known::Known;

use crate::{
    resources::{BackendRef, Identity, Key, Labels, MeshTcpRoute, Resources, Rule, To},
    routing,
};

/// The label by which an object is left alone: codes, with anything between them that is no letter and no digit.
pub const IGNORE_LABEL: &str = "tcproute.io/ignore";

/// How much of what there is the input has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it, as a cluster or a control plane has.
    Whole,
    /// Perhaps a part of it, as files have.
    Part,
    /// Something was refused, so that of what is missing nothing can be said.
    Torn,
}

/// Something that is valid and surely not meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The object.
    pub object: Identity,
    /// The field, as it is in Universal form.
    pub field: String,
    /// What it is.
    pub code: Code,
    /// What was seen.
    pub message: String,
}

/// All warnings, in the order of the objects.
pub fn lint(resources: &Resources, options: &routing::Options, scope: Scope) -> Vec<Warning> {
    let input = Input { resources, known: Known::new(resources, options.compat), scope };
    let mut found = Found::default();
    weights::check(&input, &mut found);
    names::check(&input, &mut found);
    endpoints::check(&input, &mut found);
    selected::check(&input, &mut found);
    overridden::check(&input, &mut found);
    covered::check(&input, &mut found);
    protocols::check(&input, &mut found);
    found.0.sort();
    found.0
}

/// What the rules judge.
struct Input<'a> {
    resources: &'a Resources,
    known: Known<'a>,
    scope: Scope,
}

impl<'a> Input<'a> {
    fn tcp_routes(&self) -> impl Iterator<Item = &'a Arc<MeshTcpRoute>> + use<'a> {
        self.resources.tcp_routes.values()
    }
}

/// What the rules have found.
#[derive(Default)]
struct Found(Vec<Warning>);

impl Found {
    /// Adds a warning, unless the object's labels say that it is to be left alone.
    fn add(
        &mut self,
        code: Code,
        object: (&'static str, &Key),
        labels: &Labels,
        field: impl Into<String>,
        message: impl Into<String>,
    ) {
        if !is_ignored(code, labels) {
            let (kind, key) = object;
            let object = Identity { kind, key: key.clone() };
            self.0.push(Warning { object, field: field.into(), code, message: message.into() });
        }
    }

    /// As [`Self::add`], of a route.
    fn add_route(&mut self, code: Code, route: &MeshTcpRoute, field: String, message: String) {
        let key = route.header.key();
        self.add(code, (MeshTcpRoute::KIND, &key), &route.header.meta.labels, field, message);
    }
}

fn is_ignored(code: Code, labels: &Labels) -> bool {
    let codes = labels.get(IGNORE_LABEL).unwrap_or_default();
    codes.split(|c: char| !c.is_ascii_alphanumeric()).any(|written| written == code.as_str())
}

/// The field of the backendRefs of an entry.
fn refs_field(to: usize) -> String {
    format!("spec.to[{to}].rules[0].default.backendRefs")
}

/// The backendRefs of a route, with their entry and their field.
fn refs(route: &MeshTcpRoute) -> impl Iterator<Item = (&To, &BackendRef, String)> {
    route.to.iter().enumerate().flat_map(|(i, to)| {
        let refs = match &to.rule {
            Rule::Backends(refs) => refs.as_slice(),
            Rule::Itself => &[],
        };
        refs.iter().enumerate().map(move |(j, one)| (to, one, format!("{}[{j}]", refs_field(i))))
    })
}

#[cfg(test)]
mod tests;
