//! How the lists of a control plane are called.

use std::{borrow::Cow, fmt};

use super::kinds::{self, ListedKind};
use crate::resources::{Mesh, MeshName};

/// Something that is read as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ListName {
    /// All meshes.
    Meshes,
    /// One mesh: a list of one.
    Mesh(MeshName),
    /// What a mesh has of a kind.
    Of(MeshName, &'static ListedKind),
}

impl ListName {
    /// The kind of its objects, as in `type`.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Meshes | Self::Mesh(_) => Mesh::KIND,
            Self::Of(_, kind) => kind.kind,
        }
    }

    /// The one of this path, if there is such a kind.
    pub(super) fn of_path(path: &str) -> Option<Self> {
        let mesh = |text: &str| MeshName::try_from(text.to_owned()).ok();
        match path.strip_prefix("/meshes")?.split('/').skip(1).collect::<Vec<_>>()[..] {
            [] => Some(Self::Meshes),
            [name] => Some(Self::Mesh(mesh(name)?)),
            [name, path] => Some(Self::Of(mesh(name)?, kinds::ALL.iter().find(|kind| kind.path == path)?)),
            _ => None,
        }
    }

    /// The mesh that its objects are in.
    pub(super) const fn mesh(&self) -> Option<&MeshName> {
        match self {
            Self::Meshes | Self::Mesh(_) => None,
            Self::Of(mesh, _) => Some(mesh),
        }
    }
}

/// Its path below the control plane's URL.
impl fmt::Display for ListName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meshes => f.write_str("/meshes"),
            Self::Mesh(mesh) => write!(f, "/meshes/{}", escaped(mesh)),
            Self::Of(mesh, kind) => write!(f, "/meshes/{}/{}", escaped(mesh), kind.path),
        }
    }
}

/// What an operator has written may be anything.
fn escaped(mesh: &MeshName) -> Cow<'_, str> {
    form_urlencoded::byte_serialize(mesh.as_str().as_bytes()).collect::<Vec<_>>().concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_path() {
        let mesh = |name: &str| MeshName::try_from(name.to_owned()).unwrap();
        assert_eq!(ListName::Meshes.to_string(), "/meshes");
        assert_eq!(ListName::Mesh(mesh("default")).to_string(), "/meshes/default");
        for name in [ListName::Meshes, ListName::Mesh(mesh("a.b")), ListName::Of(mesh("a"), &kinds::ALL[1])] {
            assert_eq!(ListName::of_path(&name.to_string()), Some(name));
        }
        for none in ["", "/zones", "/meshes/a/b", "/meshes/a/dataplanes/c"] {
            assert_eq!(ListName::of_path(none), None);
        }
        let of = ListName::Of(mesh("a/../b?x"), &kinds::ALL[3]);
        assert_eq!(of.to_string(), "/meshes/a%2F..%2Fb%3Fx/external-services");
    }
}
