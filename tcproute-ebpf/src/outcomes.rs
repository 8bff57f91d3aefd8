// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! Counting what becomes of connections, each step of each exactly once.

use core::{arch::asm, ptr};

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use tcproute_common::{EventKind, Kept, LATENCY_BUCKETS, OutcomeCounts, Phase, latency_bucket};

use crate::{
    context::TcpContext,
    failing,
    maps::{GENERATION, OUTCOMES, add},
    trace,
};

const EACCES: u32 = 13;
const ENONET: u32 = 64;
const ENOPROTOOPT: u32 = 92;
const ENETDOWN: u32 = 100;
const ENETUNREACH: u32 = 101;
const ECONNRESET: u32 = 104;
const ETIMEDOUT: u32 = 110;
const ECONNREFUSED: u32 = 111;
const EHOSTDOWN: u32 = 112;
const EHOSTUNREACH: u32 = 113;

/// Where a socket's error cannot be read: no error of any.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// How far the connection has come: a [`Phase`].
#[inline(always)]
pub(crate) fn phase(kept: *mut Kept) -> u8 {
    // SAFETY: a field of a map value.
    unsafe { ptr::read_volatile(&raw const (*kept).phase) }
}

/// connect() was sent to a backend.
#[inline(always)]
pub(crate) fn attempted(index: u32) {
    if let Some(counts) = counts(index) {
        // SAFETY: a field of a map value.
        unsafe { add(&raw mut (*counts).attempted, 1) };
    }
}

/// A backendRef was chosen that has no endpoint.
#[inline(always)]
pub(crate) fn without_endpoint(index: u32) {
    if let Some(counts) = counts(index) {
        // SAFETY: a field of a map value.
        unsafe { add(&raw mut (*counts).no_endpoint, 1) };
    }
}

/// The first SYN is about to be sent.
#[inline(always)]
pub(crate) fn dialling(kept: *mut Kept) {
    // SAFETY: a field of a map value; the socket is locked.
    unsafe { (*kept).state.started = now() };
    set_phase(kept, Phase::Dialling);
}

/// Another program has written another destination.
#[inline(always)]
pub(crate) fn led_elsewhere(kept: *mut Kept) {
    set_phase(kept, Phase::Over);
    trace::ended(kept, EventKind::Elsewhere, 0);
    // A state in `overflow` stays: it holds for no peer any more.
    // SAFETY: a field of a map value that is this socket's, which is locked.
    unsafe { (*kept).state.forget_chosen() };
    let Some(counts) = counts_of(kept) else { return };
    // SAFETY: a field of a map value.
    unsafe { add(&raw mut (*counts).elsewhere, 1) };
}

/// The handshake is complete.
#[inline(always)]
pub(crate) fn established(kept: *mut Kept) {
    set_phase(kept, Phase::Established);
    let microseconds = since_start(kept);
    trace::ended(kept, EventKind::Established, microseconds);
    failing::succeeded(kept);
    let Some(counts) = counts_of(kept) else { return };
    let bucket = unknown(latency_bucket(microseconds));
    if bucket < LATENCY_BUCKETS {
        // SAFETY: one of the array's buckets, in a map value.
        unsafe { add((&raw mut (*counts).latency).cast::<u64>().add(bucket), 1) };
    }
    // SAFETY: a field of a map value.
    unsafe { add(&raw mut (*counts).latency_us, u64::from(microseconds)) };
    // SAFETY: as above.
    unsafe { add(&raw mut (*counts).established, 1) };
}

/// The same number, of which the compiler knows nothing: else it leaves a comparison out that the verifier needs.
#[inline(always)]
fn unknown(mut number: usize) -> usize {
    // SAFETY: it moves the number to where it is.
    unsafe {
        asm!("{number} = {number}", number = inout(reg) number, options(nomem, nostack, preserves_flags));
    };
    number
}

/// TCP has come to its end.
#[inline(always)]
pub(crate) fn ended(kept: *mut Kept, ctx: &TcpContext) {
    let before = phase(kept);
    if before == Phase::Dialling as u8 {
        let error = ctx.error();
        let kind = failure(error);
        count_failure(kept, kind, error);
        trace::ended(kept, kind, since_start(kept));
        if matches!(kind, EventKind::Refused | EventKind::Unreachable | EventKind::TimedOut) {
            failing::failed(kept);
        }
        set_phase(kept, Phase::Over);
        return;
    }
    if before == Phase::Established as u8
        && !ctx.peer_took_part()
        && ctx.error() == ECONNRESET
        && let Some(counts) = counts_of(kept)
    {
        // SAFETY: a field of a map value.
        unsafe { add(&raw mut (*counts).reset, 1) };
    }
    settle(kept);
}

