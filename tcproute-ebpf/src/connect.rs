// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! connect(): choose a backend and an endpoint, remember the choice, rewrite the destination.

use core::{mem::MaybeUninit, ptr};

use aya_ebpf::{
    bindings,
    helpers::generated::{bpf_spin_lock, bpf_spin_unlock},
};
use aya_log_ebpf::debug;
use tcproute_common::{
    AddressFilter, AddressHash, Backend, ConnectionState, Counter, Cursor, EventKind, NodeFilter, RouteKey,
    RouteValue, Slot, SocketAddress, scale,
};

use crate::{
    connection,
    context::{ALLOW, ConnectContext, DENY, set_refused},
    draw::draw,
    maps::{ADDRESSES, BACKENDS, CURSORS, ENDPOINTS, HAS_SET_RETVAL, ROUTES, TURNS, WORKLOADS, count},
    outcomes,
    place::Place,
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

/// Where a connection is to go.
struct Choice {
    endpoint: &'static SocketAddress,
    /// Index of the backend in the map `outcomes`.
    outcomes: u32,
}

#[inline(always)]
pub(crate) fn on_connect(ctx: &ConnectContext) -> i32 {
    sidecar::unmark(ctx);
    // The workload comes once it is needed: it is not in the caches, either.
    let mut key = RouteKey { dialled: ctx.address(), workload: 0 };
    if key.dialled.address.is_unspecified() {
        key.dialled.address = ctx.meant_by(&key.dialled.address);
    }
    let hash = AddressHash::of(&key.dialled);
    // There is one, but the verifier does not know.
    let Some(addresses) = ADDRESSES.get_ptr(0) else { return ALLOW };
    // SAFETY: a map value, and the place is one of this filter.
    if !unsafe { is_set((&raw const (*addresses).0).cast(), NodeFilter::place(hash)) } {
        return ALLOW;
    }
    let identity = WORKLOADS.get_ptr_mut();
    // SAFETY: the kernel allocates the value when it attaches the program and frees it after detaching; as above.
    if !unsafe { is_set((&raw const (*identity).filter.0).cast(), AddressFilter::place(hash)) } {
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
    key.workload = unsafe { (*identity).workload };
    let route = route(&key);
    // SAFETY: as above.
    let traced = unsafe { ptr::read_volatile(&raw const (*identity).traced) } != 0;
    let choice = match route {
        Ok(_) if passage == Passage::Held => Err(Denied::Left(Counter::Held, EventKind::Held)),
        Ok(route) => choose(&route, place.cookie),
        Err(denied) => Err(denied),
    };
    let denied = match choice {
        Ok(choice) => match send(ctx, passage, &key, &place, &choice, traced) {
            Ok(()) => return ALLOW,
            Err(denied) => denied,
        },
        Err(denied) => denied,
    };
    let (counter, kind, outcomes) = match denied {
        // Nothing is forgotten, as for those with which no route has to do.
        Denied::Left(counter, kind) => (counter, kind, 0),
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
            (Counter::Refused, EventKind::NoEndpoint, outcomes)
        }
    };
    count(counter);
    if traced {
        let state = ConnectionState::new(&key.dialled, &SocketAddress::NOWHERE, outcomes);
        trace::decided(ctx.cookie(), key.workload, kind, &state);
    }
    if counter as u32 != Counter::Refused as u32 {
        return ALLOW;
    }
    debug!(
        ctx,
        "workload {}: {:i} port {} is refused: no endpoint",
        key.workload,
        key.dialled.address.bytes,
        key.dialled.port
    );
    if HAS_SET_RETVAL.load() != 0 {
        set_refused();
    }
    DENY
}

/// Whether a filter has the bit at this place, of which it is one word and the bit in it.
///
/// # Safety
/// `filter` must point to the words of a filter in a map value that has that one.
#[inline(always)]
unsafe fn is_set(filter: *const u64, (word, bit): (usize, u64)) -> bool {
    // SAFETY: as the caller says.
    unsafe { ptr::read_volatile(filter.add(word)) & bit != 0 }
}

/// Sends the connection where it was chosen to go.
#[inline(always)]
fn send(
    ctx: &ConnectContext,
    passage: Passage,
    key: &RouteKey,
    place: &Place,
    choice: &Choice,
    traced: bool,
) -> Result<(), Denied> {
    let RouteKey { dialled, workload } = key;
    let Choice { endpoint, outcomes } = *choice;
    // Where it cannot get to it would fail, or worse: hang. Where it was dialled a proxy may listen.
    if !ctx.reaches(endpoint) {
        return Err(Denied::Left(Counter::SourceBound, EventKind::SourceBound));
    }
    let marked = if passage == Passage::Past { sidecar::mark(ctx) } else { Marked::Unneeded };
    if marked == Marked::No {
        return Err(Denied::Left(Counter::MarkTaken, EventKind::MarkTaken));
    }
    let marked = marked == Marked::Ours;
    // The loader writes endpoints only where no route points to: each look finds the same.
    if !ctx.set_address(endpoint) {
        if marked {
            sidecar::take_back(ctx);
        }
        return Err(Denied::Internal);
    }
    let state = ConnectionState::new(dialled, endpoint, outcomes);
    if !connection::remember(ctx, *workload, place, &state, traced, marked) && marked {
        // Nobody would take the mark off again.
        sidecar::take_back(ctx);
        ctx.set_address(dialled);
        return Err(Denied::Left(Counter::Held, EventKind::Held));
    }
    // After what the socket's attempt before has come to.
    if traced {
        trace::decided(place.cookie, *workload, EventKind::Routed, &state);
    }
    count(Counter::Routed);
    debug!(
        ctx,
        "workload {}: {:i} port {} goes to {:i} port {}",
        *workload,
        dialled.address.bytes,
        dialled.port,
        endpoint.address.bytes,
        endpoint.port
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
    // Before the look-up: what is known of the key by the family of addresses is known here.
    let seal = key.seal();
    if read_route(key, seal, &mut found) != FOUND {
        match read_route_again(key, seal, &mut found) {
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
fn read_route(key: &RouteKey, seal: u32, found: &mut MaybeUninit<RouteValue>) -> u32 {
    let Some(value) = ROUTES.get_ptr(key) else { return MISSING };
    // SAFETY: the memory stays readable while this program runs. Volatile, so that it is read once.
    let Some(value) = unsafe { ptr::read_volatile(value) }.open(seal) else { return OTHER };
    found.write(value);
    FOUND
}

/// A function of its own, since it is seldom called and the program would become large.
#[inline(never)]
fn read_route_again(key: &RouteKey, seal: u32, found: &mut MaybeUninit<RouteValue>) -> u32 {
    match read_route(key, seal, found) {
        OTHER => read_route(key, seal, found),
        read => read,
    }
}

/// First the backendRef by weight, then one of its endpoints evenly: never one flattened list.
#[inline(always)]
fn choose(route: &RouteValue, cookie: u64) -> Result<Choice, Denied> {
    let [of_backend, of_endpoint] = draw(cookie);
    let backend = choose_backend(route, of_backend)?;
    let (first, count) = (backend.first_endpoint, backend.endpoint_count);
    if count == 0 {
        outcomes::without_endpoint(backend.outcomes);
        return Err(Denied::NoEndpoint { outcomes: backend.outcomes });
    }
    let endpoint = ENDPOINTS.get(first + scale(of_endpoint, count)).ok_or(Denied::Internal)?;
    Ok(Choice { endpoint, outcomes: backend.outcomes })
}

#[inline(always)]
fn choose_backend(route: &RouteValue, drawn: u32) -> Result<&'static Backend, Denied> {
    let RouteValue { first_backend, backend_count, first_turn, turn_count, cursor } = *route;
    if backend_count == 0 {
        return Err(Denied::NoEndpoint { outcomes: 0 });
    }
    let offset = if turn_count > 0 {
        let cursor = CURSORS.get_ptr_mut(cursor).ok_or(Denied::Internal)?;
        *TURNS.get(first_turn + take_turn(cursor, turn_count)).ok_or(Denied::Internal)?
    } else {
        let slot = Slot::of(drawn, backend_count);
        let own = BACKENDS.get(first_backend + slot.index).ok_or(Denied::Internal)?;
        if slot.picks_own(own.threshold) {
            return Ok(own);
        }
        own.alias
    };
    BACKENDS.get(first_backend + offset).ok_or(Denied::Internal)
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
