//! Dataplanes by the names that people write.

use std::sync::Arc;

use thiserror::Error;

use crate::resources::{Dataplane, MeshName, ResourceName, Resources, nearest};

/// There is no such Dataplane.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("no Dataplane {name:?} in mesh {mesh:?}{hint}")]
pub struct UnknownDataplane {
    name: String,
    mesh: String,
    hint: String,
}

/// The Dataplane with this name, or, on Kubernetes, `name.namespace`; the name alone will do where it is unique.
pub(crate) fn find<'a>(
    resources: &'a Resources,
    mesh: &MeshName,
    name: &str,
) -> Result<&'a Arc<Dataplane>, UnknownDataplane> {
    let get = |name: &str, namespace: Option<&str>| {
        let name = ResourceName { name: name.into(), namespace: namespace.map(Into::into) };
        resources.dataplanes.get(&(mesh.clone(), name))
    };
    let splits = || name.match_indices('.').map(|(dot, _)| (&name[..dot], &name[dot + 1..]));
    let exact = get(name, None).or_else(|| splits().find_map(|(name, rest)| get(name, Some(rest))));
    if let Some(dataplane) = exact {
        return Ok(dataplane);
    }
    let mut same_name = same_name(resources, mesh, name);
    let hint = match (same_name.next(), same_name.next()) {
        (Some(only), None) => return Ok(only),
        (Some(one), Some(another)) => {
            format!(": {} and {} have that name in their namespaces", one.name, another.name)
        }
        (None, _) => {
            let of_mesh = || resources.dataplanes.values().filter(|dataplane| dataplane.mesh == *mesh);
            let mut names: Vec<String> = of_mesh().map(|dataplane| dataplane.name.name.to_string()).collect();
            // On Kubernetes either may be what is misspelt.
            names.extend(of_mesh().map(|dataplane| dataplane.name.to_string()));
            match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => format!(", did you mean {near:?}?"),
                None if names.is_empty() => ": the mesh has none in these resources".to_owned(),
                None => String::new(),
            }
        }
    };
    Err(UnknownDataplane { name: name.to_owned(), mesh: mesh.to_string(), hint })
}

/// Those with this name in any namespace.
fn same_name<'a>(
    resources: &'a Resources,
    mesh: &MeshName,
    name: &str,
) -> impl Iterator<Item = &'a Arc<Dataplane>> {
    let first = (mesh.clone(), ResourceName { name: name.into(), namespace: None });
    let (mesh, name) = first.clone();
    let from = resources.dataplanes.range(first..);
    let same = from.take_while(move |((of, other), _)| *of == mesh && other.name == name.name);
    same.map(|(_, dataplane)| dataplane)
}
