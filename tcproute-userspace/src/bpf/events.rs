//! The ring buffer `events`: what happens to connections, while somebody listens.

use aya::maps::{MapData, RingBuf};
use nix::time::{ClockId, clock_gettime};
use tcproute_common::{EVENT_BYTES, Event};

/// The ring buffer.
pub(super) struct Events(RingBuf<MapData>);

impl Events {
    pub(super) const fn new(ring: RingBuf<MapData>) -> Self {
        Self(ring)
    }

    /// Those that are there: no more than the ring holds, since others may come meanwhile.
    pub(super) fn read(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < EVENT_BYTES as usize / size_of::<Event>()
            && let Some(item) = self.0.next()
        {
            events.extend(event(&item));
        }
        events
    }
}

fn event(bytes: &[u8]) -> Option<Event> {
    let bytes: &[u8; size_of::<Event>()] = bytes.try_into().ok()?;
    // SAFETY: an event is plain bytes, and these are as many; they need not be aligned.
    Some(unsafe { bytes.as_ptr().cast::<Event>().read_unaligned() })
}

/// Nanoseconds since the boot, as events have them.
pub fn now() -> nix::Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec()).unwrap_or(0))
}
