//! Everything raw: reads and writes of the hooks' contexts, and the helpers that take them.

use core::ptr;

use aya_ebpf::{
    EbpfContext,
    bindings::bpf_sock_addr,
    helpers::generated::{bpf_get_prandom_u32, bpf_get_socket_cookie, bpf_set_retval, bpf_skc_to_mptcp_sock},
    programs::SockAddrContext,
};
use tcproute_common::{Address, Draws, SocketAddress};

use crate::maps::HAS_MPTCP_SOCK;

/// What a `cgroup_sock_addr` program answers: go on.
pub(crate) const ALLOW: i32 = 1;
/// Fail the call; with EPERM unless another error was set.
pub(crate) const DENY: i32 = 0;

pub(crate) const IPPROTO_TCP: u32 = 6;
const IPPROTO_MPTCP: u32 = 262;
const ECONNREFUSED: i32 = 111;

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

    /// The MPTCP socket of which this socket is a subflow; null if it is none.
    #[inline(always)]
    pub(crate) fn mptcp_socket(&self) -> *mut core::ffi::c_void {
        if HAS_MPTCP_SOCK.load() == 0 {
            return ptr::null_mut();
        }
        // SAFETY: the helper takes any socket and answers null for those that are no MPTCP subflow.
        unsafe { bpf_skc_to_mptcp_sock(self.socket()) }.cast()
    }
}

/// Equality in words: the derived one of `[u8; 16]` becomes a call of `bcmp`.
#[inline(always)]
pub(crate) fn same(a: &SocketAddress, b: &SocketAddress) -> bool {
    a.address.words() == b.address.words() && a.port == b.port
}

/// The kernel's random numbers.
pub(crate) struct KernelDraws;

impl Draws for KernelDraws {
    #[inline(always)]
    fn draw(&mut self) -> u32 {
        // SAFETY: takes nothing, cannot fail.
        unsafe { bpf_get_prandom_u32() }
    }
}

/// Makes the call that runs this program fail with ECONNREFUSED, once the program returns [`DENY`].
#[inline(always)]
pub(crate) fn set_refused() {
    // SAFETY: takes a number; only reached where the loader found the helper.
    unsafe { bpf_set_retval(-ECONNREFUSED) };
}
