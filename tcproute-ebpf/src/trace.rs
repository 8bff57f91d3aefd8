// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! Events for `tcproute trace`. Nothing here runs while nobody listens: a decision looks at a flag of its workload, and
//! what follows at what the decision has noted.

use core::ptr;

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    helpers::generated::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_ktime_get_ns, bpf_ringbuf_reserve,
        bpf_ringbuf_submit,
    },
};
use tcproute_common::{COMMAND_LEN, ConnectionState, Event, EventKind, Kept};

use crate::{
    maps::{HAS_CURRENT, events},
    share::{spend_event, spend_event_in_vain, workload_of},
};

/// A decision, by the process that dials. Of a refused one the address `chosen` is that of nobody.
#[inline(always)]
pub(crate) fn decided(cookie: u64, workload: u32, kind: EventKind, state: &ConnectionState) {
    let Some(record) = record(cookie, workload, kind, state) else { return };
    if HAS_CURRENT.load() != 0 {
        // SAFETY: takes nothing, cannot fail.
        let pid = unsafe { bpf_get_current_pid_tgid() } >> 32;
        // SAFETY: as above.
        unsafe { (*record).pid = pid as u32 };
        // SAFETY: the field has that many bytes.
        let _ = unsafe { bpf_get_current_comm((&raw mut (*record).command).cast(), COMMAND_LEN as u32) };
    }
    submit(record);
}

/// What became of an attempt, if its decision was an event. A function of its own, as `settle` is.
#[inline(never)]
pub(crate) fn ended(kept: *mut Kept, kind: EventKind, latency: u32) {
    // SAFETY: a field of a map value.
    if unsafe { (*kept).traced } == 0 {
        return;
    }
    // SAFETY: a field of a map value.
    let cookie = unsafe { (*kept).cookie };
    // SAFETY: fields of a map value.
    let (outcomes, generation) = unsafe { ((*kept).state.outcomes, (*kept).generation) };
    let workload = workload_of(outcomes, u32::from(generation));
    // SAFETY: a field of a map value, which nobody else writes meanwhile.
    let Some(record) = record(cookie, workload, kind, unsafe { &(*kept).state }) else { return };
    // SAFETY: a record of this size was reserved, and it is aligned.
    unsafe { (*record).latency = latency };
    submit(record);
}

/// A record with what all have, and zeros.
///
/// Half of the buffer is for whoever comes first. In the other half each workload has its share, so that the storm of
/// one hides nobody else's.
#[inline(always)]
fn record(cookie: u64, workload: u32, kind: EventKind, state: &ConnectionState) -> Option<*mut Event> {
    if spend_event(workload) == 0 {
        return None;
    }
    // SAFETY: the map is a ring buffer, and the size is a constant.
    let record = unsafe { bpf_ringbuf_reserve(events(), size_of::<Event>() as u64, 0) }.cast::<Event>();
    if record.is_null() {
        spend_event_in_vain(workload);
        return None;
    }
    // SAFETY: takes nothing, cannot fail.
    let time = unsafe { bpf_ktime_get_ns() };
    let event = Event {
        time,
        cookie,
        kind: kind as u32,
        workload,
        pid: 0,
        outcomes: state.outcomes,
        latency: 0,
        dialled: state.dialled(),
        chosen: state.chosen(),
        reserved: 0,
        command: [0; COMMAND_LEN / 8],
    };
    // SAFETY: that much was reserved, aligned to 8 bytes.
    unsafe { ptr::write(record, event) };
    Some(record)
}

#[inline(always)]
fn submit(record: *mut Event) {
    // The reader comes by itself, so nobody is woken.
    // SAFETY: it was reserved, and is submitted once.
    unsafe { bpf_ringbuf_submit(record.cast(), u64::from(BPF_RB_NO_WAKEUP)) };
}
