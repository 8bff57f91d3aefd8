//! What the address guard leaves out.

use std::{fmt, net::SocketAddr, sync::Arc};

use crate::resources::{Denial, Identity};

/// An address that a resource has and that does not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeniedAddress {
    /// What it would have been.
    pub role: AddressRole,
    /// The address.
    pub address: SocketAddr,
    /// The service whose endpoint it would have been, or that would have been dialled there.
    pub service: Arc<str>,
    /// The resource that has it.
    pub of: Identity,
    /// Why it does not count.
    pub why: Denial,
}

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressRole {
    /// Connections are sent there.
    Endpoint,
    /// Applications dial it.
    Dialled,
}

impl fmt::Display for DeniedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, address, service, of, why } = self;
        match role {
            AddressRole::Endpoint => {
                write!(f, "{of}: no connection goes to {address}, an endpoint of {service}: it {why}")
            }
            AddressRole::Dialled => write!(f, "{of}: {service} is not dialled at {address}: it {why}"),
        }
    }
}
