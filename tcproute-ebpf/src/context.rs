// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! Everything raw: reads and writes of the hooks' contexts, and the helpers that take them.

use core::ptr;

use aya_ebpf::{
    EbpfContext,
    bindings::{BPF_SOCK_OPS_STATE_CB_FLAG, bpf_sock, bpf_sock_addr, bpf_sock_ops},
    helpers::generated::{
        bpf_get_current_uid_gid, bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_set_retval, bpf_setsockopt,
        bpf_skc_to_mptcp_sock, bpf_skc_to_tcp_sock, bpf_sock_ops_cb_flags_set,
    },
    programs::{SockAddrContext, SockOpsContext},
};
use tcproute_common::{Address, SocketAddress, Source};

use crate::{
    maps::{
        HAS_MPTCP_SOCK, INUM_OFFSET, NET_OFFSET, SOCKET_COOKIE_OFFSET, SOCKET_ERROR_OFFSET,
        SOCKET_USER_OFFSET,
    },
    outcomes::UNKNOWN,
};

/// What a `cgroup_sock_addr` program answers: go on.
pub(crate) const ALLOW: i32 = 1;
/// Fail the call; with EPERM unless another error was set.
pub(crate) const DENY: i32 = 0;

pub(crate) const IPPROTO_TCP: u32 = 6;
pub(crate) const IPPROTO_MPTCP: u32 = 262;
const ECONNREFUSED: i32 = 111;
const AF_INET: u32 = 2;
const SOL_SOCKET: i32 = 1;
const SO_MARK: i32 = 36;

/// Which of the two forms of a hook is running: it decides which fields of the context may be touched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// The context of `connect4/6` and `getpeername4/6`.
pub(crate) struct ConnectContext {
    inner: SockAddrContext,
    family: Family,
}

impl EbpfContext for ConnectContext {
    fn as_ptr(&self) -> *mut core::ffi::c_void {
        self.inner.as_ptr()
    }
}

impl ConnectContext {
    #[inline(always)]
    pub(crate) const fn new(inner: SockAddrContext, family: Family) -> Self {
        Self { inner, family }
    }

    const fn raw(&self) -> *mut bpf_sock_addr {
        self.inner.sock_addr
    }

    /// Whether the socket speaks TCP. The first subflow of an MPTCP socket comes as TCP, too.
    #[inline(always)]
    pub(crate) fn is_tcp(&self) -> bool {
        self.protocol() == IPPROTO_TCP
    }

    /// Whether getpeername() may be asked about a routed connection.
    #[inline(always)]
    pub(crate) fn is_tcp_or_mptcp(&self) -> bool {
        matches!(self.protocol(), IPPROTO_TCP | IPPROTO_MPTCP)
    }

    #[inline(always)]
    fn protocol(&self) -> u32 {
        // SAFETY: the kernel passes a valid context; `protocol` is readable in every sock_addr hook.
        unsafe { ptr::read_volatile(&raw const (*self.raw()).protocol) }
    }

    /// The address in the context: the destination of a connect(), the peer for getpeername().
    #[inline(always)]
    pub(crate) fn address(&self) -> SocketAddress {
        // Volatile, as the verifier takes loads of whole fields only, and LLVM would narrow or widen them.
        let address = match self.family {
            Family::V4 => {
                // SAFETY: valid context; `user_ip4` is readable in the v4 hooks.
                Address::from_v4_word(unsafe { ptr::read_volatile(&raw const (*self.raw()).user_ip4) })
            }
            Family::V6 => Address::from_words([0, 1, 2, 3].map(
                #[inline(always)]
                |index: usize| {
                    // SAFETY: valid context, constant index below 4; readable in the v6 hooks.
                    unsafe { ptr::read_volatile(&raw const (*self.raw()).user_ip6[index]) }
                },
            )),
        };
        // SAFETY: valid context; `user_port` is readable in these hooks.
        let port = unsafe { ptr::read_volatile(&raw const (*self.raw()).user_port) };
        // Network order, in the low 16 bits.
        SocketAddress { address, port: u32::from(u16::from_be(port as u16)) }
    }