/// Why there was no handshake.
#[inline(always)]
fn failure(error: u32) -> EventKind {
    match error {
        ECONNREFUSED => EventKind::Refused,
        ETIMEDOUT => EventKind::TimedOut,
        // What ICMP and ICMPv6 say, as the kernel translates it.
        EHOSTUNREACH | ENETUNREACH | EHOSTDOWN | ENETDOWN | ENONET | ENOPROTOOPT | EACCES => {
            EventKind::Unreachable
        }
        0 => EventKind::Aborted,
        _ => EventKind::Failed,
    }
}

#[inline(always)]
fn count_failure(kept: *mut Kept, kind: EventKind, error: u32) {
    let Some(counts) = counts_of(kept) else { return };
    // SAFETY: these are fields of a map value.
    let number = unsafe {
        match kind {
            EventKind::Refused => &raw mut (*counts).refused,
            EventKind::TimedOut => &raw mut (*counts).timed_out,
            EventKind::Unreachable => &raw mut (*counts).unreachable,
            EventKind::Aborted => &raw mut (*counts).aborted,
            _ => &raw mut (*counts).failed,
        }
    };
    // SAFETY: a field of a map value.
    unsafe { add(number, 1) };
    // An RST is ECONNREFUSED in SYN_SENT; ECONNRESET it is in SYN_RECV, where both sides dial at once.
    if error == ECONNRESET {
        // SAFETY: as above.
        unsafe { add(&raw mut (*counts).reset, 1) };
    }
}

/// Counts how the attempt has ended of which nobody has told: the socket is used again or closed, and so the
/// attempt before cannot be under way any more.
///
/// A function of its own, since there are many that call it and the programs would become large.
#[inline(never)]
pub(crate) fn settle(kept: *mut Kept) {
    let before = phase(kept);
    if before == Phase::Over as u8 {
        return;
    }
    set_phase(kept, Phase::Over);
    if before != Phase::Established as u8 {
        let unsent = before == Phase::Attempted as u8;
        let kind = if unsent { EventKind::Unsent } else { EventKind::Failed };
        trace::ended(kept, kind, if unsent { 0 } else { since_start(kept) });
    }
    let Some(counts) = counts_of(kept) else { return };
    // SAFETY: these are fields of a map value.
    let number = unsafe {
        if before == Phase::Established as u8 {
            &raw mut (*counts).closed
        } else if before == Phase::Attempted as u8 {
            &raw mut (*counts).unsent
        } else {
            // The callbacks of TCP were switched off by another program.
            &raw mut (*counts).failed
        }
    };
    // SAFETY: a field of a map value.
    unsafe { add(number, 1) };
}

#[inline(always)]
fn set_phase(kept: *mut Kept, phase: Phase) {
    // SAFETY: a field of a map value that is this socket's; the socket is locked, or nobody else has it.
    unsafe { ptr::write_volatile(&raw mut (*kept).phase, phase as u8) };
}

#[inline(always)]
fn counts_of(kept: *mut Kept) -> Option<*mut OutcomeCounts> {
    // SAFETY: a field of a map value.
    if unsafe { (*kept).generation } != GENERATION.load() as u8 {
        return None;
    }
    // SAFETY: a field of a map value.
    counts(unsafe { (*kept).state.outcomes })
}

#[inline(always)]
fn counts(index: u32) -> Option<*mut OutcomeCounts> {
    if index == 0 {
        return None;
    }
    OUTCOMES.get_ptr_mut(index)
}

/// Microseconds since the first SYN.
#[inline(always)]
fn since_start(kept: *mut Kept) -> u32 {
    // SAFETY: a field of a map value.
    now().wrapping_sub(unsafe { (*kept).state.started })
}

/// Microseconds since the boot, modulo 2^32.
#[inline(always)]
fn now() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    (unsafe { bpf_ktime_get_ns() } / 1000) as u32
}
