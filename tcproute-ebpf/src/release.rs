//! The last close of a socket: free its slot in `connections`.

use core::ptr;

use aya_ebpf::{bindings::bpf_sock, helpers::generated::bpf_get_socket_cookie};

use crate::{
    connection::{release, slot_of},
    context::{ALLOW, IPPROTO_TCP},
};

#[inline(always)]
pub(crate) fn on_release(socket: *mut bpf_sock) -> i32 {
    // SAFETY: the kernel passes a valid socket; `protocol` is readable in this hook.
    let protocol = unsafe { ptr::read_volatile(&raw const (*socket).protocol) };
    if protocol == IPPROTO_TCP {
        // SAFETY: the helper takes the context of this program type.
        let cookie = unsafe { bpf_get_socket_cookie(socket.cast()) };
        if let Some(slot) = slot_of(cookie) {
            release(slot, cookie);
        }
    }
    ALLOW
}