    /// Replaces the address in the context. `false` if this hook's family cannot express it.
    #[inline(always)]
    pub(crate) fn set_address(&self, to: &SocketAddress) -> bool {
        match self.family {
            Family::V4 => {
                let Some(word) = to.address.v4_word() else { return false };
                // SAFETY: valid context; `user_ip4` is writable in the v4 hooks.
                unsafe { ptr::write_volatile(&raw mut (*self.raw()).user_ip4, word) };
            }
            Family::V6 => {
                let [a, b, c, d] = to.address.words();
                // SAFETY: valid context; the four words of `user_ip6` are writable in the v6 hooks.
                unsafe { ptr::write_volatile(&raw mut (*self.raw()).user_ip6[0], a) };
                // SAFETY: as above.
                unsafe { ptr::write_volatile(&raw mut (*self.raw()).user_ip6[1], b) };
                // SAFETY: as above.
                unsafe { ptr::write_volatile(&raw mut (*self.raw()).user_ip6[2], c) };
                // SAFETY: as above.
                unsafe { ptr::write_volatile(&raw mut (*self.raw()).user_ip6[3], d) };
            }
        }
        let port = u32::from((to.port as u16).to_be());
        // SAFETY: valid context; `user_port` is writable in these hooks.
        unsafe { ptr::write_volatile(&raw mut (*self.raw()).user_port, port) };
        true
    }

    /// What the kernel connects to when an unspecified address is dialled.
    #[inline(always)]
    pub(crate) fn meant_by(&self, dialled: &Address) -> Address {
        self.source().meant_by(*dialled)
    }

    /// Whether the socket can get to an endpoint from what it is bound to.
    #[inline(always)]
    pub(crate) fn reaches(&self, endpoint: &SocketAddress) -> bool {
        // Most sockets are bound to nothing.
        let Source { address, device } = self.source();
        if device == 0 && address.is_unspecified() {
            return true;
        }
        match self.family {
            Family::V4 => reaches_from_v4(self.bpf_sock(), endpoint),
            Family::V6 => reaches_from_v6(self.bpf_sock(), endpoint),
        }
    }

    #[inline(always)]
    fn source(&self) -> Source {
        source(self.bpf_sock(), self.family)
    }

    #[inline(always)]
    fn bpf_sock(&self) -> *mut bpf_sock {
        // SAFETY: valid context; `sk` is readable in these hooks and never null.
        unsafe { (*self.raw()).__bindgen_anon_1.sk }
    }

    /// The cookie of the socket, which no other socket of this boot has.
    #[inline(always)]
    pub(crate) fn cookie(&self) -> u64 {
        // SAFETY: the helper takes the context of this program type.
        unsafe { bpf_get_socket_cookie(self.as_ptr()) }
    }

    /// The socket, for helpers.
    #[inline(always)]
    pub(crate) fn socket(&self) -> *mut core::ffi::c_void {
        // SAFETY: valid context; `sk` is readable in these hooks and never null.
        unsafe { (*self.raw()).__bindgen_anon_1.sk }.cast()
    }

    /// The socket's mark.
    #[inline(always)]
    pub(crate) fn mark(&self) -> u32 {
        // SAFETY: the kernel's view of a valid socket; the field is readable.
        unsafe { ptr::read_volatile(&raw const (*self.bpf_sock()).mark) }
    }

    /// Whose connection it is, as the host numbers users: who made the socket, by whom the rules of a sidecar go, too.
    /// Where the kernel does not tell, it is the user that dials.
    #[inline(always)]
    pub(crate) fn user(&self) -> u32 {
        let user = member::<u32>(self.socket(), SOCKET_USER_OFFSET.load());
        if !user.is_null() {
            // SAFETY: `sk_uid` is a number.
            return unsafe { ptr::read_volatile(user) };
        }
        // SAFETY: takes nothing, cannot fail.
        (unsafe { bpf_get_current_uid_gid() }) as u32
    }

    /// What its network namespace is in the map `namespaces`; 0 if that cannot be told.
    #[inline(always)]
    pub(crate) fn namespace(&self) -> u64 {
        if NET_OFFSET.load() == 0 {
            // SAFETY: the helper takes the context of this program type.
            return unsafe { bpf_get_netns_cookie(self.as_ptr()) };
        }
        let net = member::<*const core::ffi::c_void>(self.socket(), NET_OFFSET.load());
        if net.is_null() {
            return 0;
        }
        // SAFETY: `skc_net` is a pointer, which the verifier lets be read whatever it points to.
        let net = unsafe { ptr::read_volatile(net) };
        // SAFETY: as above, in `struct net`: `inum` is a number.
        u64::from(unsafe { ptr::read_volatile(net.byte_add(INUM_OFFSET.load() as usize).cast::<u32>()) })
    }

    /// The MPTCP socket of which this socket is a subflow; null if it is none.
    #[inline(always)]
    pub(crate) fn mptcp_socket(&self) -> *mut core::ffi::c_void {
        mptcp_socket(self.socket())
    }
}

/// Sets a socket's mark, by the context of a hook in which it is locked. Whether that was done.
#[inline(always)]
pub(crate) fn set_mark(context: *mut core::ffi::c_void, mut mark: u32) -> bool {
    const SIZE: i32 = 4;
    // SAFETY: the helper takes the contexts of `connect4/6` and `sock_ops`, and a number of that size.
    unsafe { bpf_setsockopt(context, SOL_SOCKET, SO_MARK, (&raw mut mark).cast(), SIZE) == 0 }
}

