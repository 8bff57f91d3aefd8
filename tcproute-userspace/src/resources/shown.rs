//! References as people read them.

use std::fmt::{self, Display, Formatter};

use super::{
    names::Labels,
    target_ref::{BackendTarget, DataplaneRef, PortRef, Selector, ServiceBy, ServiceRef},
};

/// Tags or labels, as `key=value` with spaces between.
pub(crate) struct Pairs<'a>(pub(crate) &'a Labels);

impl Display for Pairs<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, (key, value)) in self.0.iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            write!(f, "{space}{key}={value}")?;
        }
        Ok(())
    }
}

impl Display for ServiceRef {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.by {
            ServiceBy::Name(name, None) => write!(f, "{name}")?,
            ServiceBy::Name(name, Some(namespace)) => write!(f, "{name}.{namespace}")?,
            ServiceBy::Labels(labels) => write!(f, "{}", Pairs(labels))?,
        }
        match &self.port {
            Some(PortRef::Number(port)) => write!(f, ":{port}"),
            Some(PortRef::Section(section)) => write!(f, ":{section}"),
            None => Ok(()),
        }
    }
}

impl Display for BackendTarget {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.service)?;
        self.subset.as_ref().map_or(Ok(()), |tags| write!(f, " {}", Pairs(tags)))
    }
}

impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mesh => f.write_str("Mesh"),
            Self::Dataplane(DataplaneRef { name, namespace, labels, section }) => {
                f.write_str("Dataplane")?;
                for (field, value) in [("name", name), ("namespace", namespace), ("sectionName", section)] {
                    value.as_ref().map_or(Ok(()), |value| write!(f, " {field} {value}"))?;
                }
                if labels.is_empty() { Ok(()) } else { write!(f, " {}", Pairs(labels)) }
            }
            Self::MeshSubset(tags) => write!(f, "MeshSubset {}", Pairs(tags)),
            Self::MeshService(service) => write!(f, "MeshService {service}"),
            Self::MeshServiceSubset(service, tags) => {
                write!(f, "MeshServiceSubset {service} {}", Pairs(tags))
            }
        }
    }
}
