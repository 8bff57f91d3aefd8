// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Endpoints whose handshakes fail, in the map `failing`.

use crate::SocketAddress;

/// Key of the map `failing`: an endpoint as one backendRef of one route has it. Its value is how many handshakes in a
/// row have failed there; an endpoint of which the last one was completed has no entry.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FailingKey {
    /// The endpoint.
    pub endpoint: SocketAddress,
    /// Index of the backendRef in the map `outcomes`.
    pub outcomes: u32,
}

crate::shared!(FailingKey, 24);