/// A function of its own, so that the verifier goes on from one answer and not from each way to it.
#[inline(never)]
fn reaches_from_v4(socket: *mut bpf_sock, endpoint: &SocketAddress) -> bool {
    source(socket, Family::V4).can_reach(&endpoint.address)
}

/// As [`reaches_from_v4`].
#[inline(never)]
fn reaches_from_v6(socket: *mut bpf_sock, endpoint: &SocketAddress) -> bool {
    source(socket, Family::V6).can_reach(&endpoint.address)
}

/// What a socket is bound to.
#[inline(always)]
fn source(socket: *mut bpf_sock, family: Family) -> Source {
    let address = match family {
        Family::V4 => {
            // SAFETY: the kernel's view of a valid socket; the field is readable.
            Address::from_v4_word(unsafe { ptr::read_volatile(&raw const (*socket).src_ip4) })
        }
        Family::V6 => Address::from_words([0, 1, 2, 3].map(
            #[inline(always)]
            |index: usize| {
                // SAFETY: as above, constant index below 4.
                unsafe { ptr::read_volatile(&raw const (*socket).src_ip6[index]) }
            },
        )),
    };
    // SAFETY: as above.
    let device = unsafe { ptr::read_volatile(&raw const (*socket).bound_dev_if) };
    Source { address, device }
}

#[inline(always)]
pub(crate) fn mptcp_socket(socket: *mut core::ffi::c_void) -> *mut core::ffi::c_void {
    if HAS_MPTCP_SOCK.load() == 0 {
        return ptr::null_mut();
    }
    // SAFETY: the helper takes any socket and answers null for those that are no MPTCP subflow.
    unsafe { bpf_skc_to_mptcp_sock(socket) }.cast()
}

/// The context of `sock_ops`.
pub(crate) struct TcpContext(SockOpsContext);

impl EbpfContext for TcpContext {
    fn as_ptr(&self) -> *mut core::ffi::c_void {
        self.0.as_ptr()
    }
}

impl TcpContext {
    #[inline(always)]
    pub(crate) const fn new(inner: SockOpsContext) -> Self {
        Self(inner)
    }

    /// Of what [`raw`](Self::raw) answers.
    #[inline(always)]
    pub(crate) const fn of(ops: *mut bpf_sock_ops) -> Self {
        Self(SockOpsContext { ops })
    }

    /// As the kernel has passed it.
    pub(crate) const fn raw(&self) -> *mut bpf_sock_ops {
        self.0.ops
    }

    /// What is told: one of `BPF_SOCK_OPS_*`.
    #[inline(always)]
    pub(crate) fn op(&self) -> u32 {
        // SAFETY: the kernel passes a valid context; `op` is readable.
        unsafe { ptr::read_volatile(&raw const (*self.raw()).op) }
    }

    /// The state that a socket enters, when that is what is told.
    #[inline(always)]
    pub(crate) fn new_state(&self) -> u32 {
        // SAFETY: valid context; the arguments are readable.
        unsafe { ptr::read_volatile(&raw const (*self.raw()).__bindgen_anon_1.args[1]) }
    }

    /// Asks TCP to tell of the socket's changes of state, from now on and also when it is used again. What other
    /// programs ask for stays.
    #[inline(always)]
    pub(crate) fn follow_states(&self) {
        // SAFETY: valid context; the flags are readable.
        let flags = unsafe { ptr::read_volatile(&raw const (*self.raw()).bpf_sock_ops_cb_flags) };
        if flags & BPF_SOCK_OPS_STATE_CB_FLAG == 0 {
            // SAFETY: the helper takes the context of this program type.
            unsafe {
                bpf_sock_ops_cb_flags_set(self.raw(), (flags | BPF_SOCK_OPS_STATE_CB_FLAG).cast_signed())
            };
        }
    }

    /// The cookie of the socket, which no other socket of this boot has.
    #[inline(always)]
    pub(crate) fn cookie(&self) -> u64 {
        // SAFETY: the helper takes the context of this program type.
        unsafe { bpf_get_socket_cookie(self.raw().cast()) }
    }

    /// Whether the socket has its cookie already: else no connect() of it was routed. To ask for the cookie gives it
    /// one, which takes longer. Where it cannot be seen it may have one.
    #[inline(always)]
    pub(crate) fn may_have_cookie(&self) -> bool {
        let cookie = self.member::<u64>(SOCKET_COOKIE_OFFSET.load());
        // SAFETY: `skc_cookie` is a number.
        cookie.is_null() || unsafe { ptr::read_volatile(cookie) } != 0
    }

