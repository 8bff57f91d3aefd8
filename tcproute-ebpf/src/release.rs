// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! The last close of a socket: an attempt that never came to a SYN ends here.
//!
//! All others end in `sock_ops`, when TCP is at its end, which may be long after the close. That must not be
//! touched here, since this hook runs without the socket's lock.

use core::ptr;

use aya_ebpf::{bindings::bpf_sock, helpers::generated::bpf_get_socket_cookie};
use tcproute_common::{Kept, Phase};

use crate::{
    context::{ALLOW, IPPROTO_MPTCP, IPPROTO_TCP},
    outcomes::{phase, settle},
    place::{free, owned_place},
    share::{give_back, kept, stored},
};

#[inline(always)]
pub(crate) fn on_release(socket: *mut bpf_sock) -> i32 {
    // SAFETY: the kernel passes a valid socket; `protocol` is readable in this hook.
    let protocol = unsafe { ptr::read_volatile(&raw const (*socket).protocol) };
    if matches!(protocol, IPPROTO_TCP | IPPROTO_MPTCP) {
        // SAFETY: the helper takes the context of this program type.
        let cookie = unsafe { bpf_get_socket_cookie(socket.cast()) };
        if let Some(place) = owned_place(cookie)
            && is_unsent(place)
        {
            settle(place);
            free(place);
        }
        if let Some(stored) = stored(socket.cast()) {
            let is_unsent = is_unsent(kept(stored));
            if is_unsent {
                settle(kept(stored));
            }
            // It dies with the socket, and no helper of this hook deletes it. Of a TCP socket that has sent a SYN that
            // is done at its end.
            if is_unsent || protocol == IPPROTO_MPTCP {
                give_back(stored);
            }
        }
    }
    ALLOW
}

/// Nobody else writes the state then: no connect() is under way at the last close, and TCP does nothing before one.
#[inline(always)]
fn is_unsent(kept: *mut Kept) -> bool {
    phase(kept) == Phase::Attempted as u8
}
