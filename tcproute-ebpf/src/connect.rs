// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! connect(): choose a backend and an endpoint, remember the choice, rewrite the destination.

use core::{mem::MaybeUninit, ptr};

use aya_ebpf::{
    bindings,
    helpers::generated::{bpf_spin_lock, bpf_spin_unlock},
};
use aya_log_ebpf::debug;
use tcproute_common::{
    AddressFilter, Backend, ConnectionState, Counter, Cursor, EventKind, RouteKey, RouteValue, Slot,
    SocketAddress, another, scale,
};

use crate::{
    connection::{self, Place},
    context::{ALLOW, ConnectContext, DENY, draw, set_refused},
    maps::{BACKENDS, CURSORS, ENDPOINTS, HAS_SET_RETVAL, ROUTES, TURNS, WORKLOADS, count},
    outcomes,
    sidecar::{self, Marked, Passage},
    trace,
};

/// Why a connection goes to no endpoint.
enum Denied {
    /// Nothing is to be done with such connections.
    NoRoute,
    /// It is left to the address that was dialled, and this is counted and told.
    Left(Counter, EventKind),
    /// The policy leads to a backend without endpoints.
    NoEndpoint {
        /// Index of the backend in the map `outcomes`; 0 if the route has none.
        outcomes: u32,
    },
    /// The maps contradict each other: a bug of the loader.
    Internal,
}

#[inline(always)]
pub(crate) fn on_connect(ctx: &ConnectContext) -> i32 {
    sidecar::unmark(ctx);
    let identity = WORKLOADS.get_ptr_mut();
    let mut dialled = ctx.address();
    if dialled.address.is_unspecified() {
        dialled.address = ctx.meant_by(&dialled.address);
    }
    let (word, bit) = AddressFilter::place(&dialled);
    // SAFETY: the kernel allocates the value when it attaches the program and frees it after detaching;
    // `place` answers an index within the filter.
    if unsafe { ptr::read_volatile((&raw const (*identity).filter.0).cast::<u64>().add(word)) } & bit == 0 {
        return ALLOW;
    }
    if !ctx.is_tcp() {
        return ALLOW;
    }
    let passage = sidecar::passage(ctx);
    if passage == Passage::Own {
        return ALLOW;
    }
    let Some(place) = Place::of(ctx.cookie()) else { return ALLOW };
    // SAFETY: as above.
    let workload = unsafe { (*identity).workload };
    let route = route(&RouteKey { dialled, workload });
    // SAFETY: as above.
    let traced = unsafe { ptr::read_volatile(&raw const (*identity).traced) } != 0;
    let choice = match route {
        Ok(_) if passage == Passage::Held => Err(Denied::Left(Counter::Held, EventKind::Held)),
        Ok(route) => choose(&route, place.cookie),
        Err(denied) => Err(denied),
    };
    let mut state = ConnectionState { dialled, chosen: SocketAddress::NOWHERE, outcomes: 0, started: 0 };
    let denied = match choice {
        Ok((backend, chosen)) => {
            state.chosen = *chosen;
            state.outcomes = backend.outcomes;
            match send(ctx, passage, workload, &place, &state, traced) {
                Ok(()) => return ALLOW,
                Err(denied) => denied,
            }
        }
        Err(denied) => denied,
    };
    let (counter, kind) = match denied {
        // Nothing is forgotten, as for those with which no route has to do.
        Denied::Left(counter, kind) => (counter, kind),
        Denied::NoRoute => {
            connection::forget(ctx);
            return ALLOW;
        }
        Denied::Internal => {
            connection::forget(ctx);
            count(Counter::Internal);
            return ALLOW;
        }
        Denied::NoEndpoint { outcomes } => {
            connection::forget(ctx);
            state.outcomes = outcomes;
            (Counter::Refused, EventKind::NoEndpoint)
        }
    };
    count(counter);
    if traced {
        trace::decided(ctx.cookie(), workload, kind, &state);
    }
    if counter as u32 != Counter::Refused as u32 {
        return ALLOW;
    }
    debug!(
        ctx,
        "workload {}: {:i} port {} is refused: no endpoint", workload, dialled.address.bytes, dialled.port
    );
    if HAS_SET_RETVAL.load() != 0 {
        set_refused();
    }
    DENY
}

/// Sends the connection where it was chosen to go.
#[inline(always)]
fn send(
    ctx: &ConnectContext,
    passage: Passage,
    workload: u32,
    place: &Place,
    state: &ConnectionState,
    traced: bool,
) -> Result<(), Denied> {
    let (dialled, chosen) = (&state.dialled, &state.chosen);
    // Where it cannot get to it would fail, or worse: hang. Where it was dialled a proxy may listen.
    if !ctx.reaches(chosen) {
        return Err(Denied::Left(Counter::SourceBound, EventKind::SourceBound));
    }
    let marked = if passage == Passage::Past { sidecar::mark(ctx) } else { Marked::Unneeded };
    if marked == Marked::No {
        return Err(Denied::Left(Counter::MarkTaken, EventKind::MarkTaken));
    }
    let marked = marked == Marked::Ours;
    if !ctx.set_address(chosen) {
        if marked {
            sidecar::take_back(ctx);
        }
        return Err(Denied::Internal);
    }
    if !connection::remember(ctx, workload, place, state, traced, marked) && marked {
        // Nobody would take the mark off again.
        sidecar::take_back(ctx);
        ctx.set_address(dialled);
        return Err(Denied::Left(Counter::Held, EventKind::Held));
    }
    // After what the socket's attempt before has come to.
    if traced {
        trace::decided(place.cookie, workload, EventKind::Routed, state);
    }
    count(Counter::Routed);
    debug!(
        ctx,
        "workload {}: {:i} port {} goes to {:i} port {}",
        workload,
        dialled.address.bytes,
        dialled.port,
        chosen.address.bytes,
        chosen.port
    );
    Ok(())
}