    /// As the function of that name.
    #[inline(always)]
    fn member<T>(&self, offset: u32) -> *const T {
        let socket = self.socket();
        if socket.is_null() { ptr::null() } else { member(socket, offset) }
    }

    /// The socket, for helpers; null in no callback that is used, but the verifier does not know.
    #[inline(always)]
    pub(crate) fn socket(&self) -> *mut core::ffi::c_void {
        // SAFETY: valid context; `sk` is readable.
        unsafe { (*self.raw()).__bindgen_anon_2.sk }.cast()
    }

    /// The socket's mark.
    #[inline(always)]
    pub(crate) fn mark(&self) -> Option<u32> {
        // SAFETY: valid context; `sk` is readable.
        let socket = unsafe { (*self.raw()).__bindgen_anon_2.sk };
        // SAFETY: the kernel's view of a valid socket; the field is readable.
        (!socket.is_null()).then(|| unsafe { ptr::read_volatile(&raw const (*socket).mark) })
    }

    /// Where the socket connects to.
    #[inline(always)]
    pub(crate) fn peer(&self) -> SocketAddress {
        // SAFETY: valid context; the field is readable.
        let family = unsafe { ptr::read_volatile(&raw const (*self.raw()).family) };
        // Both are read, whatever the family: LLVM would make one load from a computed place of two, which the verifier
        // refuses. SAFETY: as above.
        let v4 = unsafe { ptr::read_volatile(&raw const (*self.raw()).remote_ip4) };
        let v6 = [0, 1, 2, 3].map(
            #[inline(always)]
            |index: usize| {
                // SAFETY: as above, constant index below 4.
                unsafe { ptr::read_volatile(&raw const (*self.raw()).remote_ip6[index]) }
            },
        );
        let address = if family == AF_INET { Address::from_v4_word(v4) } else { Address::from_words(v6) };
        // SAFETY: as above.
        let port = unsafe { ptr::read_volatile(&raw const (*self.raw()).remote_port) };
        // Network order, of 32 bits: unlike in the other hooks.
        SocketAddress { address, port: u32::from_be(port) }
    }

    /// Whether the peer has sent or acknowledged any byte of data.
    #[inline(always)]
    pub(crate) fn peer_took_part(&self) -> bool {
        // SAFETY: valid context; the field is readable.
        let received = unsafe { ptr::read_volatile(&raw const (*self.raw()).bytes_received) };
        // SAFETY: as above.
        let acknowledged = unsafe { ptr::read_volatile(&raw const (*self.raw()).bytes_acked) };
        // The SYN counts as one byte.
        received > 0 || acknowledged > 1
    }

    /// The error with which TCP has ended; 0 without one, [`UNKNOWN`] where it cannot be read. (The payload of an
    /// `Option` that is `None` is never written, and the verifier refuses to have it moved about.) The kernel sets it
    /// before the socket enters the state CLOSE.
    #[inline(always)]
    pub(crate) fn error(&self) -> u32 {
        let error = self.member::<u32>(SOCKET_ERROR_OFFSET.load());
        if error.is_null() {
            return UNKNOWN;
        }
        // SAFETY: `sk_err` is an int.
        unsafe { ptr::read_volatile(error) }
    }
}

/// Where a member of the kernel's own socket stands; null where that is not known, or if the socket is none of TCP.
///
/// `struct tcp_sock` begins with `struct sock`, and that with `struct sock_common`, in which the loader has found it.
/// The verifier compares each read with the kernel's BTF.
#[inline(always)]
fn member<T>(socket: *mut core::ffi::c_void, offset: u32) -> *const T {
    if offset == 0 {
        return ptr::null();
    }
    // SAFETY: the helper takes any socket and answers null for one that is none of TCP.
    let socket = unsafe { bpf_skc_to_tcp_sock(socket) };
    if socket.is_null() {
        return ptr::null();
    }
    // SAFETY: within the struct, as the loader has found it.
    unsafe { socket.byte_add(offset as usize) }.cast()
}

/// Equality in words: the derived one of `[u8; 16]` becomes a call of `bcmp`.
#[inline(always)]
pub(crate) fn same(a: &SocketAddress, b: &SocketAddress) -> bool {
    a.address.words() == b.address.words() && a.port == b.port
}

/// Makes the call that runs this program fail with ECONNREFUSED, once the program returns [`DENY`].
#[inline(always)]
pub(crate) fn set_refused() {
    // SAFETY: takes a number; only reached where the loader found the helper.
    unsafe { bpf_set_retval(-ECONNREFUSED) };
}
