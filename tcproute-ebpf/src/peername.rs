// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! getpeername(): answer with the address that the application dialled.

use crate::{
    connection,
    context::{ALLOW, ConnectContext, same},
};

#[inline(always)]
pub(crate) fn on_getpeername(ctx: &ConnectContext) -> i32 {
    if ctx.is_tcp_or_mptcp()
        && let Some(state) = connection::recall(ctx)
    {
        // SAFETY: `recall` answers a map value that lives until the socket is closed.
        let (dialled, chosen) = unsafe { ((*state).dialled(), (*state).chosen()) };
        // A socket that was used again for another destination has another peer: nothing to hide there.
        if same(&ctx.address(), &chosen) {
            ctx.set_address(&dialled);
        }
    }
    ALLOW
}
