// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! Past a sidecar that takes all connections of a network namespace: routed sockets carry a mark, by which a table of
//! nftables in that namespace tells them.
//!
//! The mark goes with the route: it is taken off when the connection ends, or at the latest when the socket is used
//! again. A socket's state says whether the mark is ours, so none is set without a state.

use core::ptr;

use aya_ebpf::EbpfContext as _;
use tcproute_common::{Kept, NamespaceEntry, Way};

use crate::{
    connection,
    context::{ConnectContext, TcpContext, set_mark},
    maps::{GETS_PAST, MARK_MASK, MARK_VALUE, NAMESPACE_PLACES, NAMESPACES, SIDECAR_UID},
};

/// What becomes of a connection that has a route.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It is the sidecar's own, and goes where it was dialled.
    Own,
    Held,
    Plain,
    /// By a mark.
    Past,
}

/// By who dials, and in which network namespace.
#[inline(always)]
pub(crate) fn passage(ctx: &ConnectContext) -> Passage {
    if GETS_PAST.load() == 0 {
        return if ctx.user() == SIDECAR_UID.load() { Passage::Own } else { Passage::Plain };
    }
    let key = ctx.namespace();
    let Some(entry) = entry(key) else { return Passage::Held };
    if entry.sidecar == ctx.user() {
        return Passage::Own;
    }
    if entry.way == Way::Plain as u32 {
        Passage::Plain
    } else if entry.way == Way::Past as u32 {
        Passage::Past
    } else {
        Passage::Held
    }
}

/// What is known of the network namespace with this key.
#[inline(always)]
fn entry(key: u64) -> Option<NamespaceEntry> {
    if let Some(place) = NAMESPACE_PLACES.get_ptr(NamespaceEntry::place(key)) {
        let entry = read(place);
        // SAFETY: a field of a map value. Of another one it becomes after it was nobody's.
        if entry.key == key && unsafe { ptr::read_volatile(&raw const (*place).key) } == key {
            return Some(entry);
        }
    }
    let entry = read(NAMESPACES.get_ptr(key)?);
    (entry.key == key).then_some(entry)
}

#[inline(always)]
fn read(entry: *const NamespaceEntry) -> NamespaceEntry {
    // SAFETY: a map value: the memory stays readable while this program runs.
    unsafe { ptr::read_volatile(entry) }
}

/// What has become of a socket's mark.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marked {
    /// It is set, and has to be taken off.
    Ours,
    /// None is needed, or others have set the very same.
    Unneeded,
    /// Others have set another one in our bits, or it cannot be set.
    No,
}

/// Marks the socket.
#[inline(always)]
pub(crate) fn mark(ctx: &ConnectContext) -> Marked {
    let (mask, value) = (MARK_MASK.load(), MARK_VALUE.load());
    let before = ctx.mark();
    let of_others = before & mask;
    if of_others == value {
        return Marked::Unneeded;
    }
    if of_others == 0 && set_mark(ctx.as_ptr(), before | value) { Marked::Ours } else { Marked::No }
}

/// Takes the mark off a socket that has just got it.
#[inline(always)]
pub(crate) fn take_back(ctx: &ConnectContext) {
    set_mark(ctx.as_ptr(), ctx.mark() & !MARK_MASK.load());
}

/// Takes the mark off a socket that still has it of an earlier connect().
#[inline(always)]
pub(crate) fn unmark(ctx: &ConnectContext) {
    if GETS_PAST.load() == 0 {
        return;
    }
    let mask = MARK_MASK.load();
    let mark = ctx.mark();
    if mark & mask == MARK_VALUE.load() && connection::disown_mark(ctx) {
        set_mark(ctx.as_ptr(), mark & !mask);
    }
}

/// Takes the mark off a socket whose connection is at its end, or was led elsewhere. Its SYN is not sent yet then.
#[inline(always)]
pub(crate) fn unmark_ended(ctx: &TcpContext, kept: *mut Kept) {
    if GETS_PAST.load() == 0 || !disown(kept) {
        return;
    }
    if let Some(mark) = ctx.mark() {
        set_mark(ctx.as_ptr(), mark & !MARK_MASK.load());
    }
}

/// Whether the mark is ours, which it is no more from then on.
#[inline(always)]
pub(crate) fn disown(kept: *mut Kept) -> bool {
    // SAFETY: a field of a map value that is this socket's.
    let marked = unsafe { &raw mut (*kept).marked };
    // SAFETY: as above.
    if unsafe { ptr::read_volatile(marked) } == 0 {
        return false;
    }
    // SAFETY: as above.
    unsafe { ptr::write_volatile(marked, 0) };
    true
}
