// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! Every map. "Loader" is the userspace side.

#[expect(
    deprecated,
    reason = "its successor, cgrp_storage, needs 6.2; this one is per attachment, as wanted"
)]
use aya_ebpf::btf_maps::CgroupStorage;
use core::arch::asm;

use aya_ebpf::{
    Global,
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{Array, HashMap, PerCpuArray, RingBuf, SkStorage},
    macros::btf_map,
};
use tcproute_common::{
    Backend, BackendRef, CONNECTIONS, CarriedCounts, Counter, Credit, Cursor, EVENT_BYTES, Event,
    FAILING as FAILING_ENTRIES, FailingKey, Kept, NAMESPACE_PLACES as NAMESPACE_PLACE_ENTRIES,
    NAMESPACES as NAMESPACE_ENTRIES, NamespaceEntry, NodeFilter, OutcomeCounts, RouteKey, SHARES,
    SealedRoute, Share, SocketAddress, Spent, Stored, WorkloadIdentity,
};

/// The addresses of all workloads. Written by the loader, before those of a workload are.
#[btf_map(name = "addresses")]
pub(crate) static ADDRESSES: Array<NodeFilter, 1> = Array::new();

/// Identity of the attached cgroup. Written by the loader after attaching, freed with the attachment.
#[btf_map(name = "workloads")]
#[expect(deprecated, reason = "see the import")]
pub(crate) static WORKLOADS: CgroupStorage<WorkloadIdentity> = CgroupStorage::new();

/// Routes by workload and dialled address. Written by the loader. A value is replaced by an entry of its own, and
/// readers know by its seal that theirs was not reused meanwhile: they have the old value or the new one.
#[btf_map(name = "routes")]
pub(crate) static ROUTES: HashMap<RouteKey, SealedRoute, 1, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// Runs of backendRefs, one run a route. Written by the loader, and only where no route points.
#[btf_map(name = "backends")]
pub(crate) static BACKENDS: Array<Backend, 1> = Array::new();

/// Runs of turns: offsets of backends in their run, in the order in which they are taken. Shared by the routes with
/// the same weights. Written like `backends`.
#[btf_map(name = "turns")]
pub(crate) static TURNS: Array<u32, 1> = Array::new();

/// Where each route with turns stands in its round. Set to the beginning by the loader before a route points here.
#[btf_map(name = "cursors")]
pub(crate) static CURSORS: Array<Cursor, 1> = Array::new();

/// Where the sequence of draws of each CPU stands. Begun by the loader at random, so that no two nodes choose alike.
#[btf_map(name = "draws")]
pub(crate) static DRAWS: PerCpuArray<u64, 1> = PerCpuArray::new();

/// Runs of endpoints, shared by the backendRefs that have the same. Written like `backends`.
#[btf_map(name = "endpoints")]
pub(crate) static ENDPOINTS: Array<SocketAddress, 1> = Array::new();

/// States of routed sockets, by cookie. Written by `connect4/6`, read by `getpeername4/6`, freed by `sock_ops`
/// or, if no SYN was sent, by `sock_release`. Nobody maps it: the flag makes the kernel begin the array at a
/// page, so that each place is one cache line and not two halves.
#[btf_map(name = "connections")]
pub(crate) static CONNECTION_PLACES: Array<Kept, { CONNECTIONS as usize }, { BPF_F_MMAPABLE as usize }> =
    Array::new();

/// States that found their place in `connections` taken, and those of MPTCP sockets. They die with the socket, at the
/// latest.
#[btf_map(name = "overflow")]
static OVERFLOW: SkStorage<Stored> = SkStorage::new();

/// See [`Share`]. An entry is made by the loader before the workload is attached, and removed after it was detached.
#[btf_map(name = "shares")]
pub(crate) static SHARES_TAKEN: HashMap<u32, Share, { SHARES as usize }, { BPF_F_NO_PREALLOC as usize }> =
    HashMap::new();

/// See [`Spent`]. An entry is made and removed as in `shares`.
#[btf_map(name = "spent")]
pub(crate) static SPENT: HashMap<u32, Spent, { SHARES as usize }, { BPF_F_NO_PREALLOC as usize }> =
    HashMap::new();

/// See [`Credit`]. Written by the loader.
#[btf_map(name = "credits")]
pub(crate) static CREDITS: HashMap<u32, Credit, { SHARES as usize }, { BPF_F_NO_PREALLOC as usize }> =
    HashMap::new();

/// See [`NamespaceEntry`]. Written by the loader.
#[btf_map(name = "namespaces")]
pub(crate) static NAMESPACES: HashMap<
    u64,
    NamespaceEntry,
    { NAMESPACE_ENTRIES as usize },
    { BPF_F_NO_PREALLOC as usize },
> = HashMap::new();

/// The same where it is found sooner, but for those of which another one has the place. Written by the loader.
#[btf_map(name = "namespace_places")]
pub(crate) static NAMESPACE_PLACES: Array<NamespaceEntry, { NAMESPACE_PLACE_ENTRIES as usize }> =
    Array::new();

/// The map `overflow`, for the raw helpers: aya's wrapper takes the socket of a `sock_addr` context only,
/// and here it may be an MPTCP socket.
#[inline(always)]
pub(crate) const fn overflow() -> *mut core::ffi::c_void {
    (&raw const OVERFLOW).cast_mut().cast()
}

/// See [`Counter`]. Read by the loader.
#[btf_map(name = "counters")]
pub(crate) static COUNTERS: PerCpuArray<u64, { Counter::ALL.len() }> = PerCpuArray::new();

