// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The types that tcproute's eBPF programs and its loader share: the layout of every map.
//!
//! All of them are `repr(C)` without padding and of a size that is asserted at compile time, so that the
//! kernel's view, the loader's and what `bpftool map dump` prints are the same bytes. Ports are in host
//! order and addresses in network order: that is how a person reads both in a dump.

#![no_std]
#![forbid(unsafe_op_in_unsafe_fn)]

mod address;
mod backend_ref;
mod connection;
mod counter;
mod event;
mod failing;
mod filter;
mod layout;
mod namespace;
mod outcomes;
mod pick;
mod route;
mod share;
mod source;
mod workload;

pub use address::{Address, SocketAddress};
pub use backend_ref::{BackendRef, TARGET_LEN};
pub use connection::{CONNECTIONS, ConnectionState, Kept, Phase, SpinLock};
pub use counter::Counter;
pub use event::{COMMAND_LEN, EVENT_BYTES, Event, EventKind};
pub use failing::FailingKey;
pub use filter::{AddressFilter, AddressHash, NodeFilter};
pub use layout::LayoutVersion;
pub use namespace::{NAMESPACE_PLACES, NAMESPACES, NamespaceEntry, Way};
pub use outcomes::{CarriedCounts, LATENCY_BUCKETS, OutcomeCounts, latency_bucket};
pub use pick::{DRAW_STEP, Slot, drawn, scale};
pub use route::{Backend, Cursor, RouteKey, RouteValue, SealedRoute};
pub use share::{Credit, FAILING, SHARES, Share, Spent, Stored};
pub use source::{LOOPBACK_DEVICE, Source};
pub use workload::WorkloadIdentity;

/// Asserts the size of a shared type and, for the loader, that it is plain bytes.
macro_rules! shared {
    ($type:ty, $size:literal) => {
        const _: () = assert!(core::mem::size_of::<$type>() == $size);

        // SAFETY: `repr(C)`, made of integers only, and the size above leaves no room for padding.
        #[cfg(feature = "user")]
        unsafe impl aya::Pod for $type {}
    };
}
use shared;
