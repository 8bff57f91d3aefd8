//! References as people read them.

use std::fmt::{self, Display, Formatter};

use super::{
    names::Labels,
    target_ref::{
        BackendTarget, DataplaneBy, DataplaneRef, PortRef, ProxyTypes, Selector, ServiceBy, ServiceRef,
    },
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
        match &self.subset {
            Some(tags) if !tags.is_empty() => write!(f, " {}", Pairs(tags)),
            _ => Ok(()),
        }
    }
}

impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let with = |f: &mut Formatter<'_>, tags: &Labels| {
            if tags.is_empty() { Ok(()) } else { write!(f, " {}", Pairs(tags)) }
        };
        match self {
            Self::Mesh(types) => write!(f, "Mesh{types}"),
            Self::Dataplane(DataplaneRef { by, section }) => {
                f.write_str("Dataplane")?;
                match by {
                    DataplaneBy::All => {}
                    DataplaneBy::Name(name, None) => write!(f, " name {name}")?,
                    DataplaneBy::Name(name, Some(namespace)) => {
                        write!(f, " name {name} namespace {namespace}")?;
                    }
                    DataplaneBy::Labels(labels) => with(f, labels)?,
                }
                section.as_ref().map_or(Ok(()), |section| write!(f, " sectionName {section}"))
            }
            Self::MeshSubset(tags, types) => {
                write!(f, "MeshSubset{types}")?;
                with(f, tags)
            }
            Self::MeshService(service) => write!(f, "MeshService {service}"),
            Self::MeshServiceSubset(service, tags) => {
                write!(f, "MeshServiceSubset {service}")?;
                with(f, tags)
            }
            Self::MeshGateway(name) => write!(f, "MeshGateway {name}"),
        }
    }
}

impl Display for ProxyTypes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "",
            Self::Sidecars => " (sidecars)",
            Self::Gateways => " (gateways)",
        })
    }
}