/// What became of the connections, by [`Backend::outcomes`]. Read by the loader, and emptied by it before an
/// entry serves another backend.
#[btf_map(name = "outcomes")]
pub(crate) static OUTCOMES: PerCpuArray<OutcomeCounts, 1> = PerCpuArray::new();

/// The backendRef for which each entry of `outcomes` counts. Written by the loader.
#[btf_map(name = "backend_refs")]
pub(crate) static BACKEND_REFS: HashMap<u32, BackendRef, 1, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// What each entry of `outcomes` had counted before that map was made larger. Written and read by the loader.
#[btf_map(name = "carried")]
pub(crate) static CARRIED: HashMap<u32, CarriedCounts, 1, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// Of the map `outcomes`. See [`Kept::generation`].
#[unsafe(no_mangle)]
pub(crate) static GENERATION: Global<u32> = Global::new(0);

/// See [`FailingKey`]. Read by the loader, which takes those out that fail often.
#[btf_map(name = "failing")]
pub(crate) static FAILING: HashMap<
    FailingKey,
    u32,
    { FAILING_ENTRIES as usize },
    { BPF_F_NO_PREALLOC as usize },
> = HashMap::new();

/// 1 when failures are counted by endpoint.
#[unsafe(no_mangle)]
pub(crate) static EJECTS: Global<u32> = Global::new(0);

/// Read by the loader while somebody listens.
#[btf_map(name = "events")]
static EVENTS: RingBuf<Event, { EVENT_BYTES as usize }> = RingBuf::new();

/// The map `events`, for the raw helpers, which write a record where it will be read.
#[inline(always)]
pub(crate) const fn events() -> *mut core::ffi::c_void {
    (&raw const EVENTS).cast_mut().cast()
}

/// 1 when programs may ask which process they run in.
#[unsafe(no_mangle)]
pub(crate) static HAS_CURRENT: Global<u32> = Global::new(0);

/// 1 when `bpf_set_retval` is there (6.0 for these hooks): then a refusal is ECONNREFUSED and not EPERM.
#[unsafe(no_mangle)]
pub(crate) static HAS_SET_RETVAL: Global<u32> = Global::new(0);

/// 1 when `bpf_skc_to_mptcp_sock` is there (5.19).
#[unsafe(no_mangle)]
pub(crate) static HAS_MPTCP_SOCK: Global<u32> = Global::new(0);

/// 1 when processors show each other their stores in order.
#[unsafe(no_mangle)]
pub(crate) static STORES_IN_ORDER: Global<u32> = Global::new(0);

/// Where `sk_err` stands in the kernel's `struct sock`; 0 when the kernel's BTF does not tell.
#[unsafe(no_mangle)]
pub(crate) static SOCKET_ERROR_OFFSET: Global<u32> = Global::new(0);

/// 1 when sidecars are to be got past: then `namespaces` says where there are any.
#[unsafe(no_mangle)]
pub(crate) static GETS_PAST: Global<u32> = Global::new(0);

/// The sidecar's user, where `namespaces` is not asked.
#[unsafe(no_mangle)]
pub(crate) static SIDECAR_UID: Global<u32> = Global::new(0);

/// What the mark of a routed socket is in the bits of [`MARK_MASK`].
#[unsafe(no_mangle)]
pub(crate) static MARK_VALUE: Global<u32> = Global::new(0);

/// The bits of a socket's mark that are ours.
#[unsafe(no_mangle)]
pub(crate) static MARK_MASK: Global<u32> = Global::new(0);

/// Where `skc_cookie` stands in the kernel's `struct sock_common`; 0 when the kernel's BTF does not tell.
#[unsafe(no_mangle)]
pub(crate) static SOCKET_COOKIE_OFFSET: Global<u32> = Global::new(0);

/// Where `sk_uid` stands in the kernel's `struct sock`; 0 when the kernel's BTF does not tell.
#[unsafe(no_mangle)]
pub(crate) static SOCKET_USER_OFFSET: Global<u32> = Global::new(0);

/// Where `skc_net` stands in the kernel's `struct sock_common`, where namespaces are known by their inodes; else 0.
#[unsafe(no_mangle)]
pub(crate) static NET_OFFSET: Global<u32> = Global::new(0);

/// Where `ns.inum` stands in the kernel's `struct net`, as above.
#[unsafe(no_mangle)]
pub(crate) static INUM_OFFSET: Global<u32> = Global::new(0);

/// Counts one on this CPU.
#[inline(always)]
pub(crate) fn count(counter: Counter) {
    if let Some(value) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: a value of a map of u64.
        unsafe { add(value, 1) };
    }
}

/// What [`add_u32`] adds to take one away.
pub(crate) const MINUS_ONE: u32 = u32::MAX;

/// Adds to a number that all CPUs share.
///
/// # Safety
/// `number` must point to an aligned number in a map value.
#[inline(always)]
pub(crate) unsafe fn add_u32(number: *mut u32, amount: u32) {
    // SAFETY: as the caller says.
    unsafe {
        asm!("lock *(u32 *)({number} + 0) += {amount}", number = in(reg) number, amount = in(reg) u64::from(amount));
    };
}

/// Adds to a number of this CPU. Atomically, since a program in process context may be interrupted between its
/// load and its store by one in softirq, or be preempted. Nothing is fetched, so 5.10 has the instruction.
///
/// # Safety
/// `number` must point to an aligned number in a map value.
#[inline(always)]
pub(crate) unsafe fn add(number: *mut u64, amount: u64) {
    // Rust's atomics have no addition on this target.
    // SAFETY: as the caller says.
    unsafe {
        asm!("lock *(u64 *)({number} + 0) += {amount}", number = in(reg) number, amount = in(reg) amount);
    };
}
