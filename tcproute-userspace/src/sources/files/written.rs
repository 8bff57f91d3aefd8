//! Where resources are written, as far as that was asked when they were read.

use std::{path::Path, sync::Arc};

use rustc_hash::FxHashMap;

use super::{super::documents::Fields, list::Place};
use crate::resources::Identity;

/// The places of resources and their fields.
#[derive(Debug, Default)]
pub struct Written(FxHashMap<Arc<Identity>, (Arc<Place>, Fields)>);

/// Where a field of a resource is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPlace<'w> {
    /// The file as it was named.
    pub file: &'w Path,
    /// Line and column, counted from 1.
    pub at: (u32, u32),
    /// The path of the field in its document.
    pub path: String,
}

impl Written {
    pub(super) const fn new(fields: FxHashMap<Arc<Identity>, (Arc<Place>, Fields)>) -> Self {
        Self(fields)
    }

    /// Where a field is, or else the nearest one around it. `None` if the resource is not of these files.
    pub fn find(&self, identity: &Identity, field: &str) -> Option<FieldPlace<'_>> {
        let (place, fields) = self.0.get(identity)?;
        // On Kubernetes the fields of all kinds are below `spec`.
        let root = field.split(['.', '[']).next().unwrap_or_default();
        let field = if fields.has(root) { field.to_owned() } else { format!("spec.{field}") };
        let (path, at) = fields.find(&field);
        Some(FieldPlace { file: &place.path, at: (at.line, at.column), path })
    }
}