/// The route of this key, if it has one.
///
/// A reader may miss an entry that is replaced while it goes along the bucket, and may find one that is used for
/// another key already: see [`SealedRoute`]. So what is not found, or not sealed for this key, is looked for again.
#[inline(always)]
fn route(key: &RouteKey) -> Result<RouteValue, Denied> {
    let mut found = MaybeUninit::uninit();
    if read_route(key, &mut found) != FOUND {
        match read_route_again(key, &mut found) {
            FOUND => {}
            MISSING => return Err(Denied::NoRoute),
            _ => return Err(Denied::Internal),
        }
    }
    // SAFETY: it was written where it was found. Volatile, so that the verifier goes on from there, however it was.
    Ok(unsafe { ptr::read_volatile(found.as_ptr()) })
}

const FOUND: u32 = 1;
const MISSING: u32 = 2;
const OTHER: u32 = 3;

#[inline(always)]
fn read_route(key: &RouteKey, found: &mut MaybeUninit<RouteValue>) -> u32 {
    let Some(value) = ROUTES.get_ptr(key) else { return MISSING };
    // SAFETY: the memory stays readable while this program runs. Volatile, so that it is read once.
    let Some(value) = unsafe { ptr::read_volatile(value) }.open(key) else { return OTHER };
    found.write(value);
    FOUND
}

/// A function of its own, since it is seldom called and the program would become large.
#[inline(never)]
fn read_route_again(key: &RouteKey, found: &mut MaybeUninit<RouteValue>) -> u32 {
    match read_route(key, found) {
        OTHER => read_route(key, found),
        read => read,
    }
}

/// First the backendRef by weight, then one of its endpoints evenly: never one flattened list.
#[inline(always)]
fn choose(route: &RouteValue, cookie: u64) -> Result<(&'static Backend, &'static SocketAddress), Denied> {
    let (backend, drawn) = choose_backend(route)?;
    let (first, count) = (backend.first_endpoint, backend.endpoint_count);
    let offset = match (count, drawn) {
        (0, _) => {
            outcomes::without_endpoint(backend.outcomes);
            return Err(Denied::NoEndpoint { outcomes: backend.outcomes });
        }
        (1, _) => 0,
        (_, None) => scale(draw(), count),
        (_, Some(drawn)) => scale(another(drawn, cookie), count),
    };
    let endpoint = ENDPOINTS.get(first + offset).ok_or(Denied::Internal)?;
    Ok((backend, endpoint))
}

/// And what was drawn for it, if anything was.
#[inline(always)]
fn choose_backend(route: &RouteValue) -> Result<(&'static Backend, Option<u32>), Denied> {
    let RouteValue { first_backend, backend_count, first_turn, turn_count, cursor } = *route;
    if backend_count == 0 {
        return Err(Denied::NoEndpoint { outcomes: 0 });
    }
    let (offset, drawn) = if backend_count == 1 {
        (0, None)
    } else if turn_count > 0 {
        let cursor = CURSORS.get_ptr_mut(cursor).ok_or(Denied::Internal)?;
        let turn = TURNS.get(first_turn + take_turn(cursor, turn_count)).ok_or(Denied::Internal)?;
        (*turn, None)
    } else {
        let drawn = draw();
        let slot = Slot::of(drawn, backend_count);
        let own = BACKENDS.get(first_backend + slot.index).ok_or(Denied::Internal)?;
        if slot.picks_own(own.threshold) {
            return Ok((own, Some(drawn)));
        }
        (own.alias, Some(drawn))
    };
    Ok((BACKENDS.get(first_backend + offset).ok_or(Denied::Internal)?, drawn))
}

/// The next turn of a round of `count`. No two connections get the same, on whatever CPUs they are.
#[inline(always)]
fn take_turn(cursor: *mut Cursor, count: u32) -> u32 {
    // SAFETY: a field of a map value.
    let lock = unsafe { &raw mut (*cursor).lock }.cast::<bindings::bpf_spin_lock>();
    // SAFETY: the lock lies in a map value whose BTF names it, and is released below on the only way out.
    unsafe { bpf_spin_lock(lock) };
    // SAFETY: a field of a map value, under the lock.
    let turn = unsafe { ptr::read_volatile(&raw const (*cursor).next) };
    let next = if turn + 1 < count { turn + 1 } else { 0 };
    // SAFETY: as above.
    unsafe { ptr::write_volatile(&raw mut (*cursor).next, next) };
    // SAFETY: taken above.
    unsafe { bpf_spin_unlock(lock) };
    turn
}
